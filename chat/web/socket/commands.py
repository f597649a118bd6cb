"""Carries out the commands of one connection: in the order sent, answered in that order, sends pipelined."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from chat import metrics
from chat.fanout.frames import encode
from chat.protocol import commands
from chat.protocol.errors import Fault, RateLimited
from chat.protocol.events import Ack, Pong, Typing
from chat.protocol.models import User
from chat.storage.messages import Sent
from chat.storage.reactions import Reacted
from chat.web.limits import Bucket, too_fast
from chat.web.problems import of_bug
from chat.web.routes.messages import seq_within_reason
from chat.web.socket.answers import ack, refusal
from chat.web.socket.reader import Refused, read
from chat.web.socket.resume import resume

if TYPE_CHECKING:
    from chat.web.socket.session import Session

WINDOW = 128  # sends of one connection under way at once
NAMELESS_IN_A_ROW = 100
MAX_REFUSED = 1_000
PARDONED = 10  # of them, by a command within the rate: how fast the machine is must not decide who is closed
PROTOCOL, FLOODING = 4000, 4100
WITHOUT_TOKEN = ("auth", "ping")  # types of frames that an expired token does not stop


class Commands:
    """What one connection asks for. `handle` returns once the next command may be looked at."""

    def __init__(self, session: "Session", bucket: Bucket | None) -> None:
        self._session, self._bucket = session, bucket
        self._nameless = 0  # frames in a row without a usable id
        self._refused = 0  # commands over the rate, less those pardoned
        self._under_way = 0
        self._settled: asyncio.Future[None] | None = None  # somebody waits for a send under way

    async def handle(self, raw: bytes) -> None:
        """Carry out one frame and answer it; only a bug raises."""
        command = read(raw)
        if isinstance(command, Refused):
            await self.settled()
            served = command.re is None or command.kind in WITHOUT_TOKEN
            self._answer(refusal(command.re, self._not_now(without_token=served) or command.fault))
            self._count_nameless(command.re)
            return
        self._nameless = 0
        try:
            if fault := self._not_now(without_token=isinstance(command, commands.Auth | commands.Ping)):
                raise fault
            if not isinstance(command, commands.SendMessage):
                await self.settled()
            answer = await ACTS[type(command)](self, command)
        except Fault as fault:
            await self.settled()
            answer = refusal(command.id, fault)
        if answer is not None:
            self._answer(answer)

    def _not_now(self, *, without_token: bool) -> Fault | None:
        """Why nothing is served now, whatever the fields: the token, then the rate, which counts every frame."""
        over = self._over_rate()
        return over if without_token else self._session.expired() or over

    def _over_rate(self) -> RateLimited | None:
        """Count a frame, whatever is in it; what to answer if it is one too many. Who does not heed it is closed."""
        wait_s = self._bucket.take(self._session.site.loop_time()) if self._bucket is not None else 0.0
        self._refused = self._refused + 1 if wait_s else max(0, self._refused - PARDONED)
        if self._refused >= MAX_REFUSED:
            self._session.close(FLOODING, "flooding")
        return too_fast("commands", wait_s) if wait_s else None

    def _count_nameless(self, re: str | None) -> None:
        self._nameless = self._nameless + 1 if re is None else 0
        if self._nameless >= NAMELESS_IN_A_ROW:
            self._session.close(PROTOCOL, "frames without an id")

    def _answer(self, frame: bytes) -> None:
        self._session.outbox.send(frame)

    async def settled(self) -> None:
        """Wait until every send under way is answered."""
        while self._under_way:
            await self._one_settled()

    async def _one_settled(self) -> None:
        self._settled = asyncio.get_running_loop().create_future()
        try:
            await self._settled
        finally:
            self._settled = None

    # Sending: queued in order, answered by the writer in that order, before the event goes out.

    async def _send(self, command: commands.SendMessage) -> None:
        session, started = self._session, time.perf_counter()
        session.site.message_rate.check(session.who.user_id, session.site.loop_time())
        while self._under_way >= WINDOW:
            await self._one_settled()
        session.site.chat.messages.post(
            session.who,
            command.room_id,
            command.content,
            command.client_id if isinstance(command.client_id, str) else None,
            connection_id=session.connection_id,
            told=partial(self._sent, command.id, started),
        )
        self._under_way += 1

    def _sent(self, re: str, started: float, outcome: Sent | Exception) -> None:
        self._under_way -= 1
        if self._settled is not None and not self._settled.done():
            self._settled.set_result(None)
        match outcome:
            case Sent():
                metrics.messages.sent(time.perf_counter() - started)
                delivered = Ack(re=re, status="delivered", message=outcome.message, duplicate=outcome.duplicate)
                self._answer(encode(delivered))
            case Fault():
                self._answer(refusal(re, outcome))
            case Exception():
                self._answer(refusal(re, of_bug(outcome, where="message")))

    # The others: one at a time.

    async def _react(self, command: commands.React | commands.Unreact) -> None:
        reactions = self._session.site.chat.reactions
        act = reactions.add if isinstance(command, commands.React) else reactions.remove
        acknowledge = partial(self._reacted, command.id)
        await act(self._session.who, command.message_id, command.emoji, acknowledge=acknowledge)

    def _reacted(self, re: str, reacted: Reacted) -> None:
        self._answer(ack(re, message_id=reacted.message_id, reactions=reacted.reactions))

    async def _view(self, command: commands.View) -> bytes:
        if command.room_id is not None:
            await self._require_member(command.room_id)
        self._session.site.hub.view(self._session.subscriber, command.room_id)
        return ack(command.id)

    async def _read(self, command: commands.Read) -> bytes:
        session = self._session
        read_seq, unread = await session.site.chat.reading.move(
            session.who, command.room_id, seq_within_reason(command.seq), connection_id=session.connection_id
        )
        return ack(command.id, read_seq=read_seq, unread=unread)

    async def _typing(self, command: commands.StartTyping) -> bytes:
        await self._require_member(command.room_id)
        who = self._session.who
        event = Typing(room_id=command.room_id, user=User(id=who.user_id, username=who.username))
        self._session.site.hub.tell_room(command.room_id, event, but_user=who.user_id)
        return ack(command.id)

    async def _require_member(self, room_id: str) -> None:
        session = self._session
        if not session.site.hub.listens(session.subscriber, room_id):
            await session.site.chat.log.require_member(session.who, room_id)

    async def _resume(self, command: commands.Resume) -> bytes:
        await resume(self._session, epoch=command.epoch, rooms=command.rooms)
        return ack(command.id)

    async def _auth(self, command: commands.Auth) -> bytes:
        return ack(command.id, token_expires_at=await self._session.authenticate(command.access_token))

    async def _ping(self, command: commands.Ping) -> bytes:
        return encode(Pong(re=command.id))


ACTS: dict[type[commands.Body], Callable[[Commands, Any], Awaitable[bytes | None]]] = {
    commands.SendMessage: Commands._send,
    commands.React: Commands._react,
    commands.Unreact: Commands._react,
    commands.View: Commands._view,
    commands.Read: Commands._read,
    commands.StartTyping: Commands._typing,
    commands.Resume: Commands._resume,
    commands.Auth: Commands._auth,
    commands.Ping: Commands._ping,
}
