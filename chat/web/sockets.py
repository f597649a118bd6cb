"""The listening sockets a server process is given (systemd's socket activation) or makes itself, and READY=1."""

import os
import socket
import ssl
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from chat.web.hardening.listener import BACKLOG

FIRST_DESCRIPTOR = 3  # sd_listen_fds(3)


class CannotListen(Exception):
    """An address that this process cannot listen on; the sentence names it and the reason."""


@dataclass(frozen=True, slots=True)
class Listening:
    """The sockets of one process. *waits*: public ones are accepted on only after SIGUSR1."""

    public: tuple[socket.socket, ...]
    private: tuple[socket.socket, ...]

    @property
    def waits(self) -> bool:
        """Whether someone else decides when the public takes part."""
        return bool(self.private)

    def close_public(self) -> None:
        """Leave the public ones: who connects to an address that nobody else holds is refused, instead of waiting."""
        for listening in self.public:
            listening.close()

    def close(self) -> None:
        """Close them all."""
        for listening in (*self.public, *self.private):
            listening.close()


def listen(bind: str, env: MutableMapping[str, str]) -> Listening:
    """The inherited sockets, else one bound to *bind*; raises `CannotListen`. Takes its variables out of *env*."""
    return inherited(env) or Listening(public=(bound(bind),), private=())


def inherited(env: MutableMapping[str, str]) -> Listening | None:
    """The sockets of LISTEN_FDS, told apart by LISTEN_FDNAMES (`public`, `private`; unnamed ones are public)."""
    given, names, pid = (env.pop(key, "") for key in ("LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"))
    if not given or (pid and pid != str(os.getpid())):
        return None
    if not given.isdigit() or not 0 < int(given) < 64:
        raise CannotListen(f"LISTEN_FDS is {given!r}; it must be the number of sockets that were passed")
    public: list[socket.socket] = []
    private: list[socket.socket] = []
    for offset, name in zip(range(int(given)), [*names.split(":"), *[""] * int(given)], strict=False):
        descriptor = FIRST_DESCRIPTOR + offset
        try:
            os.set_inheritable(descriptor, False)
            listening = socket.socket(fileno=descriptor)
            listening.listen(BACKLOG)
        except OSError as fault:
            raise CannotListen(f"descriptor {descriptor} of LISTEN_FDS={given} is no socket: {fault}") from fault
        listening.setblocking(False)
        (private if name == "private" else public).append(listening)
    return Listening(tuple(public), tuple(private))


def bound(bind: str) -> socket.socket:
    """A socket listening on HOST:PORT, [IPV6]:PORT or unix:PATH; raises `CannotListen`."""
    family, address = _address(bind)
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_UNIX:
            Path(str(address)).unlink(missing_ok=True)
        else:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as fault:
        listening.close()
        raise CannotListen(f"cannot listen on {bind}: {fault.strerror or fault}") from fault
    listening.setblocking(False)
    return listening


def _address(bind: str) -> tuple[socket.AddressFamily, str | tuple[str, int]]:
    if bind.startswith("unix:"):
        return socket.AF_UNIX, bind.removeprefix("unix:")
    host, _, port = bind.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    return socket.AF_INET6 if ":" in host else socket.AF_INET, (host, int(port))


def tls_context(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """How public connections are encrypted, None without a certificate; raises `CannotListen`.

    HTTP/1.1 alone is negotiated: frames go straight to the transport there. TLS 1.2 is the least (RFC 9325).
    """
    if cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, password=lambda: b"")  # a key with a password is refused, not asked for
    except (OSError, ValueError) as fault:
        raise CannotListen(f"cannot use the certificate {cert} with the key {key}: {fault}") from fault
    return context


def url_of(listening: socket.socket, *, tls: bool = False) -> str:
    """Where people find it."""
    name = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if listening.family == socket.AF_INET6 else name[0]
    return f"{'https' if tls else 'http'}://{host}:{name[1]}"


def notify(state: str, env: Mapping[str, str]) -> None:
    """Tell the service manager *state* (sd_notify(3)); without NOTIFY_SOCKET there is nobody to tell."""
    path = env.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        try:
            channel.sendto(state.encode(), address)
        except OSError:
            return  # a manager that went away is no reason to stop serving
