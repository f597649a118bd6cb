"""Keys in a backup: sealed with a passphrase (scrypt, RFC 7914; AES-256-GCM, NIST SP 800-38D)."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

MAGIC = b"chat-keys-1\n"
SALT_BYTES, NONCE_BYTES = 16, 12
LEAST_CHARACTERS = 8


class CannotUnseal(Exception):
    """The passphrase is not the one, or the archive is damaged."""

    def __str__(self) -> str:
        return "the keys in the backup cannot be opened: wrong passphrase, or a damaged archive"


class WeakPassphrase(Exception):
    """Too short to protect keys."""

    def __str__(self) -> str:
        return f"a passphrase has at least {LEAST_CHARACTERS} characters"


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=2**15, r=8, p=1).derive(passphrase.encode())


def seal(plain: bytes, passphrase: str) -> bytes:
    """*plain* so that only the passphrase opens it. Raises `WeakPassphrase`."""
    if len(passphrase) < LEAST_CHARACTERS:
        raise WeakPassphrase
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    return MAGIC + salt + nonce + AESGCM(_key(passphrase, salt)).encrypt(nonce, plain, MAGIC)


def unseal(sealed: bytes, passphrase: str) -> bytes:
    """What was sealed. Raises `CannotUnseal`."""
    body = sealed.removeprefix(MAGIC)
    salt, nonce, rest = body[:SALT_BYTES], body[SALT_BYTES:][:NONCE_BYTES], body[SALT_BYTES + NONCE_BYTES :]
    if len(body) == len(sealed) or len(nonce) < NONCE_BYTES:
        raise CannotUnseal
    try:
        return AESGCM(_key(passphrase, salt)).decrypt(nonce, rest, MAGIC)
    except InvalidTag as fault:
        raise CannotUnseal from fault
