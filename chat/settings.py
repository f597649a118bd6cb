"""The server's settings: read once from options, environment and `chat.toml`, every fault reported together."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

PREFIX = "CHAT_"
FILE_NAME = "chat.toml"


class Registration(StrEnum):
    """Who may make an account."""

    OPEN = "open"
    CLOSED = "closed"
    INVITE = "invite"


class SettingsFault(Exception):
    """Settings that cannot be used; `faults` names each with its value and the remedy."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(self.faults)


class Rule(NamedTuple):
    """How one setting is read, and what `chat serve --help` says of it."""

    read: Callable[[str], Any]
    help: str


def _setting(read: Callable[[str], Any], default: Any, text: str) -> Any:
    return field(default=default, metadata={"rule": Rule(read, text)})


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(raw: str) -> int:
        if not (raw.isascii() and raw.removeprefix("-").isdigit() and least <= int(raw) <= most):
            raise ValueError(f"a whole number from {least} to {most}")
        return int(raw)

    return read


def _seconds(least: float, most: float) -> Callable[[str], float]:
    def read(raw: str) -> float:
        try:
            value = float(raw)
        except ValueError:
            value = -1.0
        if not least <= value <= most:
            raise ValueError(f"seconds from {least:g} to {most:g}")
        return value

    return read


def _bind(raw: str) -> str:
    if raw.startswith("unix:") and len(raw) > len("unix:"):
        return raw
    host, _, port = raw.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError("HOST:PORT, [IPV6]:PORT or unix:PATH")
    return raw


def _origin(raw: str) -> str:
    parts = urlsplit(raw)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"} or parts.query:
        raise ValueError("an origin such as https://chat.example.org")
    return f"{parts.scheme}://{parts.netloc}".lower()


def _origins(raw: str) -> tuple[str, ...]:
    return tuple(_origin(item.strip()) for item in raw.split(",") if item.strip())


def _database_url(raw: str) -> str:
    if not raw.startswith("sqlite:///") or raw == "sqlite:///":
        raise ValueError("sqlite:///PATH (four slashes for an absolute path)")
    return raw


def _bus_url(raw: str) -> str:
    if urlsplit(raw).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("redis://HOST:PORT/DB")
    return raw


def _path(raw: str) -> Path:
    return Path(raw).expanduser()


def _text(raw: str) -> str:
    return raw


def _flag(raw: str) -> bool:
    if raw not in {"on", "off"}:
        raise ValueError("on or off")
    return raw == "on"


def _registration(raw: str) -> Registration:
    try:
        return Registration(raw)
    except ValueError as fault:
        raise ValueError("open, closed or invite") from fault


