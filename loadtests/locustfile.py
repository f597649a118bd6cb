"""What Locust runs: people on WebSockets and over HTTP, in the shape asked for; leaves a result file and an exit code.

Alone: `python -m loadtests --url http://127.0.0.1:8000`. Distributed: `--processes 2`, or on several machines
`locust -f locustfile.py --master …` and `--worker …`; their clocks must agree, times are wall-clock.
"""

import json
import logging
import random
import secrets
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore
from locust import FastHttpUser, LoadTestShape, User, events, task
from locust.exception import StopUser
from locust.runners import MasterRunner, WorkerRunner

from loadtests import progress
from loadtests.line import Line
from loadtests.result import SETUP, result_of
from loadtests.shapes import SHAPES, Shape
from loadtests.stage import Account, NotReady, Stage
from loadtests.thresholds import limits_with

logging.getLogger("httpx").setLevel(logging.WARNING)

SEND_TICK_S = 0.05
SPAWN_PER_S = 50.0
OUTAGE_S = 3.0
STAYING_SHARE = 0.1  # who keeps talking while the others are cut off


class Run:
    """The run in this process: its shape, its stage (set when the first user needs it), its clock."""

    def __init__(self) -> None:
        self.places = count()
        self.stage: Stage | None = None
        self.is_set = False
        self.started_s = time.time()
        self._lock = BoundedSemaphore(1)

    def ready(self, environment: Any) -> Stage:
        """The stage, set by whoever comes first: this process's share of the people, in places of their own."""
        with self._lock:
            if self.stage is None:
                options, shape = environment.parsed_options, shape_of(environment)
                share = -(-options.people // options.workers)
                first = share * max(0, getattr(environment.runner, "worker_index", 0))
                self.places = count(first)
                stage = Stage(
                    url=environment.host.rstrip("/"),
                    nonce=options.nonce,
                    people_per_room=shape.listeners(options.people),
                    room_name=shape.room_name,
                    first=first,
                )
                self.stage = stage  # before it is set, so that what was made is removed even if the rest fails
                stage.set(share)
                self.started_s = time.time()
                self.is_set = True
        return self.stage

    def elapsed_s(self, environment: Any) -> float:
        """Seconds since the stage was set; a master, whose workers set it, counts from its start."""
        if self.is_set or isinstance(environment.runner, MasterRunner):
            return time.time() - self.started_s
        return 0.0

    def progress(self, environment: Any) -> float:
        """How much of the run is over, 0 to 1."""
        seconds: float = environment.parsed_options.seconds
        return self.elapsed_s(environment) / seconds


RUN = Run()


def shape_of(environment: Any) -> Shape:
    """The shape named on the command line."""
    return SHAPES[environment.parsed_options.shape]


def _options(parser: Any) -> None:
    own = parser.add_argument_group("chat")
    own.add_argument("--shape", choices=list(SHAPES), default="steady", help="which shape of load")
    own.add_argument("--people", type=int, default=50, help="users at the peak")
    own.add_argument("--seconds", type=float, default=60.0, help="how long")
    own.add_argument("--workers", type=int, default=1, help="how many worker processes share the people")
    own.add_argument("--nonce", default=secrets.token_hex(3), help="what room names end in; the same for all workers")
    own.add_argument("--threshold", action="append", default=[], metavar="NAME=VALUE", help="another limit")
    own.add_argument("--progress", type=int, default=-1, metavar="FD", help="where a line goes every few seconds")
    own.add_argument("--result", default="", metavar="FILE", help="where the result is written as JSON")


def _start(environment: Any, **_: Any) -> None:
    RUN.started_s = time.time()
    if environment.parsed_options.progress >= 0 and not isinstance(environment.runner, WorkerRunner):
        gevent.spawn(_tell, environment)


def _tell(environment: Any) -> None:
    """Write how the run goes until the process ends."""
    seconds: float = environment.parsed_options.seconds
    with open(environment.parsed_options.progress, "w", encoding="utf-8", buffering=1) as out:  # noqa: PTH123 - a descriptor
        out.write("  making accounts and rooms\n")
        while True:
            gevent.sleep(progress.EVERY_S)
            elapsed_s = RUN.elapsed_s(environment)
            if elapsed_s > seconds:
                return
            if elapsed_s > 0:
                users = environment.runner.user_count
                out.write(progress.line(environment.stats, users=users, elapsed_s=elapsed_s, seconds=seconds) + "\n")


def _stop(environment: Any, **_: Any) -> None:
    if RUN.stage is not None and not isinstance(environment.runner, MasterRunner):
        with suppress(OSError):
            RUN.stage.clear()
        RUN.stage = None


def _judge(environment: Any, **_: Any) -> None:
    if isinstance(environment.runner, WorkerRunner):
        return
    options = environment.parsed_options
    result = result_of(environment.stats, options, url=environment.host, limits=limits_with(options.threshold))
    environment.process_exit_code = 0 if result["passed"] else 1
    if options.result:
        Path(options.result).write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")


class Chosen(LoadTestShape):
    """Follows the shape named on the command line."""

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        """Users and spawn rate now, one until the stage is set; None ends the run."""
        environment: Any = getattr(self.runner, "environment", None)
        over = RUN.progress(environment)
        if over > 1:
            return None
        return max(1, round(environment.parsed_options.people * shape_of(environment).present(over))), SPAWN_PER_S


def _is_one_of(place: int, share: float) -> bool:
    return share > 0 and place % max(1, round(1 / share)) == 0


class Talker(User):
    """Someone with a WebSocket who hears a room and says something now and then."""

    weight = 9

    def on_start(self) -> None:
        """Take a place in a room and connect."""
        try:
            stage = RUN.ready(self.environment)
        except NotReady as fault:
            self._record(SETUP, 0, str(fault))
            self.environment.runner.quit()
            raise StopUser from fault
        self.shape, self.place = shape_of(self.environment), next(RUN.places)
        people = self.environment.parsed_options.people
        self.slow = _is_one_of(self.place, self.shape.slow_share)
        self.line = Line(
            url=stage.url,
            token=stage.account_of(self.place).token,
            room_id=stage.room_of(self.place),
            listeners=self.shape.listeners(people),
            record=self._record,
        )
        self.every_s = 1 / self.shape.sends_per_person(people)
        self.due_s = time.time() + random.random() * self.every_s
        self.stormed = self.shape.storm_at is None
        self._connect()

    def on_stop(self) -> None:
        """Wait a moment for what is under way, then close."""
        line = getattr(self, "line", None)
        if line is not None:
            gevent.sleep(0.5)
            (line.cut if self.slow else line.close)()

    @task
    def talk(self) -> None:
        """Say what is due; come back if the connection was lost."""
        if not self.stormed and RUN.progress(self.environment) >= (self.shape.storm_at or 0):
            self.stormed = True
            self._weather_the_storm()
        if self.ears.dead and not self.slow:
            self._record("lost", 0, self.line.closed or "closed")
            self._connect()
        if time.time() < self.due_s:
            gevent.sleep(min(SEND_TICK_S, max(0.001, self.due_s - time.time())))
            return
        due_s, self.due_s = self.due_s, self.due_s + random.uniform(0.5, 1.5) * self.every_s
        self._record("late", (time.time() - due_s) * 1000, None)
        with suppress(ConnectionError):  # counted when the connection is missed
            if not self.slow:
                self.line.say(random.choice(self.shape.contents), due_s=due_s)

    def _weather_the_storm(self) -> None:
        if _is_one_of(self.place, STAYING_SHARE):
            return
        back_at_s = time.time() + OUTAGE_S  # all together, with something to catch up on
        self.line.cut()
        gevent.sleep(max(0.0, back_at_s - time.time()))
        self._connect()
        self.due_s = max(self.due_s, time.time())

    def _connect(self) -> None:
        while True:
            try:
                self.line.open()
            except (OSError, ConnectionError):
                gevent.sleep(random.uniform(0.5, 1.5))
                continue
            break
        self.ears = gevent.spawn(lambda: None) if self.slow else gevent.spawn(self.line.hear)

    def _record(self, name: str, took_ms: float, fault: str | None) -> None:
        error = RuntimeError(fault) if fault else None
        self.environment.events.request.fire(
            request_type="WS", name=name, response_time=took_ms, response_length=0, exception=error, context={}
        )


class Browser(FastHttpUser):
    """Someone who only uses HTTP: opens the list of rooms, reads, looks around, writes."""

    weight = 1

    def wait_time(self) -> float:
        """Seconds between two calls."""
        return random.uniform(0.5, 1.5)

    def on_start(self) -> None:
        """Take a place in a room."""
        try:
            stage = RUN.ready(self.environment)
        except NotReady as fault:
            error = RuntimeError(str(fault))
            self.environment.events.request.fire(
                request_type="WS", name=SETUP, response_time=0, response_length=0, exception=error, context={}
            )
            self.environment.runner.quit()
            raise StopUser from fault
        place = next(RUN.places)
        account: Account = stage.account_of(place)
        self.room_id = stage.room_of(place)
        self.headers = {"Authorization": f"Bearer {account.token}"}

    @task(4)
    def read(self) -> None:
        """The newest page of a room."""
        self._get(f"/rooms/{self.room_id}/messages", "/rooms/{id}/messages")

    @task(2)
    def my_rooms(self) -> None:
        """The list of my rooms."""
        self._get("/me/rooms", "/me/rooms")

    @task(1)
    def members(self) -> None:
        """Who is there."""
        self._get(f"/rooms/{self.room_id}/members", "/rooms/{id}/members")

    @task(1)
    def write(self) -> None:
        """Say something without a socket."""
        body = {"content": f"{time.time():.6f} {random.choice(shape_of(self.environment).contents)}"}
        path, name = f"/rooms/{self.room_id}/messages", "/rooms/{id}/messages"
        self.client.post(path, json=body, headers=self.headers, name=name)

    def _get(self, path: str, name: str) -> None:
        self.client.get(path, headers=self.headers, name=name)


for _hook, _listener in (
    ("init_command_line_parser", _options),
    ("test_start", _start),
    ("test_stop", _stop),
    ("quitting", _judge),
):
    getattr(events, _hook).add_listener(_listener)
