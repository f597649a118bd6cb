"""Accounts, sessions and tickets: who gets in, and who is put out."""

import asyncio

import pytest

from chat.protocol.errors import (
    BadCredentials,
    Code,
    Fault,
    Forbidden,
    NotFound,
    TokenExpired,
    Unauthorized,
    UsernameTaken,
)
from chat.protocol.events import MemberChanged
from chat.protocol.log import UserOp, Who
from chat.services import Chat
from chat.settings import Settings, read
from chat.storage import users
from chat.storage.ids import digest
from tests.chat.services.conftest import signed_in


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


def with_options(settings: Settings, **options: str) -> Settings:
    return read(settings.data_dir, options={"bcrypt_cost": "4"} | options, env={}, file={})


async def test_who_registers_is_signed_in_and_can_sign_in_again(chat: Chat, other: Chat) -> None:
    made = await chat.accounts.register("Ann", "correct horse", user_agent="browser\x00 1")
    again = await other.accounts.login("ANN", "correct horse")
    assert (again.user, again.expires_in) == (made.user, 900)
    who = await chat.sessions.authenticate(again.access_token)
    sessions = await other.sessions.list(who)
    assert [(s.current, s.user_agent) for s in sessions] == [(True, ""), (False, "browser 1")]


@pytest.mark.parametrize("name", ["ann", "ANN", "ａnn", "аnn", "admin"])
async def test_a_name_that_is_or_looks_taken_is_refused(chat: Chat, name: str) -> None:
    await signed_in(chat, "ann")
    with pytest.raises(UsernameTaken):
        await chat.accounts.register(name, "correct horse")


@pytest.mark.parametrize("lookalike", ["bоb", "ВОВ", "ꓐꓳꓐ", "Bоb"])
async def test_of_two_names_that_look_alike_the_second_is_refused_whichever_it_is(chat: Chat, lookalike: str) -> None:
    first = await signed_in(chat, lookalike)
    for name in ("bob", "BOB"):
        with pytest.raises(UsernameTaken):
            await chat.accounts.register(name, "correct horse")
    await chat.accounts.erase(first, "correct horse")
    await signed_in(chat, "bob")
    with pytest.raises(UsernameTaken):
        await chat.accounts.register(lookalike, "correct horse")


