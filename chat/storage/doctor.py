"""What must always hold in the database: finding where it does not, and mending what can be mended."""

from collections.abc import Iterable
from dataclasses import dataclass

from chat.protocol.events import RoomChanged
from chat.storage.connection import Readers
from chat.storage.transaction import Transaction, single
from chat.text import KEY_VERSION, DisplayName, TextFault, room_name, username


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not hold; `mendable` where `repair` can put it right without losing anything."""

    check: str
    what: str
    mendable: bool


# Each selects one text for each violation.
_LASTING = {
    "file": "SELECT integrity_check FROM pragma_integrity_check(20) WHERE integrity_check <> 'ok'",
    "orphan": """
        SELECT "table" || ' row ' || coalesce(rowid, '?') || ' refers to no row of ' || parent
        FROM pragma_foreign_key_check LIMIT 100""",
    "orphan log": """
        SELECT 'room_log of unknown room ' || room_id FROM room_log AS l
        WHERE NOT EXISTS (SELECT 1 FROM rooms WHERE id = l.room_id) GROUP BY room_id
        UNION ALL
        SELECT 'user_log of unknown user ' || user_id FROM user_log AS l
        WHERE NOT EXISTS (SELECT 1 FROM users WHERE id = l.user_id) GROUP BY user_id""",
    "dense rev": """
        SELECT 'room ' || r.id || ': rev ' || r.rev || ', but its log has ' || count(l.rev) || ' rows from '
            || coalesce(min(l.rev), 0) || ' to ' || coalesce(max(l.rev), 0)
        FROM rooms AS r LEFT JOIN room_log AS l ON l.room_id = r.id WHERE r.deleted_ms IS NULL GROUP BY r.id
        HAVING coalesce(max(l.rev), 0) <> r.rev OR count(l.rev) <> coalesce(max(l.rev) - min(l.rev) + 1, 0)""",
    "dense seq": """
        SELECT 'room ' || r.id || ': seq ' || r.seq || ', but it has ' || count(m.seq) || ' messages from '
            || coalesce(min(m.seq), 0) || ' to ' || coalesce(max(m.seq), 0)
        FROM rooms AS r LEFT JOIN messages AS m ON m.room_id = r.id WHERE r.deleted_ms IS NULL GROUP BY r.id
        HAVING coalesce(max(m.seq), 0) <> r.seq OR count(m.seq) <> r.seq""",
    "user log": """
        SELECT 'user ' || u.id || ': head ' || u.log_n || ', but the log has ' || count(l.n) || ' rows from '
            || min(l.n) || ' to ' || max(l.n)
        FROM users AS u JOIN user_log AS l ON l.user_id = u.id GROUP BY u.id
        HAVING max(l.n) <> u.log_n OR count(l.n) <> max(l.n) - min(l.n) + 1""",
    "message event": """
        SELECT 'message ' || m.id || ' has no event at rev ' || m.rev FROM messages AS m
        JOIN rooms AS r ON r.id = m.room_id AND r.deleted_ms IS NULL
        WHERE m.rev >= (SELECT min(rev) FROM room_log WHERE room_id = m.room_id) AND NOT EXISTS (
            SELECT 1 FROM room_log WHERE room_id = m.room_id AND rev = m.rev AND message_id = m.id) LIMIT 100""",
    "reaction count": """
        SELECT 'message ' || l.message_id || ': ' || l.emoji || ' counts ' || l.count || ' in the log'
        FROM room_log AS l
        JOIN rooms AS r ON r.id = l.room_id AND r.deleted_ms IS NULL
        WHERE l.op IN ('add', 'remove') AND l.rev = (SELECT max(rev) FROM room_log WHERE room_id = l.room_id
            AND message_id = l.message_id AND emoji = l.emoji AND op IN ('add', 'remove'))
        AND l.count <> (SELECT count(*) FROM reactions WHERE message_id = l.message_id AND emoji = l.emoji)
        LIMIT 100""",
}
_MENDABLE = {
    "cursor": """
        SELECT 'member ' || m.user_id || ' has read ' || m.read_seq || ' of ' || r.seq || ' in room ' || r.id
        FROM members AS m JOIN rooms AS r ON r.id = m.room_id WHERE m.read_seq > r.seq OR m.read_seq < 0""",
    "member count": """
        SELECT 'room ' || r.id || ' counts ' || r.member_count || ' members, there are '
            || (SELECT count(*) FROM members WHERE room_id = r.id)
        FROM rooms AS r WHERE r.member_count <> (SELECT count(*) FROM members WHERE room_id = r.id)""",
    "owner": """
        SELECT 'room ' || r.id || ' is owned by ' || coalesce(r.owner_id, 'nobody') FROM rooms AS r
        WHERE r.deleted_ms IS NULL AND CASE WHEN r.owner_id IS NULL
            THEN EXISTS (SELECT 1 FROM members WHERE room_id = r.id)
            ELSE NOT EXISTS (SELECT 1 FROM members WHERE room_id = r.id AND user_id = r.owner_id) END""",
}
_MENDING = (
    """UPDATE members SET read_seq = max(0, min(read_seq, (SELECT seq FROM rooms WHERE id = room_id)))
    WHERE read_seq < 0 OR read_seq > (SELECT seq FROM rooms WHERE id = room_id)""",
    """UPDATE rooms SET member_count = (SELECT count(*) FROM members WHERE room_id = rooms.id)
    WHERE member_count <> (SELECT count(*) FROM members WHERE room_id = rooms.id)""",
    """UPDATE rooms SET owner_id = (SELECT user_id FROM members WHERE room_id = rooms.id ORDER BY joined_rev LIMIT 1)
    WHERE deleted_ms IS NULL AND owner_id IS NOT (
        SELECT user_id FROM members WHERE room_id = rooms.id AND user_id = owner_id)
    OR (deleted_ms IS NULL AND owner_id IS NULL AND EXISTS (SELECT 1 FROM members WHERE room_id = rooms.id))""",
)


@dataclass(frozen=True, slots=True)
class _Named:
    """A room's or user's name with the key that is stored for it."""

    id: str
    name: str
    key: str | None
    skeleton: str | None = None

    @property
    def derived(self) -> tuple[str, str | None] | None:
        """The key and skeleton that the name has by today's rules; None if no such name would be allowed."""
        try:
            if self.id.startswith("u_"):
                user = username(self.name)
                return user.key, user.skeleton
            return room_name(self.name).key, None
        except TextFault:
            return None

    @property
    def holds(self) -> bool:
        """Whether what is stored is what would be derived."""
        return self.derived == (self.key, self.skeleton)


