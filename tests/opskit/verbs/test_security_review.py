"""`opskit security-review` as it is called: on the real chat, on a faulty one, and wrongly."""

import json
import signal
import socket
from pathlib import Path

import httpx
import pytest

from tests.chat.certificate import make_certificate
from tests.chat.server import PASSWORD, Server, free_port, running
from tests.conftest import lacking
from tests.opskit.deploy.shop import wait_for
from tests.opskit.repos import Repos
from tests.opskit.security_review.faulty import FaultyChat, served

FIELDS = {"id", "severity", "title", "risk", "remedy"}


def own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


@pytest.mark.slow
def test_the_chat_has_no_finding_but_that_anyone_may_register(repos: Repos, tmp_path: Path) -> None:
    here = repos.project().here
    with running(tmp_path / "chat") as server:
        ran = here.opskit("security-review", "--url", server.url, "--json")
    assert ran.code == 0, ran.err
    assert [(found["id"], set(found)) for found in ran.json["findings"]] == [("registration-open", FIELDS)]
    unchecked = {each["what"] for each in ran.json["unchecked"]}
    assert unchecked == {"expired tokens", "/metrics for strangers", "TLS and HSTS", "limit of sign-ins"}
    assert ran.json["left"] == []
    (event,) = here.opskit("ledger", "show", "--kind", "security_review", "--json").json["events"]
    assert event["data"]["findings"] == [{"id": "registration-open", "severity": "S3"}]
    assert "ws-no-token" in event["data"]["checked"]


@pytest.mark.slow
def test_from_outside_nothing_is_left_unchecked_and_plain_http_is_a_finding(repos: Repos, tmp_path: Path) -> None:
    outside = own_address()
    if not outside or outside.startswith("127."):
        lacking("this machine has loopback only", install="ip addr add 192.0.2.2/24 dev eth0")
    port = free_port()
    settings = {"CHAT_RATE_AUTH_PER_MIN": "30", "CHAT_BIND": f"0.0.0.0:{port}", "CHAT_ACCESS_TTL_S": "8"}
    server = Server(port, tmp_path / "chat", settings).start()
    try:
        ran = repos.project().here.opskit("security-review", "--url", f"http://{outside}:{port}", "--json")
    finally:
        server.stop()
    assert {found["id"] for found in ran.json["findings"]} == {"registration-open", "no-tls"}
    assert (ran.code, ran.json["unchecked"], ran.json["left"]) == (1, [], [])
    assert not server.errors()


@pytest.mark.slow
def test_metrics_and_guesses_without_a_limit_are_found_from_outside(repos: Repos) -> None:
    outside = own_address()
    if not outside or outside.startswith("127."):
        lacking("this machine has loopback only", install="ip addr add 192.0.2.2/24 dev eth0")
    with served(FaultyChat("metrics-open", "no-signin-limit"), bind="0.0.0.0") as url:
        url = url.replace("0.0.0.0", outside)
        ran = repos.project().here.opskit("security-review", "--url", url, "--json")
    assert {"metrics-open", "no-signin-limit", "no-tls"} <= {found["id"] for found in ran.json["findings"]}


@pytest.mark.slow
def test_over_https_a_certificate_that_nobody_knows_is_a_finding_and_the_rest_is_looked_at(
    repos: Repos, tmp_path: Path
) -> None:
    made = make_certificate(tmp_path)
    port = free_port()
    tls = {
        "CHAT_TLS_CERT": str(made.cert),
        "CHAT_TLS_KEY": str(made.key),
        "CHAT_PUBLIC_URL": f"https://127.0.0.1:{port}",
    }
    server = Server(port, tmp_path / "chat", tls, trust=made.trust).start()
    try:
        ran = repos.project().here.opskit("security-review", "--url", server.url, "--json")
    finally:
        server.stop()
    assert {found["id"] for found in ran.json["findings"]} == {"registration-open", "tls-certificate"}
    assert {"no-hsts", "ws-no-token", "ws-membership-resume"} <= set(ran.json["checked"])


@pytest.mark.slow
def test_an_interrupt_leaves_no_account(repos: Repos) -> None:
    chat = FaultyChat()
    with served(chat) as url:
        process = repos.project().here.start("security-review", "--url", url)
        wait_for(lambda: len(chat.users) == 2, within_s=30)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert chat.users == {}


@pytest.mark.slow
def test_where_registration_is_closed_an_account_is_named(
    repos: Repos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = repos.project().here
    with running(tmp_path / "chat", CHAT_REGISTRATION="open") as server:
        account = {"username": "smoke", "password": PASSWORD}
        assert httpx.post(f"{server.url}/auth/register", json=account).status_code == 201
        server.stop()
        server.settings["CHAT_REGISTRATION"] = "closed"
        server.start()
        closed = here.opskit("security-review", "--url", server.url, "--json")
        monkeypatch.setenv("SMOKE_USERNAME", "smoke")
        monkeypatch.setenv("SMOKE_PASSWORD", PASSWORD)
        named = here.opskit("security-review", "--url", server.url, "--json")
        again = httpx.post(f"{server.url}/auth/login", json=account)
    why = {each["what"]: each["why"] for each in closed.json["unchecked"]}
    assert "set SMOKE_USERNAME and SMOKE_PASSWORD" in why["what only a signed-in user can see"]
    assert (closed.code, named.code, named.json["findings"]) == (0, 0, [])
    assert "ws-membership-resume" in named.json["checked"]
    assert again.status_code == 200


def test_a_handshake_that_takes_anybody_is_exit_1_and_named_with_its_remedy(repos: Repos) -> None:
    here = repos.project().here
    with served(FaultyChat("ws-no-token")) as url:
        ran = here.opskit("security-review", "--url", url)
    assert ran.code == 1
    assert "S0  ws-no-token: The upgrade handshake accepts connections without a token" in ran.out
    assert "-> Verify signature, algorithm, expiry and session of the token; answer 401 before the upgrade" in ran.out


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (("--url", "ftp://x"), "'ftp://x' is not the address of a service"),
        (("--url", "http://[::1"), "is not the address of a service"),
        (("--url", "http://x", "--target", "y"), "two ways to say the same thing"),
        (("--url", ""), "--url is empty"),
    ],
)
def test_a_wrong_call_names_the_value(repos: Repos, call: tuple[str, ...], says: str) -> None:
    ran = repos.project().here.opskit("security-review", *call, "--json")
    assert ran.code == 2
    assert says in json.loads(ran.out)["error"]


def test_what_does_not_answer_is_refused(repos: Repos) -> None:
    ran = repos.project().here.opskit("security-review", "--url", "http://127.0.0.1:9")
    assert ran.code == 3
    assert "http://127.0.0.1:9 does not answer" in ran.err


def test_a_dry_run_touches_nothing(repos: Repos) -> None:
    ran = repos.project().here.opskit("security-review", "--url", "http://127.0.0.1:9", "--dry-run", "--json")
    assert ran.code == 0
    assert "handshake without a token" in ran.json["plan"]
