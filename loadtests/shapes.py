"""The shapes of load: how many people, in how many rooms, how often they speak, and what befalls them on the way."""

from collections.abc import Callable
from dataclasses import dataclass

PLAIN = (
    "Morning!",
    "The release went out at nine, smoke is green.",
    "Could somebody look at the graph for p99?",
    "ok " * 40,
)
SCRIPTS = (
    "☕ ☕️ 🍕 👩‍👩‍👧‍👦 🏴󠁧󠁢󠁳󠁣󠁴󠁿 1️⃣",
    "Доброе утро! Релиз вышел в девять.",
    "صباح الخير، تم نشر الإصدار",
    "בוקר טוב, הגרסה יצאה",
    "おはようございます。リリースしました。",
    "सुप्रभात, रिलीज़ हो गया",
    "สวัสดีตอนเช้า",
    "cafe\u0301 naïve Straße ΟΔΟΣ ﬁle",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One named load. Progress runs from 0 (start) to 1 (end); shares are of all users."""

    about: str
    people_per_room: int = 10  # 0: one room for all
    sends_per_s: float = 0.5  # by each person on a WebSocket
    present: Callable[[float], float] = lambda progress: min(1.0, progress / 0.2)  # share of users by progress
    http_share: float = 0.1  # who only use HTTP
    slow_share: float = 0.0  # who stop reading after hello
    storm_at: float | None = None  # when every socket is cut at once and everybody resumes
    room_name: str = "loadtest"
    contents: tuple[str, ...] = PLAIN

    def listeners(self, users: int) -> int:
        """How many of *users* people are in a room."""
        return min(users, self.people_per_room) if self.people_per_room else users

    def sends_per_person(self, users: int) -> float:
        """Sends per second and person; in one room for all it is held so that the room hears 10 a second."""
        return self.sends_per_s if self.people_per_room else min(self.sends_per_s, 10 / max(1, users))


def _bursts(progress: float) -> float:
    return 1.0 if 0.3 <= progress < 0.5 or 0.7 <= progress < 0.9 else 0.25


SHAPES = {
    "steady": Shape(about="ramp up, then the same for the rest; rooms of 10"),
    "burst": Shape(about="a quarter of the users, twice joined by all the others at once", present=_bursts),
    "big-room": Shape(about="everybody in one room that hears 10 messages a second", people_per_room=0),
    "many-rooms": Shape(about="pairs, each in a room of their own", people_per_room=2),
    "reconnect-storm": Shape(
        about="half-way, nine in ten sockets are cut for 3 s, then all come back at once and resume", storm_at=0.5
    ),
    "unicode": Shape(about="room names and messages in every script", room_name="cafe-☕ комната", contents=SCRIPTS),
    "slow-readers": Shape(about="one in twenty stops reading; the others must not notice", slow_share=0.05),
}
