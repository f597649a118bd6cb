"""The one table of routes: what a call is, what it takes and answers; and the checks every call passes, in order."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto

import structlog
from quart import Quart, Request, Response, request
from werkzeug.exceptions import HTTPException

from chat import metrics, text
from chat.protocol.errors import Code, Fault, InvalidJson, InvalidText, Unauthorized
from chat.protocol.log import Who
from chat.protocol.openapi import Operation
from chat.web.call import Call, read_body
from chat.web.peers import address_of, bearer_of, check_origin, is_local, neighbourhood_of
from chat.web.problems import of_bug, of_http_exception, problem
from chat.web.site import Site

log = structlog.get_logger()

Handler = Callable[..., Awaitable[Response]]


class RateOf(Enum):
    """Which limit a call counts towards."""

    NOTHING = auto()
    SIGN_IN = auto()
    MESSAGES = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Operation):
    """One call of the contract and who handles it."""

    handler: Handler
    rate: RateOf = RateOf.NOTHING

    @property
    def limited(self) -> bool:
        """Whether the call may be told `rate_limited`."""
        return self.rate is not RateOf.NOTHING


def register(app: Quart, site: Site, routes: tuple[Route, ...]) -> None:
    """Add *routes* to the application."""
    for route in routes:
        name = f"{route.method} {route.path}"
        app.add_url_rule(
            route.path,
            endpoint=name.replace(".", "_"),
            view_func=_view(site, route),
            methods=[route.method],
        )


def _view(site: Site, route: Route) -> Callable[..., Awaitable[Response]]:
    async def view(**places: str) -> Response:
        started = time.perf_counter()
        facts: dict[str, str] = {}
        try:
            call = await _checked(site, route, request._get_current_object(), facts=facts)  # type: ignore[attr-defined]  # the proxy's own
            _gate(places)
            arguments = [] if route.takes is None else [call.body(route.takes)]
            response = await route.handler(call, *arguments, **places)
        except Fault as fault:
            response, facts["code"] = refused(fault), str(fault.code)
        except HTTPException as error:
            response = of_http_exception(error)
        except TimeoutError:
            response = refused(InvalidJson("the body did not arrive in time"))
            response.headers["Connection"] = "close"
        except Exception as error:  # noqa: BLE001 - boundary: a bug answers 500 with an incident id
            response = refused(of_bug(error, where=f"{route.method} {route.path}"))
        seconds = time.perf_counter() - started
        metrics.requests.labels(route.method, route.path, str(response.status_code)).observe(seconds)
        took_ms = round(seconds * 1000, 1)
        log.info("http", method=route.method, route=route.path, status=response.status_code, ms=took_ms, **facts)
        return response

    return view


def _gate(places: dict[str, str]) -> None:
    """What stands in the path passes the gate that every string from outside passes."""
    for name, value in places.items():
        try:
            text.gate(value)
        except text.TextFault as fault:
            raise InvalidText(Code(fault.code), str(fault), field=name) from fault


def refused(fault: Fault) -> Response:
    """*fault* as an answer, counted."""
    metrics.errors.labels(Code(fault.code).value).inc()
    return problem(fault)


async def _checked(site: Site, route: Route, asked: Request, *, facts: dict[str, str]) -> Call:
    """Origin, authentication, rate, size: the contract's order. Who asks is added to *facts* as far as it is known."""
    headers, settings = asked.headers, site.settings
    origin = check_origin(
        headers,
        public_url=settings.public_url,
        allowed=settings.allowed_origins,
        encrypted=asked.scheme == "https",
    )
    address = address_of(headers, asked.remote_addr or "", trusted_proxies=settings.trusted_proxies)
    if route.rate is RateOf.SIGN_IN:
        facts["address"] = address  # for whoever watches for guessing
    who = None if route.public else await _who(site, asked)
    if who is not None:
        facts |= {"user": who.user_id, "session": who.session_id}
    match route.rate:
        case RateOf.SIGN_IN if not is_local(headers, address, trusted_proxies=settings.trusted_proxies):
            site.auth_rate.check(neighbourhood_of(address), site.loop_time())
        case RateOf.MESSAGES if who is not None:
            site.message_rate.check(who.user_id, site.loop_time())
        case _:
            pass
    raw = await read_body(asked) if asked.method not in {"GET", "HEAD"} else b""
    return Call(site=site, request=asked, address=address, origin=origin, signed_in=who, raw=raw)


async def _who(site: Site, asked: Request) -> Who:
    token = bearer_of(asked.headers)
    if token is None:
        raise Unauthorized("send Authorization: Bearer with an access token")
    return await site.chat.sessions.authenticate(token)
