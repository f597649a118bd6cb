"""Access tokens: signed, short-lived, for one session (RFC 7519)."""

import secrets
from typing import NamedTuple

import jwt

from chat.auth.keys import KeyRing
from chat.protocol.errors import TokenExpired, Unauthorized

ALGORITHM = "HS256"
ISSUER = AUDIENCE = "chat"
MAX_TOKEN_CHARACTERS = 2048
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


def verify(ring: KeyRing, token: str, *, now_s: float) -> Claims:
    """What a token says, if it is ours. Raises `Unauthorized`; `TokenExpired` if only its time has run out."""
    try:
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            raise Unauthorized("the access token is not good")
        key = ring.verifying(str(jwt.get_unverified_header(token).get("kid")))
        if key is None:
            raise Unauthorized("the access token is not good")
        said = jwt.decode(
            token,
            key.secret,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            # the clock is ours to pass in, so the time is judged below
            options={"require": _CLAIMS, "verify_exp": False, "verify_iat": False},
        )
        claims = Claims(str(said["sub"]), str(said["sid"]), int(said["exp"]))
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as fault:
        raise Unauthorized("the access token is not good") from fault
    if claims.expires_at <= now_s:
        raise TokenExpired("the access token has expired")
    return claims
