"""Catching one connection up with a room: from the encoded tail where it reaches, else from the log."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from chat import metrics
from chat.fanout.frames import encode
from chat.protocol.errors import InvalidField, NotAMember, RoomNotFound
from chat.protocol.events import MemberChanged, Reset, Resumed
from chat.web.waiting import until

if TYPE_CHECKING:
    from chat.web.socket.session import Session

TOO_FAR = 1_000
PAGE = 200
WRITE_AHEAD_BYTES = 128 * 1024  # of replayed events handed over and not taken by the peer
STALLED_S = 30.0
FOLLOWING_S = 2.0  # for this node to hear of a membership made on another

Reason = Literal["epoch", "too_far", "ahead", "not_a_member", "deleted"]


async def resume(session: "Session", *, epoch: str, rooms: dict[str, int]) -> None:
    """Answer a `resume`: for each room what was missed and `resumed`, or `reset`."""
    if any(rev < 0 for rev in rooms.values()):
        raise InvalidField("rooms", "a rev is 0 or more")
    for room_id, rev in rooms.items():
        async with session.replaying:
            outcome = await _resume_room(session, room_id, rev, same_epoch=epoch == session.site.chat.epoch)
        metrics.resumes.labels(outcome.reason if isinstance(outcome, Reset) else "resumed").inc()
        session.subscriber.send(outcome)


async def _resume_room(session: "Session", room_id: str, rev: int, *, same_epoch: bool) -> Resumed | Reset:
    """Catch up with one room and say how far, or say why not."""
    log = session.site.chat.log
    try:
        head = (await log.catch_up(session.who, room_id, after_rev=min(rev, MAX_REV), limit=1)).head_rev
    except (RoomNotFound, NotAMember) as gone:
        return await _gone(session, room_id, deleted=isinstance(gone, RoomNotFound))
    if reason := _reason(rev, head, same_epoch=same_epoch):
        return Reset(room_id=room_id, reason=reason, head_rev=head)
    session.site.hub.note_head(room_id, head)
    reached = await replay(session, room_id, after=rev, least=head)
    if reached is None:
        return Reset(room_id=room_id, reason="not_a_member", head_rev=None)
    return Resumed(room_id=room_id, from_rev=rev, to=reached)


async def _gone(session: "Session", room_id: str, *, deleted: bool) -> Reset:
    """The reset of a room that is not the user's any more, after what this node had not told of its end yet."""
    hub, log = session.site.hub, session.site.chat.log
    heard = hub.heard(session.subscriber, room_id)
    if heard is not None:
        await _say_goodbye(session, room_id, heard)
    existed = deleted and await log.room_events(room_id, 0, 1)
    return Reset(room_id=room_id, reason="deleted" if existed else "not_a_member", head_rev=None)


MAX_REV = 2**53


def _reason(rev: int, head: int, *, same_epoch: bool) -> Reason | None:
    if not same_epoch:
        return "epoch"
    if rev > head:
        return "ahead"
    return "too_far" if head - rev > TOO_FAR else None


async def replay(session: "Session", room_id: str, *, after: int, least: int = 0) -> int | None:
    """Send a room's events after a rev while its live ones are held, then let those go on from there.

    It goes up to *least* even where this node has not heard of so much yet: another process may have told the client.
    Returns the rev reached; None when the user is not (or no longer) a member. What the caller queues next comes
    before any live event.
    """
    hub, subscriber = session.site.hub, session.subscriber
    if not await until(lambda: hub.hold(subscriber, room_id), within_s=FOLLOWING_S):
        return None
    reached = after
    while not session.closing:
        try:
            frames = await _next_frames(session, room_id, reached, least=least)
        except (NotAMember, RoomNotFound):
            await _say_goodbye(session, room_id, reached)
            return None
        left = hub.held_until(subscriber, room_id)
        for rev, frame in _portion(frames):
            if left is None or rev <= left:
                session.outbox.send(frame)
                reached = rev
        level = reached >= (least if left is None else left) or not frames
        if level and hub.release(subscriber, room_id, after=reached):
            return reached if left is None else None
        await _paced(session)
    return None


def _portion(frames: list[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """As many as may be handed over at once: more, and a peer that does read would count as a slow one."""
    size = 0
    for rev, frame in frames:
        yield rev, frame
        size += len(frame)
        if size >= WRITE_AHEAD_BYTES:
            return


async def _next_frames(session: "Session", room_id: str, after: int, *, least: int) -> list[tuple[int, bytes]]:
    """The next events as frames, at most a page; none past *least* when this node has delivered no further."""
    entries = session.site.hub.tail(room_id, after)
    if entries or (entries is not None and after >= least):
        return [(entry.rev, entry.frame) for entry in entries[:PAGE]]
    page = await session.site.chat.log.catch_up(session.who, room_id, after_rev=after, limit=100)
    return [(event.rev, encode(event)) for event in page.events]


async def _say_goodbye(session: "Session", room_id: str, after: int) -> None:
    """The membership ended meanwhile: what came up to the own leave (or the room's end) still belongs to the user."""
    session.site.hub.drop(session.subscriber, room_id)
    for event in await session.site.chat.log.room_events(room_id, after, PAGE):
        session.subscriber.send(event)
        if isinstance(event, MemberChanged) and event.op == "leave" and event.user.id == session.who.user_id:
            return


async def _paced(session: "Session") -> None:
    """Let others run, and wait for a peer that takes its time; one that takes nothing is closed."""
    await asyncio.sleep(0)
    if not await until(
        lambda: session.closing or session.outbox.backlog_bytes() < WRITE_AHEAD_BYTES, within_s=STALLED_S
    ):
        session.overflow()
