"""HTTPS by the chat's own certificate, and through the sites in docs/, run by the real nginx and Caddy."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.chat.certificate import NAME, Certificate, make_certificate
from tests.chat.server import PASSWORD, Socket, free_port, nonce, running, wait_until
from tests.conftest import lacking

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def own_tls(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[str]:
    """The chat with its own certificate; its URL."""
    tmp_path = tmp_path_factory.mktemp("own-tls")
    port = free_port()
    url = f"https://{NAME}:{port}"
    command = ["-m", "chat", "serve", "--tls-cert", str(certificate.cert), "--tls-key", str(certificate.key)]
    command += ["--bind", f"127.0.0.1:{port}", "--data-dir", str(tmp_path), "--public-url", url]
    with _started([sys.executable, *command, "--bcrypt-cost", "4"], url, certificate, tmp_path):
        yield url


@contextlib.contextmanager
def _started(command: list[str], url: str, certificate: Certificate, folder: Path) -> Iterator[None]:
    """A process that serves *url*, from its first answer on."""
    with (folder / "process.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(
            lambda: _answers(process, url, certificate),
            within_s=60,
            what=lambda: (folder / "process.log").read_text()[-2000:],
        )
        yield
    finally:
        process.terminate()
        process.wait(20)


def _answers(process: "subprocess.Popen[bytes]", url: str, certificate: Certificate) -> bool:
    if process.poll() is not None:
        raise AssertionError(f"{process.args!r} ended with {process.returncode}")
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/healthz", verify=certificate.trust, timeout=2).status_code == 200
    return False


def nginx(folder: Path, backend: int, port: int, certificate: Certificate) -> list[str]:
    """The command that serves the nginx site of the docs on *port*, in front of *backend*."""
    site = (DOCS / "nginx.conf").read_text()
    for old, new in (
        ("listen 443 ssl http2", f"listen 127.0.0.1:{port} ssl http2"),
        ("chat.example.org", NAME),
        ("/etc/ssl/chat/fullchain.pem", str(certificate.cert)),
        ("/etc/ssl/chat/privkey.pem", str(certificate.key)),
        ("server 127.0.0.1:8000", f"server 127.0.0.1:{backend}"),
    ):
        assert old in site, old
        site = site.replace(old, new)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = (
        f"pid {folder}/nginx.pid; daemon off; error_log stderr; events {{}} http {{ access_log off; {paths} {site} }}"
    )
    (folder / "nginx.conf").write_text(whole)
    return [_program("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder)]


def caddy(folder: Path, backend: int, port: int, certificate: Certificate) -> list[str]:
    """The command that serves the Caddy site of the docs on *port*, in front of *backend*."""
    site = (DOCS / "Caddyfile").read_text()
    for old, new in (
        ("chat.example.org {", f"https://{NAME}:{port} {{\n\ttls {certificate.cert} {certificate.key}"),
        ("reverse_proxy 127.0.0.1:8000", f"reverse_proxy 127.0.0.1:{backend}"),
    ):
        assert old in site, old
        site = site.replace(old, new)
    options = f"{{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system {folder}\n}}\n"
    (folder / "Caddyfile").write_text(options + site)
    return [_program("caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        lacking(f"{name} is not installed", install=f"apt-get install {name}")
        raise AssertionError  # lacking does not return
    return found


Proxy = Callable[[Path, int, int, Certificate], list[str]]


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def behind_proxy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> Iterator[str]:
    """The chat behind a proxy that serves a site of the docs; the proxy's URL."""
    tmp_path = tmp_path_factory.mktemp("proxy")
    make: Proxy = request.param
    port = free_port()
    url = f"https://{NAME}:{port}"
    with running(
        tmp_path / "chat", CHAT_PUBLIC_URL=url, CHAT_TRUSTED_PROXIES="1", CHAT_RATE_AUTH_PER_MIN="600"
    ) as server:
        folder = tmp_path / "proxy"
        folder.mkdir()
        with _started(make(folder, server.port, port, certificate), url, certificate, folder):
            yield url


