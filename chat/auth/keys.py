"""The server's secrets: the pepper of password hashes and the keys that sign access tokens, in one file."""

import base64
import binascii
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec

FILE_NAME = "keys.json"
SECRET_BYTES = 64
LEAST_BYTES = 32  # RFC 7518 section 3.2: HS256 needs a key of at least the hash's size
LIVE_KEYS = 2


class KeysFault(Exception):
    """The file of keys cannot be used; the sentence says why and what to do, never what is in it."""

    def __init__(self, path: Path, why: str) -> None:
        self.path, self.why = path, why

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.why}. Restore it from a backup made with `chat backup --with-keys`; "
            "without its pepper no password verifies."
        )


class SigningKey(msgspec.Struct, frozen=True):
    """A key for access tokens, under the id that the tokens carry."""

    kid: str
    secret: bytes

    def __repr__(self) -> str:
        return f"SigningKey({self.kid})"


class Keys(msgspec.Struct, frozen=True):
    """The pepper, and the signing keys, newest first: it signs, all verify."""

    pepper: bytes
    signing: tuple[SigningKey, ...]

    def __repr__(self) -> str:
        return f"Keys({self.signing})"

    def find(self, kid: str) -> SigningKey | None:
        """The key with that id."""
        return next((key for key in self.signing if key.kid == kid), None)


class _File(msgspec.Struct):
    pepper: str
    signing: list[dict[str, str]]


def _new_key() -> SigningKey:
    return SigningKey(kid=f"k_{secrets.token_hex(6)}", secret=secrets.token_bytes(SECRET_BYTES))


def _encode(keys: Keys) -> bytes:
    signing = [{"kid": key.kid, "secret": base64.b64encode(key.secret).decode()} for key in keys.signing]
    file = _File(pepper=base64.b64encode(keys.pepper).decode(), signing=signing)
    return msgspec.json.format(msgspec.json.encode(file)) + b"\n"


def read(path: Path) -> Keys:
    """The keys in *path*. Raises `KeysFault` for a file that is damaged, or with secrets too short; `OSError`."""
    return parse(path.read_bytes(), path)


def parse(text: bytes, path: Path) -> Keys:
    """The keys in *text*, which is that of *path*. Raises `KeysFault`."""
    try:
        file = msgspec.json.decode(text, type=_File)
        keys = Keys(
            pepper=base64.b64decode(file.pepper, validate=True),
            signing=tuple(
                SigningKey(kid=key["kid"], secret=base64.b64decode(key["secret"], validate=True))
                for key in file.signing
            ),
        )
    except (msgspec.DecodeError, binascii.Error, KeyError, UnicodeDecodeError) as fault:
        raise KeysFault(path, "it is damaged") from fault
    if not keys.signing:
        raise KeysFault(path, "it has no signing key")
    if min(len(keys.pepper), *(len(key.secret) for key in keys.signing)) < LEAST_BYTES:
        raise KeysFault(path, f"it has a secret shorter than {LEAST_BYTES} bytes")
    return keys


def read_or_make(path: Path) -> Keys:
    """The keys in *path*, made with mode 0600 if there are none; two processes that start at once agree on them."""
    try:
        return read(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = Keys(pepper=secrets.token_bytes(SECRET_BYTES), signing=(_new_key(),))
        draft = _draft(path, made)
        try:
            with suppress(FileExistsError):
                os.link(draft, path)  # atomic, and whoever comes second keeps the first one's keys
        finally:
            draft.unlink()
        return read(path)


def rotate(path: Path) -> Keys:
    """Sign with a new key from now on; the previous one verifies until its last token has run out."""
    old = read(path)
    new = Keys(pepper=old.pepper, signing=(_new_key(), *old.signing)[:LIVE_KEYS])
    write(path, new)
    return new


def write(path: Path, keys: Keys) -> None:
    """Replace *path* atomically, mode 0600."""
    _draft(path, keys).replace(path)


def _draft(path: Path, keys: Keys) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=".keys-", dir=path.parent)  # mode 0600
    with os.fdopen(descriptor, "wb") as file:
        file.write(_encode(keys))
        file.flush()
        os.fsync(file.fileno())
    return Path(name)


class KeyRing:
    """The keys as they are now: read anew when the file was replaced, so that a rotation needs no restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys = read_or_make(path)
        self._stamp = self._stat()

    def _stat(self) -> tuple[int, int]:
        stat = self._path.stat()
        return stat.st_ino, stat.st_mtime_ns

    @property
    def pepper(self) -> bytes:
        """What passwords are mixed with before they are hashed."""
        return self._keys.pepper

    def signing(self) -> SigningKey:
        """The key to sign with."""
        self._refresh()
        return self._keys.signing[0]

    def verifying(self, kid: str) -> SigningKey | None:
        """The key of that id, if it is live."""
        found = self._keys.find(kid)
        if found is None:
            self._refresh()
            found = self._keys.find(kid)
        return found

    def _refresh(self) -> None:
        with suppress(OSError, KeysFault):  # whoever broke the file: what was good at start still is
            if self._stat() != self._stamp:
                self._keys, self._stamp = read(self._path), self._stat()