async def test_of_many_names_that_look_alike_registered_at_once_one_is_had(chat: Chat, other: Chat) -> None:
    names = ("bob", "bоb", "ВОВ", "ꓐꓳꓐ", "BOB", "Вob")
    tries = [c.accounts.register(name, "correct horse") for name in names for c in (chat, other)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(not isinstance(d, Exception) for d in done) == 1
    assert sum(isinstance(d, UsernameTaken) for d in done) == len(tries) - 1


async def test_two_who_register_one_name_at_once_are_told_apart(chat: Chat, other: Chat) -> None:
    tries = [c.accounts.register("ann", "correct horse") for c in (chat, other) * 3]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(not isinstance(d, Exception) for d in done) == 1
    assert sum(isinstance(d, UsernameTaken) for d in done) == 5


@pytest.mark.parametrize(
    ("name", "password", "field"), [("", "correct horse", "username"), ("ann", "short", "password")]
)
async def test_the_fault_says_which_field(chat: Chat, name: str, password: str, field: str) -> None:
    with pytest.raises(Fault) as fault:
        await chat.accounts.register(name, password)
    assert fault.value.field == field


@pytest.mark.parametrize("name", ["nobody-here", "ann", "\u202e", "x" * 100])
async def test_a_missing_user_and_a_wrong_password_do_the_same_work_and_get_the_same_answer(
    chat: Chat, name: str
) -> None:
    await signed_in(chat, "ann")
    before = chat.passwords.checks, chat.passwords.hashes
    with pytest.raises(BadCredentials) as fault:
        await chat.accounts.login(name, "wrong horse")
    assert (chat.passwords.checks, chat.passwords.hashes) == (before[0] + 1, before[1])
    assert str(fault.value) == "the username or the password is wrong"


async def test_passwords_count_whole_and_in_any_spelling(chat: Chat) -> None:
    long = "é" * 127
    await chat.accounts.register("ann", long + "a")
    await chat.accounts.login("ann", "e\u0301" * 127 + "a")
    with pytest.raises(BadCredentials):
        await chat.accounts.login("ann", long + "b")


async def test_a_hash_of_another_cost_is_renewed_at_sign_in(settings: Settings) -> None:
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1") as chat:
        await signed_in(chat, "ann")
    dearer = with_options(settings, bcrypt_cost="5")
    async with Chat.open(dearer, on_commit=lambda _: None, process_id="p_1") as chat:
        for hashes in (1, 1):
            await chat.accounts.login("ann", "correct horse")
            assert chat.passwords.hashes == hashes


async def test_an_access_token_runs_out(settings: Settings) -> None:
    clock = Clock()
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1", now=clock) as chat:
        made = await chat.accounts.register("ann", "correct horse")
        clock.now_s += 899
        assert (await chat.sessions.authenticate(made.access_token)).expires_at == clock.now_s + 1
        clock.now_s += 1
        with pytest.raises(TokenExpired):
            await chat.sessions.authenticate(made.access_token)


async def test_a_session_ended_anywhere_is_refused_everywhere_at_once(chat: Chat, other: Chat) -> None:
    made = await chat.accounts.register("ann", "correct horse")
    who = await other.sessions.authenticate(made.access_token)
    await chat.sessions.logout(who)
    with pytest.raises(Unauthorized):
        await other.sessions.authenticate(made.access_token)
    assert not await other.sessions.check(who.session_id)
    event = (await other.log.user_events(who.user_id, 0))[-1]
    assert (event.op, event.session_id) == (UserOp.SESSION_ENDED, who.session_id)


async def test_refreshing_rotates_and_a_reused_refresh_token_ends_the_session(chat: Chat, other: Chat) -> None:
    made = await chat.accounts.register("ann", "correct horse")
    second = await other.sessions.refresh(made.refresh_token)
    third = await chat.sessions.refresh(second.refresh_token)
    await chat.sessions.authenticate(third.access_token)
    with pytest.raises(Unauthorized):
        await other.sessions.refresh(made.refresh_token)
    for token in (third.access_token, second.access_token):
        with pytest.raises(Unauthorized):
            await chat.sessions.authenticate(token)
    with pytest.raises(Unauthorized):
        await chat.sessions.refresh(third.refresh_token)


@pytest.mark.parametrize("token", ["", "x", "é", "x" * 300])
async def test_a_made_up_refresh_token_is_refused(chat: Chat, token: str) -> None:
    with pytest.raises(Unauthorized):
        await chat.sessions.refresh(token)


async def test_an_unused_session_runs_out(settings: Settings) -> None:
    clock = Clock()
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1", now=clock) as chat:
        made = await chat.accounts.register("ann", "correct horse")
        clock.now_s += 31 * 86_400
        with pytest.raises(Unauthorized):
            await chat.sessions.refresh(made.refresh_token)


async def test_changing_the_password_ends_the_other_sessions_only(chat: Chat) -> None:
    made = await chat.accounts.register("ann", "correct horse")
    elsewhere = await chat.accounts.login("ann", "correct horse")
    who = await chat.sessions.authenticate(made.access_token)
    with pytest.raises(BadCredentials):
        await chat.accounts.change_password(who, "wrong horse", "battery staple")
    await chat.accounts.change_password(who, "correct horse", "battery staple")
    assert await chat.sessions.check(made.session_id)
    assert not await chat.sessions.check(elsewhere.session_id)
    await chat.accounts.login("ann", "battery staple")


async def test_sessions_are_ended_one_by_one_or_all_but_this(chat: Chat) -> None:
    made = await chat.accounts.register("ann", "correct horse")
    others = [await chat.accounts.login("ann", "correct horse") for _ in range(3)]
    who, stranger = await chat.sessions.authenticate(made.access_token), await signed_in(chat, "bob")
    await chat.sessions.end(who, others[0].session_id)
    for session_id in (others[0].session_id, stranger.session_id, "s_none"):
        with pytest.raises(NotFound):
            await chat.sessions.end(who, session_id)
    assert [s.id for s in await chat.sessions.list(who)] == [
        others[2].session_id, others[1].session_id, made.session_id
    ]  # fmt: skip
    await chat.sessions.end_others(who)
    assert [s.id for s in await chat.sessions.list(who)] == [made.session_id]


async def test_a_ticket_works_once_on_any_process(chat: Chat, other: Chat) -> None:
    ann = await signed_in(chat, "ann")
    ticket = await chat.tickets.issue(ann, origin="https://chat.example")
    done = await asyncio.gather(
        *(c.tickets.redeem(ticket, origin="https://chat.example") for c in (other, chat, other)),
        return_exceptions=True,
    )
    assert [d for d in done if isinstance(d, Who)] == [ann]
    assert sum(isinstance(d, Unauthorized) for d in done) == 2


@pytest.mark.parametrize("origin", [None, "https://evil.example"])
async def test_a_ticket_is_good_for_its_origin_only(chat: Chat, origin: str | None) -> None:
    ann = await signed_in(chat, "ann")
    ticket = await chat.tickets.issue(ann, origin="https://chat.example")
    for asked_from in (origin, "https://chat.example"):
        with pytest.raises(Unauthorized):
            await chat.tickets.redeem(ticket, origin=asked_from)


async def test_a_ticket_is_good_for_30_s_and_as_long_as_its_session(settings: Settings) -> None:
    clock = Clock()
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1", now=clock) as chat:
        ann = await signed_in(chat, "ann")
        late, orphan = [await chat.tickets.issue(ann, origin=None) for _ in range(2)]
        clock.now_s += 30
        with pytest.raises(Unauthorized):
            await chat.tickets.redeem(late, origin=None)
        clock.now_s -= 30
        await chat.sessions.logout(ann)
        with pytest.raises(Unauthorized):
            await chat.tickets.redeem(orphan, origin=None)
        with pytest.raises(Unauthorized):
            await chat.tickets.issue(ann, origin=None)


async def test_an_erased_account_leaves_its_messages_and_nothing_else(chat: Chat, other: Chat) -> None:
    ann, bob = await signed_in(chat, "ann"), await signed_in(chat, "bob")
    room = await chat.rooms.create(ann, "tea")
    await chat.rooms.join(bob, room.id)
    await chat.messages.send(ann, room.id, "still here")
    with pytest.raises(BadCredentials):
        await chat.accounts.erase(ann, "wrong horse")
    await chat.accounts.erase(ann, "correct horse")
    message = (await other.messages.history(bob, room.id)).messages[0]
    assert (message.content, message.sender.id, message.sender.username) == ("still here", ann.user_id, None)
    for event in await other.log.room_events(room.id, 0):
        if isinstance(event, MemberChanged) and event.user.id == ann.user_id:
            assert event.user.username is None
    after = await other.rooms.get(room.id)
    assert (after.member_count, after.owner and after.owner.id) == (1, bob.user_id)
    assert [m.user.id for m in await other.rooms.members(bob, room.id)] == [bob.user_id]
    ends = [event.op for event in await other.log.user_events(ann.user_id, 0)][-2:]
    assert ends == [UserOp.ACCOUNT_GONE, UserOp.SESSION_ENDED]  # sockets close with the first reason they hear
    assert not await other.sessions.check(ann.session_id)
    with pytest.raises(BadCredentials):
        await chat.accounts.login("ann", "correct horse")
    assert (await chat.accounts.register("ann", "correct horse")).user.id != ann.user_id


async def test_a_disabled_account_is_out_until_it_is_enabled(chat: Chat) -> None:
    ann = await signed_in(chat, "ann")
    await chat.store.writer.submit(users.disable, ann.user_id)
    assert not await chat.sessions.check(ann.session_id)
    with pytest.raises(BadCredentials):
        await chat.accounts.login("ann", "correct horse")
    ends = [event.op for event in await chat.log.user_events(ann.user_id, 0)][-2:]
    assert ends == [UserOp.ACCOUNT_GONE, UserOp.SESSION_ENDED]  # sockets close with the first reason they hear
    await chat.store.writer.submit(users.enable, ann.user_id)
    await chat.accounts.login("ann", "correct horse")


async def test_closed_registration_lets_nobody_in(settings: Settings) -> None:
    closed = with_options(settings, registration="closed")
    async with Chat.open(closed, on_commit=lambda _: None, process_id="p_1") as chat:
        with pytest.raises(Forbidden):
            await chat.accounts.register("ann", "correct horse")


async def test_an_invite_lets_one_person_in(settings: Settings) -> None:
    by_invite = with_options(settings, registration="invite")
    async with Chat.open(by_invite, on_commit=lambda _: None, process_id="p_1") as chat:
        ask = users.Invite(invite_hash=digest("welcome"), expires_ms=2**50)
        await chat.store.writer.submit(users.invite, ask)
        for wrong in (None, "guess", "é"):
            with pytest.raises(Forbidden) as fault:
                await chat.accounts.register("ann", "correct horse", invite=wrong)
            assert fault.value.code is Code.FORBIDDEN
        await chat.accounts.register("ann", "correct horse", invite="welcome")
        with pytest.raises(Forbidden):
            await chat.accounts.register("bob", "correct horse", invite="welcome")
