"""The tables. Times are whole milliseconds since 1970 in UTC (`…_ms`); ids are the contract's opaque strings."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(naming_convention={"ix": "ix_%(table_name)s_%(column_0_name)s"})

meta = Table("meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))

users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("username", Text, comment="null: erased"),
    Column("username_key", Text, unique=True, comment="null: erased, so the name is free"),
    Column("username_skeleton", Text, unique=True, comment="UTS #39, of what readers see"),
    Column("key_version", Integer, nullable=False),
    Column("password_hash", Text),
    Column("created_ms", Integer, nullable=False),
    Column("last_active_ms", Integer, comment="null: never connected"),
    Column("disabled_ms", Integer),
    Column("erased_ms", Integer),
    Column("log_n", Integer, nullable=False, server_default=text("0"), comment="head of the user's own log"),
)

rooms = Table(
    "rooms",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("name", Text, nullable=False),
    Column("key", Text, unique=True, comment="null: deleted, so the name is free"),
    Column("key_version", Integer, nullable=False),
    Column("created_ms", Integer, nullable=False),
    Column("owner_id", Text, ForeignKey("users.id"), comment="null: empty"),
    Column("member_count", Integer, nullable=False, server_default=text("0")),
    Column("seq", Integer, nullable=False, server_default=text("0")),
    Column("rev", Integer, nullable=False, server_default=text("0")),
    Column("deleted_ms", Integer),
    CheckConstraint("seq >= 0 AND rev >= seq", name="numbers"),
)

members = Table(
    "members",
    metadata,
    Column("room_id", Text, ForeignKey("rooms.id"), nullable=False),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False, index=True),
    Column("joined_rev", Integer, nullable=False, comment="the longest-standing member has the least"),
    Column("read_seq", Integer, nullable=False),
    PrimaryKeyConstraint("room_id", "user_id"),
    sqlite_with_rowid=False,  # rows live in the tree of the primary key
)

messages = Table(
    "messages",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("room_id", Text, ForeignKey("rooms.id"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("rev", Integer, nullable=False),
    Column("sender_id", Text, ForeignKey("users.id"), nullable=False),
    Column("sent_ms", Integer, nullable=False),
    Column("content", Text, nullable=False),
    Column("client_id", Text),
    UniqueConstraint("room_id", "seq"),
    Index("ix_messages_client_id", "sender_id", "client_id", unique=True, sqlite_where=text("client_id IS NOT NULL")),
)

reactions = Table(
    "reactions",
    metadata,
    Column("message_id", Text, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    Column("emoji", Text, nullable=False),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("reacted_ms", Integer, nullable=False),
    PrimaryKeyConstraint("message_id", "emoji", "user_id"),
    sqlite_with_rowid=False,  # rows live in the tree of the primary key
)

room_log = Table(
    "room_log",
    metadata,
    Column("room_id", Text, nullable=False),
    Column("rev", Integer, nullable=False, comment="dense per room from 1"),
    Column("at_ms", Integer, nullable=False),
    Column("op", Text, nullable=False, comment="message, add, remove, join, leave, rename, delete, owner"),
    Column("user_id", Text, comment="whom it concerns"),
    Column("message_id", Text),
    Column("emoji", Text),
    Column("count", Integer, comment="of the emoji, as of this rev"),
    Column("name", Text, comment="of the room, after a rename"),
    PrimaryKeyConstraint("room_id", "rev"),
    sqlite_with_rowid=False,  # rows live in the tree of the primary key
)

user_log = Table(
    "user_log",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("n", Integer, nullable=False, comment="dense per user from 1"),
    Column("at_ms", Integer, nullable=False, index=True),
    Column("op", Text, nullable=False),
    Column("room_id", Text),
    Column("rev", Integer),
    Column("read_seq", Integer),
    Column("unread", Integer),
    Column("session_id", Text),
    Column("connection_id", Text),
    PrimaryKeyConstraint("user_id", "n"),
    sqlite_with_rowid=False,  # rows live in the tree of the primary key
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False, index=True),
    Column("created_ms", Integer, nullable=False),
    Column("last_seen_ms", Integer, nullable=False),
    Column("expires_ms", Integer, nullable=False, index=True),
    Column("ended_ms", Integer),
    Column("user_agent", Text, nullable=False),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("hash", LargeBinary, primary_key=True, nullable=False, comment="SHA-256"),
    Column("session_id", Text, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("used_ms", Integer, comment="a used one that comes again was stolen"),
)

tickets = Table(
    "tickets",
    metadata,
    Column("hash", LargeBinary, primary_key=True, nullable=False, comment="SHA-256"),
    Column("session_id", Text, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("origin", Text, comment="null: not issued to a browser"),
    Column("access_expires_ms", Integer, nullable=False, comment="of the access token that asked for it"),
    Column("expires_ms", Integer, nullable=False, index=True),
)

invites = Table(
    "invites",
    metadata,
    Column("hash", LargeBinary, primary_key=True, nullable=False, comment="SHA-256"),
    Column("created_ms", Integer, nullable=False),
    Column("expires_ms", Integer, nullable=False),
    Column("used_by", Text, ForeignKey("users.id")),
)

processes = Table(
    "processes",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("lease_until_ms", Integer, nullable=False),
)

presence = Table(
    "presence",
    metadata,
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("process_id", Text, nullable=False, comment="empty: held over between two connections"),
    Column("until_ms", Integer, comment="of a held-over row; others last as long as their process's lease"),
    PrimaryKeyConstraint("user_id", "process_id"),
    Index("ix_presence_process_id", "process_id", "until_ms"),
    sqlite_with_rowid=False,  # rows live in the tree of the primary key
)

presence_log = Table(
    "presence_log",
    metadata,
    Column("n", Integer, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("online", Integer, nullable=False),
    Column("at_ms", Integer, nullable=False, index=True),
    sqlite_autoincrement=True,
)
