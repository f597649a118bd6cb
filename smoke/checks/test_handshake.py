"""Who may open a WebSocket: decided before the upgrade, told as a problem."""

from collections.abc import Mapping

from smoke.expect import same, true
from smoke.visit import Person, Visit
from smoke.wire import Socket, refused_handshake


def _must_be(answer: tuple[int, object], status: int, code: str, what: str) -> None:
    body = answer[1] if isinstance(answer[1], Mapping) else {}
    same(f"upgrade {what}", (answer[0], body.get("code")), (status, code))


def test_no_token(visit: Visit) -> None:
    """a WebSocket without a token is refused with 401 before the upgrade"""
    _must_be(refused_handshake(visit.url), 401, "unauthorized", "without a token")


def test_wrong_token(visit: Visit) -> None:
    """a WebSocket with a wrong token, or any token in the query, is 401"""
    _must_be(refused_handshake(visit.url, token="not-a-token"), 401, "unauthorized", "with a wrong token")  # noqa: S106  # wrong on purpose
    _must_be(refused_handshake(visit.url, query="token=x"), 401, "unauthorized", "with a token in the query")


def test_foreign_origin(visit: Visit, ada: Person) -> None:
    """a WebSocket opened by another site's page is 403"""
    refusal = refused_handshake(visit.url, token=ada.http.token, origin="https://elsewhere.invalid")
    _must_be(refusal, 403, "origin_not_allowed", "from another origin")


def test_ticket(visit: Visit, ada: Person) -> None:
    """a ticket opens one WebSocket, once"""
    answer = ada.http.post("/auth/ws-ticket")
    ticket = answer.must_have(201, "ticket")
    same("expires_in of a ticket", answer.body.get("expires_in"), 30)
    with Socket(visit.url, ticket=ticket) as socket:
        same("user of the ticket's socket", socket.hello.get("user"), ada.user)
    _must_be(refused_handshake(visit.url, query=f"ticket={ticket}"), 401, "unauthorized", "with a used ticket")


def test_hello(ada: Person) -> None:
    """a WebSocket begins with hello and negotiates no compression"""
    with ada.socket() as socket:
        same("negotiated extensions", socket.extensions, [])
        same("user in hello", socket.hello.get("user"), ada.user)
        lacking = {"version", "connection_id", "epoch", "heartbeat_ms", "token_expires_at", "limits", "rooms"}
        lacking -= set(socket.hello)
        true("all documented fields in hello", not lacking, seen={"lacking": sorted(lacking)})
        same("answer to ping", socket.ask("ping").get("type"), "pong")