async def two_people_talk(url: str, certificate: Certificate) -> None:
    """Sign in, and talk over WebSockets as a browser does: with a ticket, and an Origin."""
    async with httpx.AsyncClient(base_url=url, verify=certificate.trust, timeout=20) as http:
        tokens = []
        for _ in range(2):
            answer = await http.post("/auth/register", json={"username": nonce("p"), "password": PASSWORD})
            assert answer.status_code == 201, answer.text
            tokens.append({"Authorization": f"Bearer {answer.json()['access_token']}", "Origin": url})
        room = (await http.post("/rooms", json={"name": nonce("café ☕")}, headers=tokens[0])).json()["room"]
        assert (await http.post(f"/rooms/{room['id']}/join", headers=tokens[1])).status_code == 200
        async with entered(http, url, tokens[0], certificate) as ann, entered(http, url, tokens[1], certificate) as bob:
            ack = await ann.say(room["id"], "hello ☕️ " + "x" * 3000)
            assert (await bob.expect("message"))["message"] == ack["message"]
            await bob.say(room["id"], "and back")
            assert (await ann.expect("message", room_id=room["id"]))["message"]["seq"] == 1


@contextlib.asynccontextmanager
async def entered(
    http: httpx.AsyncClient, url: str, headers: dict[str, str], certificate: Certificate
) -> AsyncIterator[Socket]:
    """A WebSocket opened with a ticket."""
    ticket = (await http.post("/auth/ws-ticket", headers=headers)).json()["ticket"]
    target = url.replace("https", "wss") + f"/chat?ticket={ticket}"
    async with connect(
        target, ssl=certificate.trust, additional_headers={"Origin": url}, proxy=None, compression="deflate"
    ) as connection:
        assert "Sec-WebSocket-Extensions" not in (connection.response.headers if connection.response else {})
        socket = Socket(connection)
        assert (await socket.receive())["type"] == "hello"
        yield socket


async def test_people_talk_over_the_chats_own_tls(own_tls: str, certificate: Certificate) -> None:
    await two_people_talk(own_tls, certificate)


def test_the_chat_with_a_certificate_speaks_https_alone(own_tls: str, certificate: Certificate) -> None:
    answer = httpx.get(f"{own_tls}/healthz", verify=certificate.trust)
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    with pytest.raises(httpx.TransportError):
        httpx.get(own_tls.replace("https", "http") + "/healthz")


async def test_people_talk_through_the_proxy_sites_of_the_docs(behind_proxy: str, certificate: Certificate) -> None:
    await two_people_talk(behind_proxy, certificate)


async def test_a_proxy_hides_the_metrics_and_lets_nobody_bring_an_address(
    behind_proxy: str, certificate: Certificate
) -> None:
    async with httpx.AsyncClient(base_url=behind_proxy, verify=certificate.trust) as http:
        assert (await http.get("/metrics")).status_code == 404
        body = {"username": "nobody", "password": "whatever"}
        for spoofed in ("203.0.113.1", "203.0.113.2"):
            answer = await http.post("/auth/login", json=body, headers={"X-Forwarded-For": spoofed})
            assert answer.status_code == 401
        evil = {"Origin": "https://evil.example"}
        assert (await http.post("/auth/login", json=body, headers=evil)).status_code == 403
    target = behind_proxy.replace("https", "wss") + "/chat"
    with pytest.raises(InvalidStatus) as refused:
        await connect(target, ssl=certificate.trust, proxy=None)
    assert refused.value.response.status_code == 401
    assert b'"code":"unauthorized"' in (refused.value.response.body or b"")


def test_a_certificate_that_cannot_be_used_is_told_in_a_sentence(tmp_path: Path, certificate: Certificate) -> None:
    for options, code, words in (
        (["--tls-cert", str(tmp_path / "none.pem"), "--tls-key", str(certificate.key)], 1, "none.pem"),
        (["--tls-cert", str(certificate.cert), "--tls-key", str(certificate.cert)], 1, "cannot use the certificate"),
        (["--tls-cert", str(certificate.cert)], 2, "CHAT_TLS_KEY"),
    ):
        command = [
            sys.executable,
            "-m",
            "chat",
            "serve",
            "--data-dir",
            str(tmp_path),
            "--bind",
            f"127.0.0.1:{free_port()}",
        ]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == code, done
        assert words in done.stderr
        assert "Traceback" not in done.stderr
