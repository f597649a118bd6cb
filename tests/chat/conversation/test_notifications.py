"""Notifications: for whom, for whom not, merged, with the right name, and a preview that cuts no grapheme."""

import asyncio
import unicodedata

from tests.chat.server import Http, Server, Socket, connected, nonce

# One grapheme each (UAX #29), in the form in which it is sent.
GRAPHEMES = {
    "latin": "a",
    "latin, decomposed": "e\u0301",
    "a mark that composes with nothing": "q\u0323\u0307",
    "greek": "ᾧ",
    "cyrillic": "ё",
    "arabic": "بَ",
    "hebrew": "שׁ",
    "devanagari": "नि",
    "tamil": "நி",
    "thai": "ก็",
    "hangul, in jamo": "\u1112\u1161\u11ab",
    "han outside the basic plane": "𠮷",
    "emoji": "☕",
    "emoji with its selector": "❤️",
    "skin tone": "👍🏽",
    "family": "👩‍👩‍👧‍👦",
    "flag": "🇩🇪",
    "tag flag": "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "keycap": "1️⃣",
}
PREVIEW = 80


async def test_name_and_preview_are_right_for_every_script(pair: list[Server], https: list[Http]) -> None:
    ann, bob = await https[0].register(), await https[1].register()
    async with connected(bob, server=pair[1]) as b:
        for script, grapheme in GRAPHEMES.items():
            name = f"{grapheme * 3} {nonce()}"
            room = await https[0].create_room(ann, name)
            await https[0].join(bob, room["id"])
            await b.expect("member", room_id=room["id"])
            message = await https[0].send(ann, room["id"], grapheme * (PREVIEW + 1))
            told = await b.expect("notification", room_id=room["id"])
            assert told == {
                "type": "notification",
                "room_id": room["id"],
                "room_name": unicodedata.normalize("NFC", name),
                "message_id": message["id"],
                "sender": {"id": ann.id, "username": ann.username},
                "preview": grapheme * PREVIEW,
                "unread": 1,
            }, script


async def test_a_short_message_is_its_own_preview(pair: list[Server], https: list[Http]) -> None:
    ann, bob = await https[0].register(), await https[1].register()
    async with connected(bob, server=pair[1]) as b:
        room = await https[0].create_room(ann)
        await https[0].join(bob, room["id"])
        await https[0].send(ann, room["id"], "two\nlines 🇩🇪")
        assert (await b.expect("notification"))["preview"] == "two\nlines 🇩🇪"


async def notified(line: Socket, *, unread: int) -> list[int]:
    """The numbers of unread messages in the notifications up to one that says *unread*."""
    heard = [0]
    while heard[-1] != unread:
        heard.append((await line.expect("notification"))["unread"])
    return heard[1:]


async def test_further_messages_within_a_second_are_merged_on_every_process(
    pair: list[Server], https: list[Http]
) -> None:
    ann, bob = await https[0].register(), await https[0].register()
    room = await https[0].create_room(ann)
    await https[0].join(bob, room["id"])
    async with (
        connected(ann, server=pair[0]) as a,
        connected(bob, server=pair[0]) as b,
        connected(bob, server=pair[1]) as b_there,
    ):
        await a.say(room["id"], "the first")
        for line in (b, b_there):
            assert (await line.expect("notification", unread=1))["preview"] == "the first"
        for n in range(2, 11):
            await a.send({"type": "message", "id": f"m{n}", "room_id": room["id"], "content": f"number {n}"})
        newest = (await a.expect("ack", re="m10"))["message"]["id"]
        for heard in await asyncio.gather(notified(b, unread=10), notified(b_there, unread=10)):
            assert len(heard) <= 2, heard  # one, unless the machine took a second over the ten
        for line in (b, b_there):
            last = [frame for frame in line.seen if frame["type"] == "notification"][-1]
            assert (last["message_id"], last["preview"]) == (newest, "number 10")
            places = {f["message"]["id"]: at for at, f in enumerate(line.seen) if f["type"] == "message"}
            assert places[newest] < line.seen.index(last)  # it follows its message
        await a.nothing("notification")  # none for the author


async def test_only_the_connection_that_views_the_room_is_spared(pair: list[Server], https: list[Http]) -> None:
    ann, bob = await https[0].register(), await https[0].register()
    room, elsewhere = await https[0].create_room(ann), await https[0].create_room(ann)
    for place in (room, elsewhere):
        await https[0].join(bob, place["id"])
    async with connected(bob, server=pair[0]) as viewing, connected(bob, server=pair[1]) as other:
        assert (await viewing.ask("view", room_id=room["id"]))["type"] == "ack"
        await https[1].send(ann, room["id"], "seen")
        await viewing.expect("message")
        await other.expect("notification", room_id=room["id"])
        await viewing.nothing("notification")
        await https[1].send(ann, elsewhere["id"], "not seen")
        await viewing.expect("notification", room_id=elsewhere["id"])
        assert (await viewing.ask("view", room_id=None))["type"] == "ack"
        await https[1].send(ann, room["id"], "not looking")
        assert (await viewing.expect("notification", room_id=room["id"]))["unread"] == 2  # `view` moves nothing
