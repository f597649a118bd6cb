"""Health, version, metrics and the contract's documents over HTTP."""

import hmac

from quart import Response

from chat import metrics
from chat.protocol.answers import HealthAnswer, VersionAnswer
from chat.protocol.errors import Code, InvalidField, Unauthorized, Unavailable
from chat.web.call import Call, json_document, ok
from chat.web.peers import bearer_of, is_local
from chat.web.problems import problem
from chat.web.routing import Route, refused


async def healthz(_: Call) -> Response:
    """GET /healthz"""
    return ok(HealthAnswer())


async def readyz(call: Call) -> Response:
    """GET /readyz"""
    site = call.site
    failing = [*await site.chat.check(), *site.failing()]
    if site.draining:
        failing.append("draining")
    if not failing:
        return ok(HealthAnswer())
    return problem(Unavailable(f"not able to serve: {', '.join(failing)}"), failing=failing)


async def version(call: Call) -> Response:
    """GET /version"""
    running = call.site.version
    return ok(VersionAnswer(version=running.version, commit=running.commit, started_at=running.started_at))


async def not_upgraded(_: Call) -> Response:
    """GET /chat without an upgrade"""
    response = refused(
        InvalidField("Upgrade", "this is a WebSocket address: connect with a handshake of version 13 (RFC 6455)")
    )
    response.headers["Sec-WebSocket-Version"] = "13"
    return response


async def measured(call: Call) -> Response:
    """GET /metrics"""
    settings, headers = call.site.settings, call.request.headers
    if not is_local(headers, call.address, trusted_proxies=settings.trusted_proxies):
        given, wanted = bearer_of(headers) or "", settings.metrics_token
        if not wanted or not hmac.compare_digest(given.encode(), wanted.encode()):
            raise Unauthorized("metrics are for this machine, or with the metrics token")
    metrics.outbox_bytes.set(sum(socket.outbox.backlog_bytes() for socket in call.site.sockets))
    return Response(metrics.exposition(), content_type=metrics.CONTENT_TYPE)


async def openapi(call: Call) -> Response:
    """GET /openapi.json"""
    return json_document(call.site.openapi)


async def asyncapi(call: Call) -> Response:
    """GET /asyncapi.json"""
    return json_document(call.site.asyncapi)


ROUTES = (
    Route(
        method="GET",
        path="/openapi.json",
        does="This contract",
        handler=openapi,
        answers={200: None},
        media_type="application/json",
        public=True,
    ),
    Route(
        method="GET",
        path="/asyncapi.json",
        does="The WebSocket's contract",
        handler=asyncapi,
        answers={200: None},
        media_type="application/json",
        public=True,
    ),
    Route(method="GET", path="/healthz", does="Alive", handler=healthz, answers={200: HealthAnswer}, public=True),
    Route(
        method="GET",
        path="/readyz",
        does="Able to serve",
        handler=readyz,
        answers={200: HealthAnswer},
        codes=(Code.UNAVAILABLE,),
        public=True,
    ),
    Route(method="GET", path="/version", does="What runs", handler=version, answers={200: VersionAnswer}, public=True),
    Route(
        method="GET",
        path="/chat",
        does="The WebSocket; see the AsyncAPI document",
        handler=not_upgraded,
        answers={101: None},
        codes=(Code.INVALID_FIELD,),
    ),
    Route(
        method="GET",
        path="/metrics",
        does="Prometheus text, on loopback or with a token",
        handler=measured,
        answers={200: None},
        media_type="text/plain",
        codes=(Code.UNAUTHORIZED,),
        public=True,
    ),
)
