"""Rooms: made, found, joined and named in any script."""

import json
from pathlib import Path
from typing import Any

import pytest

from smoke.expect import eventually, has, same, shown, true
from smoke.visit import Person, Visit

MANY = 5  # vectors of a kind; the others are for the tests of the text policy
VECTORS: list[dict[str, Any]] = [
    vector
    for vector in json.loads((Path(__file__).resolve().parent.parent / "text_vectors.json").read_text("utf-8"))
    if vector["field"] == "room_name"
]


def test_room_with_an_emoji(cafe: dict[str, Any], ada: Person, visit: Visit) -> None:
    """a room `cafe-☕` is created with the name as typed and read back"""
    has("the new room", cafe, name=visit.room_name("cafe-☕"), seq=0, rev=1)
    room = ada.http.get(f"/rooms/{cafe['id']}").must_have(200, "room")
    has("the room read back", room, id=cafe["id"], name=cafe["name"], owner=ada.user)


def test_one_name_spelled_differently(visit: Visit, ada: Person) -> None:
    """`café`, `CAFÉ`, decomposed and full-width are one room; `cafe` is another"""
    visit.open_room(ada, visit.room_name("café"))
    for spelling in ("CAFÉ", "cafe\u0301", "ＣＡＦÉ"):
        name = {"name": f"  {spelling}   {visit.nonce}"}
        ada.http.post("/rooms", name).must_be_problem(409, "room_name_taken")
    visit.open_room(ada, visit.room_name("cafe"))


def test_one_emoji_spelled_differently(visit: Visit, ada: Person, cafe: dict[str, Any]) -> None:
    """`cafe-☕` with and without the emoji selector is one room; `cafe-🍕` is another"""
    name = {"name": cafe["name"].replace("☕", "☕\ufe0f")}
    ada.http.post("/rooms", name).must_be_problem(409, "room_name_taken")
    visit.open_room(ada, visit.room_name("cafe-🍕"))


@pytest.mark.parametrize("name", ["日本語", "комната", "غرفة", "חדר", "कमरा", "👩‍👩‍👧‍👦", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "1️⃣"])
def test_names_of_every_script(name: str, visit: Visit, ada: Person) -> None:
    """a room is made in any script"""
    named = visit.room_name(name)
    same("name of the new room", visit.open_room(ada, named)["name"], named)


def test_names_that_are_none(ada: Person) -> None:
    """names that are none are refused, each with its code"""
    for verdict in sorted({vector["verdict"] for vector in VECTORS} - {"ok"}):
        for vector in [vector for vector in VECTORS if vector["verdict"] == verdict][:MANY]:
            answer = ada.http.post("/rooms", {"name": vector["input"] * vector.get("times", 1)})
            same(f"answer to the name {shown(vector['input'])} ({vector['why']})", answer.code, verdict)
            same(f"field of {verdict}", answer.body.get("field"), "name")


def test_names_that_are_one(visit: Visit, ada: Person) -> None:
    """spellings of one name are one room: capitals, full width, composed or not, emoji with or without selector"""
    for vector in [vector for vector in VECTORS if vector["verdict"] == "ok" and vector.get("same_as")][:MANY]:
        room = visit.open_room(ada, f"{visit.nonce} one {vector['input']}")
        same(
            f"name of the room made as {shown(vector['input'])}", room["name"], f"{visit.nonce} one {vector['display']}"
        )
        for spelling in vector["same_as"]:
            answer = ada.http.post("/rooms", {"name": f"{visit.nonce} one {spelling}"})
            same(f"answer to {shown(spelling)} beside {shown(vector['input'])}", answer.code, "room_name_taken")
        visit.close_room(room)


def test_browse(ada: Person, cafe: dict[str, Any], visit: Visit) -> None:
    """rooms are found by part of their name, page by page"""
    found = ada.http.get("/rooms", query=visit.nonce.upper(), limit=100).must_have(200, "rooms")
    true("the room among those found", cafe["id"] in {room["id"] for room in found}, seen=[r["name"] for r in found])
    first = ada.http.get("/rooms", query=visit.nonce, limit=1)
    same("rooms on a page of one", len(first.must_have(200, "rooms")), 1)
    cursor = first.must_have(200, "next_cursor")
    second = ada.http.get("/rooms", query=visit.nonce, limit=1, cursor=cursor).must_have(200, "rooms")
    true("another room on the next page", second != first.body["rooms"], seen=second)
    ada.http.get("/rooms", limit=0).must_be_problem(400, "invalid_field", field="limit")


