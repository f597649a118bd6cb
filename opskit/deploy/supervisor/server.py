"""The control socket's server side: one request a connection, operations one after the other."""

import asyncio
import contextlib
import json
import socket
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from opskit.deploy.control import PROTOCOL, LaunchFailed, LaunchSpec
from opskit.deploy.supervisor.core import Supervisor
from opskit.deploy.wire import Malformed, decode, encode
from opskit.errors import Refused

_REQUEST_LIMIT_BYTES = 1 << 20


class Server:
    """Answers requests; *leave* is called, once the answer is out, with `stop` or `upgrade`."""

    def __init__(self, supervisor: Supervisor, bakery: Any, leave: Callable[[str], None]) -> None:
        self.supervisor, self.bakery, self.leave = supervisor, bakery, leave
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, control: socket.socket) -> None:
        """Take connections for ever. Not asyncio's own server: its listen() would make SO_PEERCRED name this process,
        and clients learn the keeper's process id there.
        """
        control.setblocking(False)
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(control)
            except OSError:  # out of descriptors: try again in a moment
                await asyncio.sleep(0.1)
                continue
            task = loop.create_task(self._connected(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connected(self, client: socket.socket) -> None:
        await self.serve(*await asyncio.open_connection(sock=client, limit=_REQUEST_LIMIT_BYTES))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection."""
        leaving = ""
        try:
            with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
                request = json.loads(await asyncio.wait_for(reader.readuntil(b"\n"), 10))
                reply = await self._reply(request)
                leaving = request["do"] if request["do"] in ("stop", "upgrade") and "ok" in reply else ""
                writer.write(json.dumps({"v": PROTOCOL, **reply}).encode() + b"\n")
                await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        if leaving:
            self.leave(leaving)

    async def _reply(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            if request.get("v") != PROTOCOL:
                raise Refused(f"this supervisor speaks version {PROTOCOL}, not {request.get('v')!r}")
            return {"ok": encode(await self._do(request["do"], request["id"], request["with"]))}
        except LaunchFailed as failed:
            what = {"kind": "launch_failed", "what": failed.reason, "log_tail": failed.log_tail, "exit": failed.exit}
            return {"error": what}
        except Refused as refused:
            return {"error": {"kind": "refused", "what": refused.what, "remedy": refused.remedy}}
        except (Malformed, KeyError, TypeError) as fault:
            traceback.print_exc()
            return {"error": {"kind": "refused", "what": f"the request is malformed: {fault!r}", "remedy": ""}}
        except Exception as fault:  # noqa: BLE001 - the boundary: the client must get an answer, the log the stack
            traceback.print_exc()
            where = f"{self.supervisor.state_dir}/logs/opskit.err"
            return {"error": {"kind": "refused", "what": f"the supervisor failed: {fault!r}", "remedy": f"see {where}"}}

    async def _do(self, verb: str, request: str, arguments: dict[str, Any]) -> Any:
        supervisor, bakery = self.supervisor, self.bakery
        reads: dict[str, Callable[[], Any]] = {"status": supervisor.status, "upgrade": lambda: None}
        if verb in reads:
            return reads[verb]()
        async with supervisor.lock:
            if request in supervisor.state.done:
                return supervisor.status()
            acts: dict[str, Callable[[], Awaitable[Any]]] = {
                "launch": lambda: supervisor.launch(decode(LaunchSpec, arguments["spec"]), request=request),
                "cut_over": lambda: supervisor.swap("cut_over", request=request),
                "discard": supervisor.discard,
                "return_to_parked": lambda: supervisor.swap("return_to_parked", request=request, why=arguments["why"]),
                "restart": lambda: supervisor.restart(request=request),
                "start": lambda: supervisor.bring_up(request=request),
                "stop": lambda: supervisor.stop(take_back=bool(arguments.get("take_back"))),
            }
            quick: dict[str, Callable[[], Any]] = {
                "maintenance": lambda: supervisor.maintain(arguments["on"]),
                "bake": lambda: bakery.begin(**arguments),
                "end_bake": lambda: bakery.end(arguments["why"]),
            }
            if verb not in acts and verb not in quick:
                raise Refused(
                    f"this supervisor does not know {verb!r}", remedy="upgrade it: deploy with a newer opskit"
                )
            if verb in ("cut_over", "return_to_parked", "restart", "stop"):
                bakery.end("superseded")
            result = await acts[verb]() if verb in acts else quick[verb]()
            if verb != "launch":
                supervisor.remember(request)
            return result
