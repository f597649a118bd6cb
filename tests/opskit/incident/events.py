"""A ledger in memory: events as the real one would return them, each a minute after the other unless said."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from opskit.ledger import Event

BEGAN = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@dataclass
class Book:
    """Write with `add`, `opened`, `did`, `deployed`; read `events`."""

    events: list[Event] = field(default_factory=list)

    def add(self, kind: str, minute: float, subject: str = "", **data: Any) -> Event:
        at = (BEGAN + timedelta(minutes=minute)).isoformat(timespec="seconds")
        event = Event(f"{len(self.events):026}", at, kind, data, subject or kind, "Ada")
        self.events.append(event)
        return event

    def opened(self, minute: float = 0, *, severity: str | None = "S0", title: str = "rooms", **data: Any) -> Event:
        count = sum(event.kind == "incident" and "number" in event.data for event in self.events)
        name = f"INC-{count + 1:03}"
        facts = {"act": "open", "state": "open" if severity else "draft", "severity": severity, "title": title}
        return self.add("incident", minute, f"{name}: {title}", **facts, number=count + 1, name=name, **data)

    def did(self, of: Event, act: str, minute: float, **data: Any) -> Event:
        return self.add("incident", minute, act, act=act, of=of.id, name=of.data["name"], **data)

    def deployed(self, version: str, minute: float, *, previous: str = "", result: str = "done", **data: Any) -> Event:
        facts = {"target": "prod", "version": version, "commit": f"c{version}", "previous": previous, "result": result}
        facts |= {"phase": "outcome", "operation": f"op{len(self.events)}"}
        return self.add("deploy", minute, f"deploy {version} to prod: {result}", **{**facts, **data})

    def rolled_back(self, version: str, minute: float, *, previous: str, reason: str = "500s") -> Event:
        facts = {"target": "prod", "version": version, "previous": previous, "result": "done", "reason": reason}
        return self.add("rollback", minute, f"rollback {version} to prod: done", phase="outcome", **facts)
