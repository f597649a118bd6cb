"""The steady load of the deploy benchmark: what it counts, and what a crash excuses."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from loadtests.bench.servers import free_port
from loadtests.steady import Failure, Steady, not_under_way


class Page(BaseHTTPRequestHandler):
    """Answers 200, keeps the connection, and is slow once."""

    protocol_version = "HTTP/1.1"
    slow = threading.Lock()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base names it so
        """Keep the test's output clean."""

    def do_GET(self) -> None:
        if self.path == "/slow" and self.slow.acquire(blocking=False):
            time.sleep(0.3)
        self.send_response(404 if self.path == "/nowhere" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_answers_are_counted_and_the_slowest_is_known(url: str) -> None:
    with Steady(url, "/slow") as load:
        load.until(60)
    assert (load.failures, load.refused) == ([], 0)
    assert load.answered >= 60
    assert load.slowest_s >= 0.3


def test_an_answer_that_is_not_200_is_a_failure(url: str) -> None:
    with Steady(url, "/nowhere") as load:
        load.until(20)
    assert {failure.why for failure in load.failures} == {"answered 404"}
    assert load.refused == 0


def test_nobody_listening_is_refused() -> None:
    with Steady(f"http://127.0.0.1:{free_port()}", "/") as load:
        load.until(20)
    assert load.refused == load.done >= 20


def test_a_crash_excuses_the_requests_that_were_under_way_and_no_other() -> None:
    before, during, after = Failure(1, 2, "cut off"), Failure(4, 6, "cut off"), Failure(7, 8, "cut off")
    assert not_under_way([before, during, after], at_s=[5.0]) == [before, after]
