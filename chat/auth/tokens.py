"""Access tokens: signed, short-lived, for one session (RFC 7519)."""

import secrets
from typing import NamedTuple

import jwt

from chat.auth.keys import KeyRing, SigningKey
from chat.protocol.errors import TokenExpired, Unauthorized

ALGORITHM = "HS256"
ISSUER = AUDIENCE = "chat"
MAX_TOKEN_CHARACTERS = 2048
MAX_REMEMBERED = 8_192
_NOT_GOOD = "the access token is not good: sign in, or refresh it"
_CLAIMS = ["exp", "iat", "iss", "aud", "sub", "sid"]


class Claims(NamedTuple):
    """What a good token says; `expires_at` in Unix seconds."""

    user_id: str
    session_id: str
    expires_at: int


def issue(ring: KeyRing, *, user_id: str, session_id: str, now_s: float, ttl_s: int) -> str:
    """A token for a session, good for *ttl_s*."""
    key = ring.signing()
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": user_id,
        "sid": session_id,
        "iat": int(now_s),
        "exp": int(now_s) + ttl_s,
        "jti": secrets.token_hex(8),
    }
    return jwt.encode(claims, key.secret, algorithm=ALGORITHM, headers={"kid": key.kid})


class Verifier:
    """Says what tokens mean; one that was good is taken apart once, its key and its time are judged each time."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._good: dict[str, tuple[SigningKey, Claims]] = {}

    def __len__(self) -> int:
        return len(self._good)

    def verify(self, token: str, *, now_s: float) -> Claims:
        """What a token says, if it is ours. Raises `Unauthorized`; `TokenExpired` if only its time has run out."""
        known = self._good.get(token)
        if known is None or self._ring.verifying(known[0].kid) != known[0]:
            self._good.pop(token, None)
            known = _read(self._ring, token)
            if len(self._good) >= MAX_REMEMBERED:
                del self._good[next(iter(self._good))]
            self._good[token] = known
        claims = known[1]
        if claims.expires_at <= now_s:
            raise TokenExpired("the access token has expired: refresh it")
        return claims


def _read(ring: KeyRing, token: str) -> tuple[SigningKey, Claims]:
    """A token of ours, whenever it was good, and the key that signed it. Raises `Unauthorized`."""
    try:
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            raise Unauthorized(_NOT_GOOD)
        key = ring.verifying(str(jwt.get_unverified_header(token).get("kid")))
        if key is None:
            raise Unauthorized(_NOT_GOOD)
        said = jwt.decode(
            token,
            key.secret,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            # the clock is ours to pass in, so the time is judged by the caller
            options={"require": _CLAIMS, "verify_exp": False, "verify_iat": False},
        )
        return key, Claims(str(said["sub"]), str(said["sid"]), int(said["exp"]))
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as fault:
        raise Unauthorized(_NOT_GOOD) from fault
