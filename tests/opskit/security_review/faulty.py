"""A small chat that is sound but for the weaknesses it is told to have, named by their ids in the catalogue."""

import asyncio
import contextlib
import json
import secrets
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart, Response, abort, jsonify, request, websocket

from opskit.security_review.tokens import sign, take_apart
from tests.opskit.deploy.shop import free_port, wait_for

EVIL_HEADERS = {"Access-Control-Allow-Origin": "*"}
LIMIT_BYTES = 65_536


@dataclass(eq=False)
class Wire:
    """An open socket and whose it is."""

    user: str
    sid: str
    outgoing: "asyncio.Queue[dict[str, Any] | None]" = field(default_factory=asyncio.Queue)


class FaultyChat:
    """State and rules; `app` serves them."""

    def __init__(self, *faults: str, ttl_s: float = 900) -> None:
        self.faults, self.ttl_s = set(faults), ttl_s
        self.key = b"secret" if "token-weak-secret" in faults else secrets.token_bytes(32)
        self.users: dict[str, str] = {"admin": "admin"} if "default-account" in faults else {}
        self.ended: set[str] = set()
        self.refresh: dict[str, str] = {}
        self.used: set[str] = set()
        self.tickets: dict[str, str] = {}
        self.members: dict[str, set[str]] = {}
        self.guesses = 0
        self.wires: list[Wire] = []
        self.app = Quart(__name__, static_folder=None)
        self.app.config["MAX_CONTENT_LENGTH"] = None if "body-size" in faults else LIMIT_BYTES
        self._add_account_routes()
        self._add_session_routes()
        self._add_room_routes()
        self._add_strangers_routes()
        self.app.websocket("/chat")(self.socket)
        self.app.after_request(self.dress)

    def has(self, *ids: str) -> bool:
        return bool(self.faults & set(ids))

    # --- tokens

    def token(self, user: str, sid: str) -> str:
        life_s = 200_000 if self.has("token-long-life") else self.ttl_s
        claims = {"sub": user, "sid": sid, "iat": int(time.time()), "exp": time.time() + life_s}
        if self.has("token-no-expiry"):
            del claims["exp"]
        return sign(claims, {"alg": "HS256", "typ": "JWT"}, self.key)

    def whose(self, token: str, *, where: str) -> tuple[str, str] | None:
        """User and session of a token that is good enough for this chat."""
        parts = take_apart(token)
        if parts is None:
            return None
        claims = parts.claims
        if not parts.signature:
            if parts.header["alg"] != "none" or not self.has(f"{where}-alg-none"):
                return None
        elif sign(claims, parts.header, self.key) != token and not self.has(f"{where}-forged-token"):
            return None
        if claims.get("exp", time.time() + 1) < time.time() and not self.has(f"{where}-expired-token"):
            return None
        if claims["sid"] in self.ended and not self.has(f"{where}-revoked-token"):
            return None
        return claims["sub"], claims["sid"]

    def caller(self) -> tuple[str, str]:
        found = self.whose(request.headers.get("Authorization", "").removeprefix("Bearer "), where="http")
        if found is None:
            if self.has("http-no-token"):
                return "nobody", "none"
            abort(401)
        return found

    def signed_in(self, user: str, status: int) -> tuple[Response, int]:
        sid, refresh = secrets.token_hex(4), secrets.token_hex(8)
        self.refresh[refresh] = sid
        answer = jsonify(
            user={"id": user, "username": user},
            access_token=self.token(user, sid),
            refresh_token=refresh,
            token_type="Bearer",
            expires_in=self.ttl_s,
            **({"password_hash": "x"} if self.has("password-leak") else {}),
        )
        if self.has("cookie-flags"):
            answer.headers["Set-Cookie"] = "session=1; Path=/"
        return answer, status

    async def fields(self, *names: str) -> list[str]:
        """Text fields of the body; anything else is 400."""
        try:
            body = json.loads(await request.get_data())
            found = [body[name] for name in names]
            if not all(isinstance(each, str) and each.isprintable() for each in found):
                abort(400)
            return found
        except (ValueError, KeyError, TypeError):
            if self.has("error-traceback"):
                abort(Response(traceback.format_exc(), 400))
            abort(500 if self.has("error-500") else 400)

    # --- routes

    def _add_account_routes(self) -> None:
        app = self.app

        @app.post("/auth/register")
        async def register() -> Any:
            user, password = await self.fields("username", "password")
            if len(password) < 8 and not self.has("short-password"):
                abort(400)
            if user in self.users:
                abort(409)
            self.users[user] = password
            return self.signed_in(user, 201)

        @app.post("/auth/login")
        async def login() -> Any:
            user, password = await self.fields("username", "password")
            if user in self.users and self.users[user] == password:
                return self.signed_in(user, 200)
            self.guesses += 1
            if self.guesses > 30 and not self.has("no-signin-limit"):
                abort(429)
            if user in self.users and self.has("user-enumeration-timing"):
                await asyncio.sleep(0.08)
            said = "no such user" if user not in self.users and self.has("user-enumeration") else "wrong"
            return jsonify(detail=said), 401

    def _add_session_routes(self) -> None:
        app = self.app

        @app.post("/auth/refresh")
        async def refresh() -> Any:
            (given,) = await self.fields("refresh_token")
            if given not in self.refresh or (given in self.used and not self.has("refresh-reuse")):
                abort(401)
            self.used.add(given)
            return jsonify(access_token="x", refresh_token=secrets.token_hex(8))

        @app.post("/auth/logout")
        async def logout() -> Any:
            _, sid = self.caller()
            self.ended.add(sid)
            for wire in self.wires:
                if wire.sid == sid and not self.has("ws-revoked-session"):
                    wire.outgoing.put_nowait(None)
            return "", 204

        @app.post("/auth/ws-ticket")
        async def ticket() -> Any:
            made = secrets.token_hex(8)
            self.tickets[made] = self.caller()[0]
            return jsonify(ticket=made, expires_in=30), 201

        @app.get("/me")
        @app.get("/auth/sessions")
        @app.get("/rooms")
        @app.get("/me/rooms")
        async def own() -> Any:
            return jsonify(user={"username": self.caller()[0]})

        @app.delete("/me")
        async def erase() -> Any:
            self.users.pop(self.caller()[0], None)
            return "", 204

    def _add_room_routes(self) -> None:
        app = self.app

        @app.post("/rooms")
        async def make() -> Any:
            user, _ = self.caller()
            await self.fields("name")
            room = f"r_{len(self.members)}"
            self.members[room] = {user}
            return jsonify(room={"id": room}), 201

        @app.post("/rooms/<room>/<act>")
        async def act(room: str, act: str) -> Any:
            user, _ = self.caller()
            if act == "messages":
                if user not in self.members[room] and not self.has("http-membership"):
                    abort(403)
                self.tell(room, {"type": "message", "room_id": room, "rev": 9})
                return jsonify(message={}), 201
            if act == "join":
                self.members[room].add(user)
            elif not self.has("ws-membership-live"):
                self.members[room].discard(user)
            return jsonify(room={"id": room})

        @app.get("/rooms/<room>/<what>")
        async def read(room: str, what: str) -> Any:
            user, _ = self.caller()
            if user not in self.members.get(room, ()) and not self.has("http-membership", "ws-membership-live"):
                abort(403)
            return jsonify(what=what)

        @app.delete("/rooms/<room>")
        async def remove(room: str) -> Any:
            self.caller()
            self.members.pop(room, None)
            return "", 204

    def _add_strangers_routes(self) -> None:
        app = self.app

        @app.get("/")
        async def page() -> Any:
            return Response("<!doctype html>", content_type="text/html")

        @app.get("/healthz")
        async def alive() -> Any:
            return jsonify(status="ok")

        @app.get("/metrics")
        async def metrics() -> Any:
            if request.remote_addr != "127.0.0.1" and not self.has("metrics-open"):
                abort(401)
            return Response("# HELP up\nup 1\n", content_type="text/plain")

        @app.get("/.env")
        async def env() -> Any:
            return "SECRET_KEY=1\n" if self.has("exposed-files") else abort(404)

        @app.get("/static/<path:name>")
        async def static_file(name: str) -> Any:
            return "root:x:0:0:root:/root:/bin/sh\n" if "passwd" in name and self.has("path-traversal") else abort(404)

    async def dress(self, response: Response) -> Response:
        """The headers that a sound service sends."""
        origin = request.headers.get("Origin", "")
        sent = {
            "header-nosniff": ("X-Content-Type-Options", "nosniff"),
            "header-csp": ("Content-Security-Policy", "default-src 'none'"),
            "header-frame": ("X-Frame-Options", "DENY"),
            "header-referrer": ("Referrer-Policy", "no-referrer"),
            "header-cache": ("Cache-Control", "no-store"),
        }
        for id_, (name, value) in sent.items():
            if not self.has(id_):
                response.headers[name] = value
        if self.has("cors-wildcard"):
            response.headers.update(EVIL_HEADERS)
        if self.has("cors-credentials") and origin:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Credentials"] = "true"
        return response

    # --- the socket

    def _met(self) -> tuple[str, str] | None:
        bearer = websocket.headers.get("Authorization", "").removeprefix("Bearer ")
        given = [name.removeprefix("bearer.") for name in websocket.requested_subprotocols if name.startswith("bearer")]
        query = websocket.args.get("token", "") if self.has("ws-token-in-query") else ""
        ticket = websocket.args.get("ticket", "")
        user = self.tickets.get(ticket) if self.has("ws-ticket-reuse") else self.tickets.pop(ticket, None)
        if user:
            return user, ""
        return self.whose(bearer or query or (given[0] if given else ""), where="ws")

    async def socket(self) -> None:
        """`/chat`."""
        if websocket.headers.get("Origin") and not self.has("ws-origin"):
            abort(403)
        who = self._met()
        if who is None and not self.has("ws-no-token", "ws-late-refusal"):
            abort(401)
        await websocket.accept(subprotocol="chat.v1")
        if who is None and self.has("ws-late-refusal"):
            await websocket.close(4001)
            return
        wire = Wire(*(who or ("nobody", "")))
        expires = time.time() + self.ttl_s
        self.wires.append(wire)
        wire.outgoing.put_nowait({"type": "hello", "epoch": "e"})
        sender = asyncio.create_task(self._send(wire))
        try:
            while True:
                frame = json.loads(await websocket.receive())
                late = time.time() > expires and not self.has("ws-expired-session")
                for answer in self.answers(wire, frame, late=late):
                    wire.outgoing.put_nowait(answer)
        finally:
            self.wires.remove(wire)
            sender.cancel()

    async def _send(self, wire: Wire) -> None:
        while (frame := await wire.outgoing.get()) is not None:
            await websocket.send(json.dumps(frame))
        await websocket.close(4011)

    def answers(self, wire: Wire, frame: dict[str, Any], *, late: bool) -> Iterator[dict[str, Any]]:
        """What a command is answered."""
        kind, room = frame.get("type"), frame.get("room_id")
        if late and kind != "ping":
            yield {"type": "error", "code": "token_expired", "re": frame["id"]}
        elif kind == "ping":
            yield {"type": "pong", "re": frame["id"]}
        elif kind == "message" and wire.user not in self.members.get(str(room), ()) and not self.has("http-membership"):
            yield {"type": "error", "code": "not_a_member", "re": frame["id"]}
        else:
            for each in frame.get("rooms", {}) if kind == "resume" else ():
                member = wire.user in self.members.get(each, ())
                if member or self.has("ws-membership-resume"):
                    yield {"type": "message", "room_id": each, "rev": 1}
            yield {"type": "ack", "re": frame["id"]}

    def tell(self, room: str, event: dict[str, Any]) -> None:
        for wire in self.wires:
            if wire.user in self.members[room]:
                wire.outgoing.put_nowait(event)


@contextlib.contextmanager
def served(chat: FaultyChat, *, bind: str = "127.0.0.1") -> Iterator[str]:
    """The chat's address while it runs, in a thread of its own."""
    port = free_port()
    config = Config()
    config.bind = [f"{bind}:{port}"]
    config.errorlog = None
    config.graceful_timeout = 0.1
    config.websocket_max_message_size = 16 << 20 if "frame-size" in chat.faults else LIMIT_BYTES
    loop, over, up = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    @chat.app.before_serving
    async def say_so() -> None:
        up.set()

    async def run() -> None:
        await serve(chat.app, config, shutdown_trigger=over.wait)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        wait_for(up.is_set)
        wait_for(lambda: _answers(port))
        yield f"http://{bind}:{port}"
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def _answers(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