_ROOMS = "SELECT id, name, key FROM rooms WHERE deleted_ms IS NULL ORDER BY id"
_USERS = "SELECT id, username, username_key, username_skeleton FROM users WHERE erased_ms IS NULL ORDER BY id"


async def examine(readers: Readers) -> list[Finding]:
    """Everything that does not hold."""
    found = []
    for checks, mendable in ((_LASTING, False), (_MENDABLE, True)):
        for check, sql in checks.items():
            found += [Finding(check, text, mendable) for (text,) in await readers.rows(sql)]
    for check, sql in (("room key", _ROOMS), ("username key", _USERS)):
        named = [_Named(*row) for row in await readers.rows(sql)]
        found += [Finding(check, f"{n.id} ({n.name!a}): {_wrong(n)}", mendable=True) for n in named if not n.holds]
    return found


def _wrong(named: _Named) -> str:
    return "the name is not allowed" if named.derived is None else "its key is not the one that its name has"


@single
async def repair(tx: Transaction, _: None) -> list[str]:
    """Mend what can be mended; returns what was done. A name that collides or is not allowed gets another one."""
    for sql in _MENDING:
        await tx.rows(sql)
    done = []
    rooms = [_Named(*row) for row in await tx.rows(_ROOMS)]
    for room in (room for room in rooms if not room.holds):
        taken = {key for (key,) in await tx.rows("SELECT key FROM rooms WHERE id <> :id", {"id": room.id})}
        fixed = next(n for n in _candidates(room, "room") if n.derived is not None and n.derived[0] not in taken)
        done.append(await _store_room(tx, room, fixed))
    people = [_Named(*row) for row in await tx.rows(_USERS)]
    for user in (user for user in people if not user.holds):
        others = await tx.rows("SELECT username_key, username_skeleton FROM users WHERE id <> :id", {"id": user.id})
        taken = {value for row in others for value in row}
        fixed = next(n for n in _candidates(user, "user") if n.derived is not None and not taken & set(n.derived))
        done.append(await _store_user(tx, user, fixed))
    return done


def _candidates(named: _Named, fallback: str) -> Iterable[_Named]:
    """The name itself, then the name with a number, if it is allowed; then one made of the id, which nobody has."""
    joint = "-" if fallback == "user" else " "
    own = [named.name, *(f"{named.name}{joint}{n}" for n in range(2, 100))] if named.derived else []
    names = [*own, f"{fallback}-{named.id[2:]}"]
    return (_Named(named.id, DisplayName(name), None) for name in names)


async def _store_room(tx: Transaction, was: _Named, fixed: _Named) -> str:
    key, _ = fixed.derived or ("", None)
    await tx.rows(
        "UPDATE rooms SET name = :name, key = :key, key_version = :version WHERE id = :id",
        {"id": was.id, "name": fixed.name, "key": key, "version": KEY_VERSION},
    )
    if fixed.name == was.name:
        return f"room {was.id}: key derived anew"
    rev = await tx.log_room(was.id, "rename", name=fixed.name)
    tx.rooms.append(RoomChanged(room_id=was.id, rev=rev, op="rename", name=fixed.name))
    return f"room {was.id}: renamed from {was.name!a} to {fixed.name!a}"


async def _store_user(tx: Transaction, was: _Named, fixed: _Named) -> str:
    key, skeleton = fixed.derived or ("", None)
    await tx.rows(
        "UPDATE users SET username = :name, username_key = :key, username_skeleton = :skeleton, key_version = :version"
        " WHERE id = :id",
        {"id": was.id, "name": fixed.name, "key": key, "skeleton": skeleton, "version": KEY_VERSION},
    )
    if fixed.name == was.name:
        return f"user {was.id}: key derived anew"
    return f"user {was.id}: renamed from {was.name!a} to {fixed.name!a}"
