"""Probes of sessions and tokens: what still works when it should have ended, and what never ends."""

import time
from contextlib import suppress

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from opskit.security_review.case import Case
from opskit.security_review.service import NoAnswer, Person, asked

DAY_S = 86_400
PROTECTED = ("/me", "/me/rooms", "/auth/sessions", "/rooms")


def without_token(case: Case) -> None:
    """Calls that belong to a user, as a stranger and with false tokens."""
    token = case.token
    false = [("http-no-token", "no token", "")]
    if token:
        false += [("http-forged-token", "a token with a false signature", token.forged())]
        false += [("http-alg-none", "an unsigned token", text) for text in token.unsigned()]
    for path in PROTECTED:
        for id_, name, text in false:
            answer = case.service.call("GET", path, token=text)
            if answer.status == 200 and isinstance(answer.body, dict) and "http-no-token" not in case.found:
                case.find(id_, f"GET {path} with {name} answered 200")


def lifetime(case: Case) -> None:
    """What a token says of itself: its key, if that is a known one, and its end."""
    me, token = case.user, case.token
    if token is None:
        raise NoAnswer("the access token is no JWT")
    if (secret := token.weak_secret()) is not None:
        case.find("token-weak-secret", f"the access token verifies with the secret {secret!r}")
    if token.life_s is None:
        case.find("token-no-expiry", "the access token has no exp")
    elif max(token.life_s, me.expires_in_s) > DAY_S:
        case.find("token-long-life", f"an access token lives {max(token.life_s, me.expires_in_s) / 3600:.0f} h")


def ended(case: Case) -> None:
    """A session that was signed out: its socket, its token over HTTP, its token in a new handshake."""
    session = case.session()
    socket = _socket(case, session)
    try:
        answer = case.service.call("POST", "/auth/logout", token=session.access_token)
        if answer.status not in (200, 204):
            raise NoAnswer(f"POST /auth/logout answered {answer.status}")
        if socket is not None and (how := _still_open(socket, case.service.settle_s)):
            case.find("ws-revoked-session", f"{case.service.settle_s:g} s after POST /auth/logout its socket {how}")
    finally:
        if socket is not None:
            socket.close()
    anybody = "http-no-token" in case.found
    if not anybody and case.service.call("GET", "/me", token=session.access_token).status == 200:
        case.find("http-revoked-token", "GET /me with the token of a session signed out answered 200")
    met = case.service.meet(token=session.access_token)
    if met.accepted and not met.closed and "ws-no-token" not in case.found:
        case.find("ws-revoked-token", "GET /chat with the token of a session signed out answered 101")


def refresh(case: Case) -> None:
    """A refresh token, twice."""
    session = case.session()
    if not session.refresh_token:
        raise NoAnswer("sign-in gave no refresh_token")
    body = {"refresh_token": session.refresh_token}
    first = case.service.call("POST", "/auth/refresh", body)
    if first.status != 200:
        raise NoAnswer(f"POST /auth/refresh answered {first.status}")
    if case.service.call("POST", "/auth/refresh", body).status == 200:
        case.find("refresh-reuse", "POST /auth/refresh answered 200 twice to the same token")
        with suppress(NoAnswer):
            case.service.call("POST", "/auth/logout", token=str(first.get("access_token")))


def expiry(case: Case) -> None:
    """What an expired token still does, if one expires soon enough."""
    lives_s = case.user.expires_in_s
    if not lives_s or lives_s > case.max_wait_s:
        raise NoAnswer(f"an access token lives {lives_s:g} s; to wait for its end: --max-wait {lives_s + 5:g}")
    session = case.session()
    socket = _socket(case, session)
    try:
        time.sleep(max(0.0, session.signed_in_at + lives_s + 1.5 - time.monotonic()))
        if case.service.call("GET", "/me", token=session.access_token).status == 200:
            case.find("http-expired-token", "GET /me with an expired token answered 200")
        met = case.service.meet(token=session.access_token)
        if met.accepted and not met.closed and "ws-no-token" not in case.found:
            case.find("ws-expired-token", "GET /chat with an expired token answered 101")
        if socket is not None:
            said = asked(socket, {"type": "view", "room_id": None}, within_s=case.service.settle_s)
            if any(frame.get("type") == "ack" for frame in said):
                case.find("ws-expired-session", "a command on a socket whose token had expired was carried out")
    finally:
        if socket is not None:
            socket.close()


def _socket(case: Case, session: Person) -> ClientConnection | None:
    try:
        return case.service.dial(token=session.access_token)
    except (InvalidStatus, NoAnswer):
        case.skip("sockets of ended and expired sessions", "no socket could be opened")
        return None


def _still_open(socket: ClientConnection, within_s: float) -> str:
    """ "" once the server has closed it."""
    deadline = time.monotonic() + within_s
    try:
        while (left_s := deadline - time.monotonic()) > 0:
            socket.recv(timeout=left_s)
    except ConnectionClosed:
        return ""
    except TimeoutError:
        pass
    answered = asked(socket, {"type": "ping"}, within_s=within_s)
    return "is open and answers" if answered else "is open" if socket.close_code is None else ""
