"""Every weakness the review knows: its stable id, severity, title, risk and remedy. What was seen joins the risk."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Severity(IntEnum):
    """S0 critical · S1 major · S2 minor · S3 cosmetic, or only to be known."""

    S0 = 0
    S1 = 1
    S2 = 2
    S3 = 3


class Weakness(NamedTuple):
    """A row of the catalogue."""

    severity: Severity
    title: str
    risk: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A weakness that this service has, and what showed it."""

    id: str
    weakness: Weakness
    seen: str

    @property
    def severity(self) -> Severity:
        """Of the weakness."""
        return self.weakness.severity

    def as_json(self) -> dict[str, str]:
        """`{id, severity, title, risk, remedy}`."""
        kind = self.weakness
        risk = f"{kind.risk}. Seen: {self.seen}"
        return {
            "id": self.id,
            "severity": kind.severity.name,
            "title": kind.title,
            "risk": risk,
            "remedy": kind.remedy,
        }


_S0, _S1, _S2, _S3 = Severity
_ANYONE = "Anyone reads and writes as a user, without a password"
_VERIFY = "Verify signature, algorithm, expiry and session of the token; answer 401 before the upgrade completes"
_FIXED_ALG = 'Verify with one fixed algorithm (PyJWT: algorithms=["HS256"], require=["exp"]), never the token\'s own'
_CLOSE = "On logout, revocation and password change close the session's sockets (4011) and refuse its tokens at once"

