"""Probes of the WebSocket handshake: who is let in, and with what."""

from opskit.security_review.case import Case
from opskit.security_review.service import Met, NoAnswer
from opskit.security_review.tokens import sign

FOREIGN = "https://attacker.example"
_MADE_UP = {"sub": "u_review", "iat": 1, "exp": 4102444800}


def strangers(case: Case) -> None:
    """A handshake without any token."""
    met = case.service.meet()
    if met.status == 404:
        raise NoAnswer("GET /chat answered 404: there is no WebSocket at /chat")
    if met.accepted and met.closed:
        case.find("ws-late-refusal", f"GET /chat without a token answered 101, then closed {met.closed}")
    elif met.accepted:
        case.find("ws-no-token", f"GET /chat without a token answered 101 and {_then(met)}")


def false_tokens(case: Case) -> None:
    """Tokens that are none, forged ones and unsigned ones, in the header and as a subprotocol."""
    _only_with_a_token(case)
    token = case.token
    forged = token.forged() if token else sign(_MADE_UP, {"alg": "HS256", "typ": "JWT"}, b"opskit")
    for by in ("header", "subprotocol"):
        for name, text in (("a made-up word", "opskit-review"), ("a token with a false signature", forged)):
            met = case.service.meet(token=text, by=by)
            if met.accepted and not met.closed:
                case.find("ws-forged-token", f"GET /chat with {name} in the {by} answered 101 and {_then(met)}")
        for text in token.unsigned() if token else ():
            met = case.service.meet(token=text, by=by)
            if met.accepted and not met.closed:
                case.find("ws-alg-none", f"GET /chat with an unsigned token in the {by} answered 101 and {_then(met)}")
    if token is None:
        case.skip("forged tokens made of a real one, alg=none", "the access token is no JWT, or there is none")


def query(case: Case) -> None:
    """A valid token in the query string."""
    token = case.user.access_token
    _only_with_a_token(case)
    for name in ("token", "access_token", "jwt", "auth"):
        met = case.service.meet(query=f"{name}={token}")
        if met.accepted and not met.closed:
            case.find("ws-token-in-query", f"GET /chat?{name}=… answered 101 and {_then(met)}")
            return


def foreign_origin(case: Case) -> None:
    """A valid token from a foreign web page; and what is negotiated."""
    own = case.service.meet(token=case.user.access_token)
    if not own.accepted:
        raise NoAnswer(f"GET /chat with a valid token answered {own.status}")
    if own.compressed:
        case.find("ws-compression", "the handshake answered Sec-WebSocket-Extensions: permessage-deflate")
    met = case.service.meet(token=case.user.access_token, origin=FOREIGN)
    if met.accepted and not met.closed:
        case.find("ws-origin", f"GET /chat with Origin: {FOREIGN} answered 101")


def tickets(case: Case) -> None:
    """A one-time ticket, twice."""
    answer = case.service.call("POST", "/auth/ws-ticket", token=case.user.access_token)
    ticket = answer.get("ticket")
    if not isinstance(ticket, str):
        raise NoAnswer(f"POST /auth/ws-ticket answered {answer.status}")
    if case.service.meet(query=f"ticket={ticket}").accepted:
        met = case.service.meet(query=f"ticket={ticket}")
        if met.accepted and not met.closed and "ws-no-token" not in case.found:
            case.find("ws-ticket-reuse", "the same ticket answered 101 twice")


def _only_with_a_token(case: Case) -> None:
    if "ws-no-token" in case.found:
        raise NoAnswer("whoever has no token is let in, so with which one cannot be told")


def _then(met: Met) -> str:
    return f"sent {met.said[:60]!r}" if met.said else "stayed open"
