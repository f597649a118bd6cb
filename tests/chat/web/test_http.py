"""HTTP from outside: the documented codes, in the documented order; nothing causes a 500."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.chat.server import Account, Http, Server, running


@pytest.fixture
async def http(shared_server: Server) -> Any:
    async with Http(shared_server) as client:
        yield client


@pytest.fixture
async def ann(http: Http) -> Account:
    return await http.register()


async def test_the_checks_come_in_the_documented_order(http: Http, ann: Account) -> None:
    big, foreign = b"x" * 70_000, {"Origin": "https://evil.example"}
    room = (await http.create_room(ann))["id"]
    stranger = await http.register()

    async def code(method: str, path: str, by: Account | None = None, **rest: Any) -> str:
        return str((await http.call(method, path, by=by, **rest)).json()["code"])

    as_json = {"Content-Type": "application/json"}
    assert await code("POST", "/nowhere", headers=foreign, content=big) == "not_found"
    assert await code("PUT", "/rooms", headers=foreign, content=big) == "method_not_allowed"
    assert await code("POST", "/rooms", headers=foreign, content=big) == "origin_not_allowed"
    assert await code("POST", "/rooms", content=big) == "unauthorized"
    assert await code("POST", "/rooms", ann, content=big) == "payload_too_large"
    assert await code("POST", "/rooms", ann, content=b"{}") == "unsupported_media_type"
    assert await code("POST", "/rooms", ann, content=b"[]", headers=as_json) == "invalid_json"
    assert await code("POST", "/rooms", ann, json={}) == "missing_field"
    assert await code("POST", "/rooms/r_none/messages", ann, json={"content": ""}) == "content_empty"
    assert await code("POST", "/rooms/r_none/messages", ann, json={"content": "x"}) == "room_not_found"
    assert await code("POST", f"/rooms/{room}/messages", stranger, json={"content": "x"}) == "not_a_member"


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"null", b"[]", b'"x"', b"1", b"{}{}", b'{"name":"a",}', b'{"name":"a"} x', b"{'name':'a'}"),
        *(b'{"name":NaN}', b'{"name":"x","y":Infinity}', b'{"name":"x","y":-Infinity}', b"[" * 60_000),
        *(b'{"name":"x","y":' + b"[" * 30_000 + b"]" * 30_000 + b"}", b'{"a":' * 9_000 + b"1" + b"}" * 9_000),
        *(b'\xef\xbb\xbf{"name":"x"}', '{"name":"x"}'.encode("utf-16"), b'{"name":"\xe9"}', b'{"\xff":1,"name":"x"}'),
        *(
            b'{"name":"\xc0\xaf"}',
            b'{"name":"\xed\xa0\x80"}',
            b'{"name":"\xf4\x90\x80\x80"}',
            b'{"name":"x","y":"\xff"}',
        ),
        *(b'{"name":"a\nb"}', b'{"name":"a\x00b"}', b'{"name":"\\x41"}', b'{"name":"\\u12"}', b"\x1f\x8b\x08\x00" * 9),
    ],
    ids=lambda raw: repr(raw[:24]),
)
async def test_what_is_no_json_object_in_utf_8_is_invalid_json(http: Http, ann: Account, raw: bytes) -> None:
    as_json = {"Content-Type": "application/json"}
    for method, path, by in (("POST", "/rooms", ann), ("POST", "/auth/login", None), ("DELETE", "/me", ann)):
        answer = await http.call(method, path, by=by, content=raw, headers=as_json)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json"), (method, path)


async def test_a_wrong_method_names_the_right_ones(http: Http) -> None:
    answer = await http.call("DELETE", "/auth/login")
    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]


async def test_an_upgrade_to_where_no_socket_is_is_404(ann: Account) -> None:
    for path in ("/nope", "/rooms", "/chat/"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(ann.server.url.replace("http", "ws", 1) + path, additional_headers=ann.headers, proxy=None)
        answer = refused.value.response
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, json.loads(answer.body)["code"]) == (404, "not_found")


async def test_head_and_options_answer_like_get_without_a_body(http: Http) -> None:
    head = await http.call("HEAD", "/healthz")
    assert (head.status_code, head.content) == (200, b"")
    options = await http.call("OPTIONS", "/rooms")
    assert options.status_code == 200
    assert {"GET", "POST", "HEAD", "OPTIONS"} == {m.strip() for m in options.headers["allow"].split(",")}


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"password": "12345678"}, "missing_field", "username"),
        ({"username": None, "password": "12345678"}, "missing_field", "username"),
        ({"username": 7, "password": "12345678"}, "invalid_field", "username"),
        ({"username": "x\u0000y", "password": "12345678"}, "invalid_unicode", "username"),
        ({"username": "\ud800", "password": "12345678"}, "invalid_unicode", "username"),
        ({"username": "\u3164", "password": "12345678"}, "name_empty", "username"),
        ({"username": "a" * 33, "password": "12345678"}, "name_too_long", "username"),
        ({"username": "someone-new", "password": "short"}, "invalid_field", "password"),
        ({"username": "admin", "password": "12345678"}, "username_taken", "username"),
    ],
)
async def test_a_bad_field_is_named(http: Http, body: dict[str, Any], code: str, field: str) -> None:
    raw = json.dumps(body).encode()
    answer = await http.call("POST", "/auth/register", content=raw, headers={"Content-Type": "application/json"})
    assert (answer.json()["code"], answer.json()["field"]) == (code, field)


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=101", "limit=x", "limit=", "limit=%ff", "limit=1e1", "limit=٣", "limit=9" + "9" * 40),
        *("before=-1", "after=x", "before=1&after=2", "before=99999999999999999999"),
    ],
)
async def test_a_bad_query_is_400(http: Http, ann: Account, query: str) -> None:
    room = (await http.create_room(ann))["id"]
    answer = await http.call("GET", f"/rooms/{room}/messages?{query}", by=ann)
    assert answer.status_code == 400
    assert answer.json()["field"] in {"limit", "before", "after"}


@pytest.mark.parametrize("value", ["%ff", "%ED%A0%80", "%c0%af", "%00", "a%00b"])
async def test_a_query_that_is_no_text_names_its_parameter(http: Http, ann: Account, value: str) -> None:
    for name in ("query", "cursor", "limit"):
        answer = await http.call("GET", f"/rooms?%ff=x&{name}={value}", by=ann)
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (400, "invalid_unicode", name)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/rooms/%00",
            "/rooms/%ff%fe",
            "/rooms/" + "x" * 3000,
            "/rooms/%F0%9F%8D%95",
            "/rooms/..%2f..",
            "/rooms/%0d%0aX: y",
        ),
        *(
            "/messages/m_x/reactions/%ff",
            "/messages/m_x/reactions/%00",
            "/messages/m_x/reactions/%23%EF%B8%8F%E2%83%A3",
        ),
        *("//rooms", "/rooms/", "/static/../app.py", "/static/%2e%2e/app.py", "/static/%00", "/auth/sessions/%00"),
        *(
            "/rooms?cursor=%ff",
            "/rooms?query=%00",
            "/rooms?cursor=AAAA",
            "/rooms?cursor=!",
            "/rooms?query=%F0%9F%8D%95",
        ),
    ],
)
async def test_no_path_causes_a_500(http: Http, ann: Account, path: str) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH", "POST"):
        answer = await http.client.request(method, path, headers=ann.headers)
        assert answer.status_code < 500, (method, path, answer.text)


async def test_a_huge_cursor_means_the_head(http: Http, ann: Account) -> None:
    room = (await http.create_room(ann))["id"]
    await http.send(ann, room, "x")
    answer = await http.call("POST", f"/rooms/{room}/read", by=ann, json={"seq": 10**30})
    assert answer.json() == {"read_seq": 1, "unread": 0}
    negative = await http.call("POST", f"/rooms/{room}/read", by=ann, json={"seq": -1})
    assert (negative.json()["code"], negative.json()["field"]) == ("invalid_field", "seq")


async def test_every_answer_is_guarded_by_headers(http: Http, ann: Account) -> None:
    for path in ("/", "/healthz", "/me", "/nowhere"):
        headers = (await http.client.get(path, headers=ann.headers)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "server" not in headers
        assert "set-cookie" not in headers


async def test_sessions_are_listed_ended_and_refreshed(http: Http, ann: Account) -> None:
    signed_in = await http.call(
        "POST",
        "/auth/login",
        json={"username": ann.username.upper(), "password": "correct horse"},
        headers={"User-Agent": b"\xc3\xbcn\xef\tcode " + b"x" * 5000},
    )
    other = http.account(signed_in)
    sessions = (await http.call("GET", "/auth/sessions", by=ann)).json()["sessions"]
    assert [s["current"] for s in sessions].count(True) == 1
    assert all(len(s["user_agent"]) <= 256 for s in sessions)
    foreign = next(s for s in sessions if not s["current"])
    assert (await http.call("DELETE", f"/auth/sessions/{foreign['id']}", by=ann)).status_code == 204
    assert (await http.call("GET", "/me", by=other)).json()["code"] == "unauthorized"
    assert (await http.call("DELETE", "/auth/sessions/s_none", by=ann)).status_code == 404
    fresh = http.account(await http.call("POST", "/auth/refresh", json={"refresh_token": ann.refresh_token}))
    reused = await http.call("POST", "/auth/refresh", json={"refresh_token": ann.refresh_token})
    assert reused.status_code == 401
    assert (await http.call("GET", "/me", by=fresh)).status_code == 401


async def test_bad_credentials_are_the_same_for_a_missing_user(http: Http, ann: Account) -> None:
    wrong = [
        await http.call("POST", "/auth/login", json={"username": name, "password": "wrong horse"})
        for name in (ann.username, "nobody-of-this-name", "\u3164")
    ]
    assert {a.status_code for a in wrong} == {401}
    assert len({a.text for a in wrong}) == 1


@pytest.mark.parametrize("asked", ["bytes=0-9", "bytes=99999999-", "bytes=5-1", "bytes=0-0,2-3", "x", "bytes=-0"])
async def test_a_file_of_the_client_comes_whole_whatever_part_is_asked_for(http: Http, asked: str) -> None:
    whole = await http.client.get("/static/app.js")
    assert (whole.status_code, whole.headers["x-content-type-options"]) == (200, "nosniff")
    assert (await http.client.get("/static/app.js", headers={"Range": asked})).content == whole.content
    same = await http.client.get("/static/app.js", headers={"If-None-Match": whole.headers["etag"], "Range": asked})
    assert (same.status_code, same.content) == (304, b"")


async def test_the_version_and_the_documents_are_served(http: Http) -> None:
    assert (await http.call("GET", "/version")).json().keys() == {"version", "commit", "started_at"}
    assert (await http.call("GET", "/openapi.json")).json()["openapi"] == "3.1.0"
    assert (await http.call("GET", "/asyncapi.json")).json()["asyncapi"] == "3.0.0"
    assert "chat_connections" in (await http.call("GET", "/metrics")).text


async def test_metrics_are_not_for_those_who_come_through_a_proxy(http: Http) -> None:
    answer = await http.call("GET", "/metrics", headers={"X-Forwarded-For": "203.0.113.7"})
    assert answer.status_code == 401


async def test_sign_in_attempts_are_limited_per_address_through_trusted_proxies(tmp_path: Any) -> None:
    with running(tmp_path, CHAT_RATE_AUTH_PER_MIN="3", CHAT_TRUSTED_PROXIES="1", CHAT_METRICS_TOKEN="s3cret") as server:
        async with Http(server) as http:

            async def attempt(address: str) -> int:
                body = {"username": "nobody", "password": "wrong horse"}
                headers = {"X-Forwarded-For": f"10.9.9.9, {address}"}
                return (await http.call("POST", "/auth/login", json=body, headers=headers)).status_code

            assert [await attempt("203.0.113.7") for _ in range(4)] == [401, 401, 401, 429]
            assert await attempt("203.0.113.8") == 401
            assert [await attempt("127.0.0.1") for _ in range(5)] == [401] * 5
            far = {"X-Forwarded-For": "203.0.113.7"}
            assert (await http.call("GET", "/metrics", headers=far)).status_code == 401
            token = far | {"Authorization": "Bearer s3cret"}
            assert (await http.call("GET", "/metrics", headers=token)).status_code == 200


async def test_a_slow_body_does_not_keep_others_waiting(http: Http, ann: Account) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", http.server.port)
    writer.write(
        b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
    )
    assert (await http.call("GET", "/me", by=ann)).status_code == 200
    writer.close()
    assert await reader.read() == b""