_DAYS = 36_500


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one server process runs with. A rate or retention of 0 means: no limit."""

    data_dir: Path
    bind: str = _setting(_bind, "127.0.0.1:8000", "address to listen on")
    database_url: str = _setting(_database_url, "", "database; unset: chat.db in the data directory")
    bus_url: str | None = _setting(_bus_url, None, "Redis between machines (not in this release); unset: none")
    tls_cert: Path | None = _setting(_path, None, "file with the certificate chain (PEM); with a key: serve HTTPS")
    tls_key: Path | None = _setting(_path, None, "file with the certificate's private key (PEM)")
    public_url: str | None = _setting(_origin, None, "own origin, as browsers see it")
    allowed_origins: tuple[str, ...] = _setting(_origins, (), "further origins, separated by commas")
    trusted_proxies: int = _setting(_whole(0, 10), 0, "hops of proxies to believe in X-Forwarded-For")
    registration: Registration = _setting(_registration, Registration.OPEN, "open, closed or invite")
    access_ttl_s: int = _setting(_whole(1, 86_400), 900, "how long an access token is good")
    auth_grace_s: float = _setting(_seconds(0, 3600), 25.0, "from a token's expiry to close 4110")
    heartbeat_ms: int = _setting(_whole(50, 600_000), 20_000, "time between pings on a WebSocket")
    drain_s: float = _setting(_seconds(0, 3600), 5.0, "how long closing takes at shutdown")
    bcrypt_cost: int = _setting(_whole(4, 31), 12, "work factor of password hashes")
    metrics_token: str | None = _setting(_text, None, "bearer token for /metrics away from loopback")
    rate_messages_per_s: int = _setting(_whole(0, 1_000_000), 10, "messages per user (burst: 4 seconds' worth)")
    rate_commands_per_s: int = _setting(_whole(0, 1_000_000), 30, "commands per WebSocket")
    rate_auth_per_min: int = _setting(_whole(0, 1_000_000), 30, "sign-in attempts per address")
    max_sockets_per_user: int = _setting(_whole(1, 100_000), 20, "WebSockets one user may hold")
    max_rooms_per_user: int = _setting(_whole(1, 100_000), 1000, "rooms one user may be in")
    direct_writes: bool = _setting(
        _flag, True, "on or off: frames pass between us and the transport, beneath the server's stream"
    )
    session_days: int = _setting(_whole(1, _DAYS), 30, "days an unused session can still be refreshed")
    keep_user_log_days: int = _setting(_whole(1, _DAYS), 2, "days that rows of users' own logs are kept")
    keep_room_log_days: int = _setting(_whole(0, _DAYS), 0, "days that rooms' events are kept; 0: for ever")

    @property
    def burst(self) -> int:
        """Messages a user may send at once (0: no limit)."""
        return 4 * self.rate_messages_per_s


def rules() -> dict[str, tuple[Rule, Any]]:
    """Every setting but `data_dir`: its rule and its default, in the order of the help."""
    return {f.name: (f.metadata["rule"], None if f.default is MISSING else f.default) for f in fields(Settings)[1:]}


def load(options: Mapping[str, str | None], env: Mapping[str, str]) -> Settings:
    """Read the settings: *options* before environment before `chat.toml` in the data directory.

    Keys of *options* and of the file are field names (`data_dir`, `bind`, …; the file may write `data-dir` too).
    Raises `SettingsFault` with every fault found.
    """
    data_dir = Path(options.get("data_dir") or env.get(PREFIX + "DATA_DIR") or _default_data_dir(env)).expanduser()
    path = data_dir / FILE_NAME
    try:
        file = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        file = {}
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as fault:
        raise SettingsFault([f"{path}: {fault}"]) from fault
    return read(data_dir, options=options, env=env, file=file)


def read(
    data_dir: Path, *, options: Mapping[str, str | None], env: Mapping[str, str], file: Mapping[str, Any]
) -> Settings:
    """The pure part of `load`: choose each value by precedence and judge it."""
    faults, values = [], {}
    file = {key.replace("-", "_"): value for key, value in file.items()}
    known = rules()
    faults += [f"{FILE_NAME}: unknown setting {key!r}" for key in file if key not in known]
    for name, (rule, _) in known.items():
        source, raw = _choose(name, options=options, env=env, file=file)
        if raw is None:
            continue
        try:
            values[name] = rule.read(raw)
        except ValueError as fault:
            faults.append(f"{source}: {raw!r} is not {fault}")
    if ("tls_cert" in values) != ("tls_key" in values):
        faults.append(f"{PREFIX}TLS_CERT and {PREFIX}TLS_KEY go together: give both or neither")
    if faults:
        raise SettingsFault(faults)
    data_dir = data_dir.absolute()
    values.setdefault("database_url", f"sqlite:///{quote(str(data_dir / 'chat.db'))}")
    return Settings(data_dir=data_dir, **values)


def _choose(
    name: str, *, options: Mapping[str, str | None], env: Mapping[str, str], file: Mapping[str, Any]
) -> tuple[str, str | None]:
    """Where the value comes from, and its text; an empty variable counts as unset."""
    if options.get(name) is not None:
        return f"--{name.replace('_', '-')}", options[name]
    if env.get(PREFIX + name.upper()):
        return PREFIX + name.upper(), env[PREFIX + name.upper()]
    if name in file:
        value = file[name]
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        return f"{FILE_NAME}: {name}", text
    return name, None


def _default_data_dir(env: Mapping[str, str]) -> Path:
    # The XDG Base Directory Specification; a relative XDG_DATA_HOME is to be ignored.
    home = env.get("XDG_DATA_HOME", "")
    base = Path(home) if home.startswith("/") else Path(env.get("HOME", "~")) / ".local" / "share"
    return base / "chat"
