"""Accounts, sessions and tickets over HTTP."""

from quart import Response

from chat.auth.sessions import SignedIn
from chat.protocol import commands
from chat.protocol.answers import SessionsAnswer, SignedInAnswer, TicketAnswer, UserAnswer
from chat.protocol.errors import Code
from chat.protocol.models import User
from chat.web.call import Call, created, done, ok
from chat.web.routing import RateOf, Route

TICKET_S = 30


def _signed_in(given: SignedIn) -> SignedInAnswer:
    return SignedInAnswer(
        user=given.user,
        access_token=given.access_token,
        refresh_token=given.refresh_token,
        expires_in=given.expires_in,
    )


async def register(call: Call, body: commands.Register) -> Response:
    """POST /auth/register"""
    accounts = call.site.chat.accounts
    given = await accounts.register(
        body.username,
        body.password,
        user_agent=call.user_agent,
        invite=body.invite if isinstance(body.invite, str) else None,
    )
    return created(_signed_in(given))


async def login(call: Call, body: commands.Login) -> Response:
    """POST /auth/login"""
    given = await call.site.chat.accounts.login(body.username, body.password, user_agent=call.user_agent)
    return ok(_signed_in(given))


async def refresh(call: Call, body: commands.Refresh) -> Response:
    """POST /auth/refresh"""
    return ok(_signed_in(await call.site.chat.sessions.refresh(body.refresh_token)))


async def logout(call: Call) -> Response:
    """POST /auth/logout"""
    await call.site.chat.sessions.logout(call.who)
    return done()


async def change_password(call: Call, body: commands.ChangePassword) -> Response:
    """POST /auth/password"""
    await call.site.chat.accounts.change_password(call.who, body.current_password, body.new_password)
    return done()


async def sessions(call: Call) -> Response:
    """GET /auth/sessions"""
    return ok(SessionsAnswer(sessions=await call.site.chat.sessions.list(call.who)))


async def end_session(call: Call, session_id: str) -> Response:
    """DELETE /auth/sessions/{id}"""
    await call.site.chat.sessions.end(call.who, session_id)
    return done()


async def end_others(call: Call) -> Response:
    """DELETE /auth/sessions"""
    await call.site.chat.sessions.end_others(call.who)
    return done()


async def ticket(call: Call) -> Response:
    """POST /auth/ws-ticket"""
    value = await call.site.chat.tickets.issue(call.who, origin=call.origin)
    return created(TicketAnswer(ticket=value, expires_in=TICKET_S))


async def me(call: Call) -> Response:
    """GET /me"""
    return ok(UserAnswer(user=User(id=call.who.user_id, username=call.who.username)))


async def erase(call: Call, body: commands.EraseAccount) -> Response:
    """DELETE /me"""
    await call.site.chat.accounts.erase(call.who, body.password)
    return done()


_NAME_FAULTS = (Code.NAME_EMPTY, Code.NAME_TOO_LONG)

ROUTES = (
    Route(
        method="POST",
        path="/auth/register",
        does="Make an account and sign in",
        handler=register,
        takes=commands.Register,
        answers={201: SignedInAnswer},
        codes=(*_NAME_FAULTS, Code.FORBIDDEN, Code.USERNAME_TAKEN),
        public=True,
        rate=RateOf.SIGN_IN,
    ),
    Route(
        method="POST",
        path="/auth/login",
        does="Sign in",
        handler=login,
        takes=commands.Login,
        answers={200: SignedInAnswer},
        codes=(Code.BAD_CREDENTIALS,),
        public=True,
        rate=RateOf.SIGN_IN,
    ),
    Route(
        method="POST",
        path="/auth/refresh",
        does="Exchange a refresh token for new tokens; a used one ends its session",
        handler=refresh,
        takes=commands.Refresh,
        answers={200: SignedInAnswer},
        codes=(Code.UNAUTHORIZED, Code.TOKEN_EXPIRED),
        public=True,
        rate=RateOf.SIGN_IN,
    ),
    Route(
        method="POST",
        path="/auth/logout",
        does="End this session and its sockets",
        handler=logout,
        answers={204: None},
    ),
    Route(
        method="POST",
        path="/auth/password",
        does="Change the password; ends all other sessions",
        handler=change_password,
        takes=commands.ChangePassword,
        answers={204: None},
        codes=(Code.BAD_CREDENTIALS,),
        rate=RateOf.SIGN_IN,
    ),
    Route(
        method="GET",
        path="/auth/sessions",
        does="List my sessions",
        handler=sessions,
        answers={200: SessionsAnswer},
    ),
    Route(
        method="DELETE",
        path="/auth/sessions/<session_id>",
        does="End one of my sessions",
        handler=end_session,
        answers={204: None},
        codes=(Code.NOT_FOUND,),
    ),
    Route(
        method="DELETE",
        path="/auth/sessions",
        does="End all my sessions but this",
        handler=end_others,
        answers={204: None},
    ),
    Route(
        method="POST",
        path="/auth/ws-ticket",
        does="Get a one-time ticket for a browser's WebSocket",
        handler=ticket,
        answers={201: TicketAnswer},
    ),
    Route(method="GET", path="/me", does="Who I am", handler=me, answers={200: UserAnswer}),
    Route(
        method="DELETE",
        path="/me",
        does="Erase my account; messages stay",
        handler=erase,
        takes=commands.EraseAccount,
        answers={204: None},
        codes=(Code.BAD_CREDENTIALS,),
        rate=RateOf.SIGN_IN,
    ),
)