WEAKNESSES: dict[str, Weakness] = {
    # the WebSocket handshake
    "ws-no-token": Weakness(
        _S0, "The upgrade handshake accepts connections without a token", _ANYONE, _VERIFY
    ),
    "ws-forged-token": Weakness(
        _S0, "The upgrade handshake accepts a token with a false signature", _ANYONE, _VERIFY
    ),
    "ws-alg-none": Weakness(_S0, "The upgrade handshake accepts an unsigned token (alg=none)", _ANYONE, _FIXED_ALG),
    "ws-expired-token": Weakness(
        _S1, "The upgrade handshake accepts an expired token", "A token that leaked once opens sockets for ever",
        "Check exp in the handshake; answer 401",
    ),
    "ws-revoked-token": Weakness(
        _S1, "The upgrade handshake accepts the token of an ended session",
        "Signing out does not keep a thief of the token out", "Look the session up in every handshake; answer 401",
    ),
    "ws-late-refusal": Weakness(
        _S2, "Strangers are refused only after the upgrade",
        "Whoever has no token still takes a connection and its memory", "Answer 401 before the upgrade completes",
    ),
    "ws-token-in-query": Weakness(
        _S2, "The access token is accepted in the query string", "Tokens end up in access logs, proxies and histories",
        "Take it from the Authorization header or a subprotocol; for browsers a one-time ticket",
    ),
    "ws-ticket-reuse": Weakness(
        _S1, "A one-time ticket opens more than one connection", "A ticket seen in a log is as good as a password",
        "Burn the ticket in the handshake, across all processes",
    ),
    "ws-origin": Weakness(
        _S2, "The handshake does not check Origin", "A foreign web page opens sockets in its visitors' browsers",
        "Refuse an Origin that is neither the own nor on an exact allow-list, with 403 (RFC 6455, section 10.2)",
    ),
    "ws-compression": Weakness(
        _S2, "permessage-deflate is negotiated", "A small frame inflates to hundreds of MiB",
        "Do not negotiate it (Hypercorn does by itself), or bound the inflated size",
    ),
    # sessions and tokens
    "ws-revoked-session": Weakness(
        _S2, "Sockets of an ended session stay open", "Who was signed out, or a thief, goes on reading", _CLOSE
    ),
    "ws-expired-session": Weakness(
        _S2, "Long-lived sockets are served past the expiry of their token",
        "A socket opened once is a session without an end", "From exp on serve only re-authentication; then close 4110",
    ),
    "http-revoked-token": Weakness(
        _S1, "The token of an ended session still works over HTTP", "Signing out does not keep a thief out", _CLOSE
    ),
    "http-expired-token": Weakness(
        _S1, "An expired token still works over HTTP", "A leaked token works for ever", "Check exp; answer 401"
    ),
    "http-no-token": Weakness(
        _S0, "Calls that belong to a user are answered without a token", "Anyone reads users' data",
        "Authenticate every call but the public ones; answer 401",
    ),
    "http-forged-token": Weakness(
        _S0, "Calls are answered for a token with a false signature", _ANYONE, _FIXED_ALG
    ),
    "http-alg-none": Weakness(_S0, "Calls are answered for an unsigned token (alg=none)", _ANYONE, _FIXED_ALG),
    "token-weak-secret": Weakness(
        _S0, "Tokens are signed with a secret everybody knows", "Anyone makes a valid token for any user",
        "Sign with 32 random bytes made at the first start, kept out of the repository; then end all sessions",
    ),
    "token-no-expiry": Weakness(
        _S1, "Access tokens have no expiry", "A token that leaked once works for ever", "Set exp, 15 minutes ahead"
    ),
    "token-long-life": Weakness(
        _S3, "Access tokens live longer than a day", "A leaked token works for long",
        "Minutes for access tokens; a refresh token that rotates for the rest",
    ),
    "refresh-reuse": Weakness(
        _S1, "A refresh token works twice", "Who steals one keeps a session that never ends, unseen",
        "Rotate refresh tokens and end the whole session when a used one comes again (RFC 9700, section 4.14)",
    ),
    # membership
    "ws-membership-resume": Weakness(
        _S2, "Membership is not re-validated on reconnect", "Who left or was removed goes on reading the room",
        "Read memberships from the database at connect and for every room of a resume; answer reset not_a_member",
    ),
    "ws-membership-live": Weakness(
        _S1, "An open socket goes on hearing a room its user has left", "Who was removed goes on reading the room",
        "Let leaving and removal act on live sockets at once",
    ),
    "http-membership": Weakness(
        _S1, "Rooms are readable or writable by users who are not members", "Private conversations are not private",
        "Check membership in every call below a room; answer 403",
    ),
    # HTTP
    "cors-wildcard": Weakness(
        _S2, "CORS allows every origin", "Any web page may read the service's answers in a visitor's browser",
        "Send no Access-Control-Allow-Origin, or exact origins",
    ),
    "cors-credentials": Weakness(
        _S1, "CORS reflects any origin and allows credentials", "Any web page acts as its signed-in visitor",
        "Never reflect Origin; exact origins only",
    ),
    "header-nosniff": Weakness(
        _S3, "X-Content-Type-Options is missing", "A browser may run as script what users wrote", "Send nosniff"
    ),
    "header-frame": Weakness(
        _S3, "Pages may be framed", "Clicks can be stolen from users (clickjacking)",
        "Content-Security-Policy: frame-ancestors 'none', X-Frame-Options: DENY",
    ),
    "header-csp": Weakness(
        _S3, "The web page has no Content-Security-Policy", "A script that gets in once runs with full rights",
        "default-src 'none' and what the page needs from 'self'",
    ),
    "header-referrer": Weakness(
        _S3, "Referrer-Policy is missing", "Addresses of rooms leak to sites that users follow links to",
        "Send no-referrer",
    ),
    "header-cache": Weakness(
        _S3, "Answers with tokens may be cached", "Tokens stay in a proxy or on a shared machine",
        "Cache-Control: no-store",
    ),
    "cookie-flags": Weakness(
        _S2, "A cookie lacks HttpOnly, Secure or SameSite", "Scripts, plain HTTP or foreign pages get at the session",
        "Set all three",
    ),
    "metrics-open": Weakness(
        _S2, "/metrics is open to strangers", "Load, routes and errors are public", "Loopback or a token only"
    ),
    "no-tls": Weakness(
        _S1, "The service is reached over plain HTTP", "Passwords and messages can be read on the way",
        "TLS in front (docs/deploying-behind-a-proxy.md); redirect port 80",
    ),
    "tls-certificate": Weakness(
        _S1, "The certificate does not verify", "Clients that go on regardless talk to anybody",
        "A certificate for this name from an authority that clients know; renew it by machine",
    ),
    "no-hsts": Weakness(
        _S3, "Strict-Transport-Security is missing", "The first visit by http can be intercepted",
        "Strict-Transport-Security: max-age=31536000; the chat sends it where CHAT_PUBLIC_URL is https",
    ),
    "exposed-files": Weakness(
        _S0, "Private files are served", "Source, history or secrets are public",
        "Serve one directory of static files, without dot files",
    ),
    "path-traversal": Weakness(
        _S0, "Files outside the web root are served", "Every file the process can read is public",
        "Join paths safely (werkzeug.utils.safe_join) and serve one directory",
    ),
    # input and errors
    "error-traceback": Weakness(
        _S2, "Error pages show the code's inside", "Paths, versions and queries help whoever attacks",
        "Debug off; a problem document with an incident id, the trace in the log only",
    ),
    "error-500": Weakness(
        _S2, "Malformed input causes a server error", "What was not thought of may be more than an error",
        "Validate input at the edge; answer 400 with the field",
    ),
    "body-size": Weakness(
        _S2, "Oversize bodies are accepted", "Memory can be filled by one client", "Limit the body; answer 413"
    ),
    "frame-size": Weakness(
        _S2, "Oversize frames are accepted", "Memory can be filled by one client", "Limit frames; close 1009"
    ),
    # accounts
    "user-enumeration": Weakness(
        _S2, "Sign-in tells whether a user exists", "Names can be harvested, then their passwords tried",
        "The same status and text for an unknown user and a wrong password",
    ),
    "user-enumeration-timing": Weakness(
        _S2, "The time of a sign-in tells whether a user exists", "Names can be harvested",
        "Verify against a dummy hash when the user is unknown",
    ),
    "no-signin-limit": Weakness(
        _S2, "Sign-in is not rate-limited", "Passwords can be guessed without an end",
        "Limit by address and account; answer 429 with Retry-After",
    ),
    "default-account": Weakness(
        _S0, "A default account can sign in", "Anyone is an administrator", "Remove it, or give it a random password"
    ),
    "short-password": Weakness(
        _S2, "Passwords of one character are accepted", "Accounts are guessed at once", "At least 8 characters"
    ),
    "password-leak": Weakness(
        _S1, "Answers carry the password or its hash", "Whoever sees an answer can sign in or crack it",
        "Build answers from the public fields only",
    ),
    "registration-open": Weakness(
        _S3, "Anyone may register (for information)", "Strangers get accounts",
        "CHAT_REGISTRATION=closed or invite where that is not meant",
    ),
}  # fmt: skip


def finding(id_: str, seen: str) -> Finding:
    """The finding *id_* with what showed it."""
    return Finding(id_, WEAKNESSES[id_], seen)
