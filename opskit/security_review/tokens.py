"""JSON Web Tokens taken apart and forged (RFC 7519, RFC 7515), as values."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
# What documentation, templates and tutorials put there; tried offline on one token, never sent.
KNOWN_SECRETS = (
    "", "secret", "secretkey", "secret-key", "secret_key", "my-secret", "mysecret", "my_secret_key", "jwt-secret",
    "jwt_secret", "jwtsecret", "jwt-secret-key", "your-256-bit-secret", "your-secret-key", "your_secret_key",
    "super-secret", "supersecret", "super-secret-key", "change-me", "changeme", "change_me", "CHANGE_ME", "CHANGEME",
    "please-change-me", "dev", "development", "dev-secret", "dev-secret-key", "test", "test-secret", "testing", "chat",
    "chat-secret", "default", "password", "admin", "key", "private", "token", "0" * 32, "a" * 32,
    "a-string-secret-at-least-256-bits-long", "dev-secret-do-not-use-in-production", "insecure-secret-key",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """A signed token, taken apart."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signing_input: str
    signature: str

    @property
    def life_s(self) -> float | None:
        """How long it lives from its issue, None without `exp`."""
        exp, iat = self.claims.get("exp"), self.claims.get("iat")
        if not isinstance(exp, int | float):
            return None
        return exp - iat if isinstance(iat, int | float) else 0.0

    def weak_secret(self) -> str | None:
        """The well-known secret it is signed with, if it is one."""
        digest = _HASHES.get(str(self.header.get("alg")))
        if digest is None:
            return None
        for secret in KNOWN_SECRETS:
            made = hmac.new(secret.encode(), self.signing_input.encode(), digest).digest()
            if hmac.compare_digest(_pack(made), self.signature):
                return secret
        return None

    def forged(self) -> str:
        """The same claims, signed with a key that the service cannot know."""
        return sign(self.claims, {**self.header, "alg": "HS256"}, secrets.token_bytes(32))

    def unsigned(self) -> list[str]:
        """The same claims without a signature, in the spellings that checks for `none` have missed."""
        body = self.signing_input.partition(".")[2]
        return [f"{_part({**self.header, 'alg': name})}.{body}." for name in ("none", "None")]


def take_apart(token: str) -> Token | None:
    """The parts of a JWT in compact form; None for any other text."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in parts[:2])
    except ValueError:
        return None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return None
    return Token(header, claims, f"{parts[0]}.{parts[1]}", parts[2])


def sign(claims: Mapping[str, Any], header: Mapping[str, Any], key: bytes) -> str:
    """A token with these claims, HMAC-SHA-256."""
    signing_input = f"{_part(header)}.{_part(claims)}"
    return f"{signing_input}.{_pack(hmac.new(key, signing_input.encode(), hashlib.sha256).digest())}"


def _part(value: Mapping[str, Any]) -> str:
    return _pack(json.dumps(value, separators=(",", ":")).encode())


def _pack(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