def test_no_such_room(ada: Person) -> None:
    """a room that is not there is 404 room_not_found"""
    for method, path in (("GET", ""), ("POST", "/join"), ("GET", "/messages"), ("GET", "/members")):
        ada.http.call(method, f"/rooms/r_none{path}").must_be_problem(404, "room_not_found")


def test_my_rooms(ada: Person, zoe: Person, cafe: dict[str, Any]) -> None:
    """one's rooms are listed with what is unread (GET /me/rooms)"""
    for person in (ada, zoe):
        mine = {entry["room"]["id"]: entry for entry in person.http.get("/me/rooms").must_have(200, "rooms")}
        true("the room among my rooms", cafe["id"] in mine, seen=sorted(mine))
        has(
            "my entry of the room",
            mine[cafe["id"]],
            unread=mine[cafe["id"]]["room"]["seq"] - mine[cafe["id"]]["read_seq"],
        )


def test_members(ada: Person, zoe: Person, cafe: dict[str, Any], visit: Visit) -> None:
    """members are listed with their role and presence"""
    with ada.socket():
        members = ada.http.get(f"/rooms/{cafe['id']}/members").must_have(200, "members")
        roles = {member["user"]["id"]: member["role"] for member in members}
        wanted = {ada.user["id"]: "owner"} if visit.single else {ada.user["id"]: "owner", zoe.user["id"]: "member"}
        same("members and their roles", roles, wanted)
        eventually("who has a socket open to be listed as online", lambda: ada.user["id"] in _online(ada, cafe))


@pytest.mark.two_accounts
def test_presence(ada: Person, zoe: Person, cafe: dict[str, Any]) -> None:
    """who comes and goes is seen by the others"""
    eventually("who has no socket open not to be online", lambda: zoe.user["id"] not in _online(ada, cafe))
    with ada.socket() as watching:
        with zoe.socket():
            watching.hear("presence", room_id=cafe["id"], user=zoe.user, online=True)
        watching.hear("presence", room_id=cafe["id"], user=zoe.user, online=False)


def _online(person: Person, room: dict[str, Any]) -> list[str]:
    members = person.http.get(f"/rooms/{room['id']}/members", online="true").must_have(200, "members")
    return [member["user"]["id"] for member in members]


def test_rename(ada: Person, visit: Visit) -> None:
    """the owner renames a room"""
    room = visit.open_room(ada, visit.room_name("before"))
    name = visit.room_name("после ☕")
    renamed = ada.http.patch(f"/rooms/{room['id']}", {"name": name}).must_have(200, "room")
    has("the renamed room", renamed, id=room["id"], name=name)
    taken = {"name": visit.room_name("CAFE-☕")}
    ada.http.patch(f"/rooms/{room['id']}", taken).must_be_problem(409, "room_name_taken")


def test_deleted_room(ada: Person, visit: Visit) -> None:
    """a deleted room is gone and its name free again"""
    name = visit.room_name("short-lived")
    room = visit.open_room(ada, name)
    ada.http.delete(f"/rooms/{room['id']}").must_be(204)
    ada.http.get(f"/rooms/{room['id']}").must_be_problem(404, "room_not_found")
    visit.open_room(ada, name)


@pytest.mark.two_accounts
def test_only_members_and_owners(ada: Person, zoe: Person, visit: Visit) -> None:
    """strangers are 403 not_a_member, members who do not own the room 403 forbidden"""
    room = visit.open_room(ada, visit.room_name("private"))
    path = f"/rooms/{room['id']}"
    zoe.http.get(f"{path}/messages").must_be_problem(403, "not_a_member")
    zoe.http.post(f"{path}/messages", {"content": "hello"}).must_be_problem(403, "not_a_member")
    zoe.http.post(f"{path}/join").must_be(200)
    zoe.http.post(f"{path}/join").must_be(200)
    zoe.http.patch(path, {"name": visit.room_name("mine")}).must_be_problem(403, "forbidden")
    zoe.http.delete(path).must_be_problem(403, "forbidden")
    ada.http.delete(f"{path}/members/{zoe.user['id']}").must_be(204)
    zoe.http.get(f"{path}/messages").must_be_problem(403, "not_a_member")


@pytest.mark.two_accounts
def test_owner_leaves(ada: Person, zoe: Person, visit: Visit) -> None:
    """when the owner leaves, the longest-standing member owns the room"""
    room = visit.open_room(ada, visit.room_name("handed on"), zoe)
    ada.http.post(f"/rooms/{room['id']}/leave").must_be(204)
    ada.http.post(f"/rooms/{room['id']}/leave").must_be(204)
    after = ada.http.get(f"/rooms/{room['id']}").must_have(200, "room")
    has("the room after its owner left", after, owner=zoe.user, member_count=1)
