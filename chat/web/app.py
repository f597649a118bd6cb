"""The Quart application: routes, the socket's view, what every answer carries, and the faults Quart itself finds."""

from pathlib import Path
from typing import Any, cast

import structlog
from quart import Quart, Response, Websocket, has_request_context, request, websocket
from werkzeug.exceptions import HTTPException, NotFound

from chat.protocol import asyncapi, openapi
from chat.protocol.errors import Fault
from chat.web.call import MAX_BODY_BYTES
from chat.web.hardening.inbound import Inbox
from chat.web.hardening.patience import PatientConnection
from chat.web.headers import ALONE, of_every_answer
from chat.web.problems import of_bug, of_http_exception
from chat.web.routes import ROUTES
from chat.web.routing import refused, register
from chat.web.site import Site
from chat.web.socket.bridge import KEY, Bridge
from chat.web.socket.handshake import authenticate, chosen_subprotocol
from chat.web.socket.session import Session
from chat.web.static import add_client

log = structlog.get_logger()


def create_app(site: Site, *, static: Path | None = None) -> Quart:
    """The application for *site*."""
    app = Quart("chat", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY_BYTES, BODY_TIMEOUT=None, RESPONSE_TIMEOUT=None)
    app.url_map.merge_slashes = False
    app.asgi_http_class = PatientConnection
    app.asgi_websocket_class = Bridge
    register(app, site, ROUTES)
    site.openapi = openapi.document(ROUTES, version=site.version.version)
    site.asyncapi = asyncapi.document(version=site.version.version)
    add_client(app, static or Path(__file__).parent / "static")

    @app.websocket("/chat")
    async def chat_socket() -> Response | None:
        return await _socket(site, cast("Websocket", websocket._get_current_object()))  # type: ignore[attr-defined]

    @app.errorhandler(HTTPException)
    async def framework_fault(error: HTTPException) -> Response:
        upgrade = not has_request_context()  # whatever may be at this path, no socket is
        response = of_http_exception(NotFound() if upgrade else error)
        if upgrade:
            response.headers.update(ALONE)
        method = "GET" if upgrade else request.method
        log.info("http", method=method, route=None, status=response.status_code)
        return response

    @app.errorhandler(Exception)
    async def bug(error: Exception) -> Response:
        return refused(of_bug(error, where="framework"))

    carried = [
        (name, name.lower(), value) for name, value in of_every_answer(public_url=site.settings.public_url).items()
    ]

    @app.after_request
    async def dress(response: Any) -> Any:
        own = {name.lower() for name, _ in response.headers}  # asked of werkzeug one by one, each is a search
        response.headers.extend((name, value) for name, lower, value in carried if lower not in own)
        if site.closing_connections and request.http_version < "2":
            response.headers["Connection"] = "close"
        return response

    return app


async def _socket(site: Site, asked: Websocket) -> Response | None:
    """The view of `GET /chat`: refuse before the upgrade, or serve the connection to its end."""
    bridge = cast("dict[str, Any]", asked.scope)[KEY]
    try:
        who = await authenticate(site, asked)
    except Fault as fault:
        log.info("socket.refused", code=fault.code)
        response = refused(fault)
        response.headers.update(ALONE)
        return response
    inbox, direct = Inbox(), site.settings.direct_writes
    subprotocol = chosen_subprotocol(asked.requested_subprotocols)
    sink = await bridge.accept(inbox, subprotocol=subprotocol, direct=direct)
    if sink is not None:
        session = Session(site, who, bridge, inbox=inbox, sink=sink)
        await bridge.hear(direct=direct)
        await session.run()
    return None
