"""The web client's pure parts, run in a real browser: its state, its advice after a lost connection, its texts."""

from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.e2e.browser import chromium

ROOT = Path(__file__).resolve().parent.parent.parent
STATIC = ROOT / "chat" / "web" / "static"


class Modules(SimpleHTTPRequestHandler):
    """Serves the client's modules under /static/, this folder's under /tests/."""

    def translate_path(self, path: str) -> str:
        """The file of an address."""
        folder = Path(__file__).parent if path.startswith("/tests/") else STATIC
        return str(folder / path.rpartition("/")[2])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base names it so
        """Keep the test's output clean."""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Modules) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            with chromium() as browser:
                page = browser.new_page()
                page.goto(f"http://127.0.0.1:{server.server_port}/static/icon.svg")
                yield page
        finally:
            server.shutdown()
            thread.join()


def run(page: Page, module: str, expression: str) -> Any:
    """The value of *expression*, in which `it` is the module."""
    return page.evaluate(f"import('{module}').then((it) => {expression})")


def test_a_client_that_loses_frames_and_connections_ends_with_the_servers_room(page: Page) -> None:
    assert run(page, "/tests/client_model.js", "it.differs(3000)") is None


@pytest.mark.parametrize(
    ("closed", "advice"),
    [
        ("{code: 4011}", {"stop": True}),
        ("{code: 4000}", {"stop": True}),
        ("{code: 4201}", {"afterMs": 0}),
        ("{code: 1012}", {"afterMs": 0}),
        ("{code: 1012, reason: 'reconnect_after_ms=1500'}", {"afterMs": 1500}),
        ("{code: 4201, attempt: 2, random: 1}", {"afterMs": 2000}),
        ("{code: 4102, random: 1}", {"afterMs": 1000}),
        ("{code: 1006, random: 0}", {"afterMs": 250}),
        ("{code: 1006, attempt: 30, random: 1}", {"afterMs": 15000}),
    ],
)
def test_the_close_code_says_when_to_come_back(page: Page, closed: str, advice: dict[str, object]) -> None:
    assert run(page, "/static/retry.js", f"it.adviceFor({closed})") == advice


@pytest.mark.parametrize(
    ("name", "emblem"),
    [
        ("cafe-☕", "☕"),
        ("general", "G"),
        ("#ops", "O"),
        ("👩‍👩‍👧‍👦 family", "👩‍👩‍👧‍👦"),
        ("غرفة", "غ"),
        ("🇩🇪", "🇩🇪"),
        ("1️⃣", "1️⃣"),
        ("!", "!"),
    ],
)
def test_a_room_is_known_by_its_emoji_or_first_letter(page: Page, name: str, emblem: str) -> None:
    assert run(page, "/static/text.js", f"it.emblem('{name}')") == emblem


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/142.0.0.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Safari/604.1",
            "Safari on iPhone",
        ),
        ("python-httpx/0.28.1", "python-httpx/0.28.1"),
        ("", "Unknown device"),
    ],
)
def test_a_session_is_known_by_its_device(page: Page, agent: str, device: str) -> None:
    assert run(page, "/static/text.js", f"it.deviceName('{agent}')") == device


@pytest.mark.parametrize(("told", "sentence"), [("a name is empty", "A name is empty."), ("Gone.", "Gone.")])
def test_what_is_wrong_is_told_in_a_sentence(page: Page, told: str, sentence: str) -> None:
    assert run(page, "/static/text.js", f"it.sentence('{told}')") == sentence


def test_only_web_addresses_become_links(page: Page) -> None:
    said = "see (https://example.org/a_(b)?c=d), javascript:alert(1) and http://x.org."
    parts = run(page, "/static/text.js", f"it.linkParts('{said}')")
    assert [part["href"] for part in parts if "href" in part] == ["https://example.org/a_(b)?c=d", "http://x.org"]
    assert "".join(part["text"] for part in parts) == said


@pytest.mark.parametrize(
    ("content", "jumbo"), [("☕🍰", True), ("👍🏽", True), ("ok 👍", False), ("12", False), ("", False)]
)
def test_a_few_emoji_alone_are_shown_large(page: Page, content: str, jumbo: bool) -> None:
    assert run(page, "/static/text.js", f"it.isJumbo('{content}')") is jumbo
