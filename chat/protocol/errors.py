"""What can go wrong, as one tree: each error carries its facts and a code of the contract's closed list."""

from enum import StrEnum
from typing import NamedTuple


class Code(StrEnum):
    """The closed list of error codes, the same over HTTP and on the WebSocket."""

    INVALID_JSON = "invalid_json"
    MISSING_FIELD = "missing_field"
    INVALID_FIELD = "invalid_field"
    INVALID_UNICODE = "invalid_unicode"
    NAME_EMPTY = "name_empty"
    NAME_TOO_LONG = "name_too_long"
    CONTENT_EMPTY = "content_empty"
    CONTENT_TOO_LONG = "content_too_long"
    INVALID_EMOJI = "invalid_emoji"
    UNKNOWN_TYPE = "unknown_type"
    UNAUTHORIZED = "unauthorized"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a code, not a secret
    BAD_CREDENTIALS = "bad_credentials"
    FORBIDDEN = "forbidden"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    NOT_A_MEMBER = "not_a_member"
    NOT_FOUND = "not_found"
    ROOM_NOT_FOUND = "room_not_found"
    MESSAGE_NOT_FOUND = "message_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    USERNAME_TAKEN = "username_taken"
    ROOM_NAME_TAKEN = "room_name_taken"
    CLIENT_ID_CONFLICT = "client_id_conflict"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    TOO_MANY = "too_many"
    RATE_LIMITED = "rate_limited"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"


class Retry(StrEnum):
    """Whether sending the same command again can help."""

    NO = "no"
    NOW = "now"
    AFTER = "after"


class Meaning(NamedTuple):
    """What a code means: its HTTP status, its title, and whether a repeat can help."""

    status: int
    title: str
    retry: Retry = Retry.NO


MEANINGS: dict[Code, Meaning] = {
    Code.INVALID_JSON: Meaning(400, "Not a JSON object"),
    Code.MISSING_FIELD: Meaning(400, "Missing field"),
    Code.INVALID_FIELD: Meaning(400, "Invalid field"),
    Code.INVALID_UNICODE: Meaning(400, "Invalid Unicode"),
    Code.NAME_EMPTY: Meaning(400, "Empty name"),
    Code.NAME_TOO_LONG: Meaning(400, "Name too long"),
    Code.CONTENT_EMPTY: Meaning(400, "Empty content"),
    Code.CONTENT_TOO_LONG: Meaning(400, "Content too long"),
    Code.INVALID_EMOJI: Meaning(400, "Not one emoji"),
    Code.UNKNOWN_TYPE: Meaning(400, "Unknown type"),
    Code.UNAUTHORIZED: Meaning(401, "Not signed in"),
    Code.TOKEN_EXPIRED: Meaning(401, "Access token expired", Retry.NOW),
    Code.BAD_CREDENTIALS: Meaning(401, "Bad credentials"),
    Code.FORBIDDEN: Meaning(403, "Forbidden"),
    Code.ORIGIN_NOT_ALLOWED: Meaning(403, "Origin not allowed"),
    Code.NOT_A_MEMBER: Meaning(403, "Not a member of this room"),
    Code.NOT_FOUND: Meaning(404, "Not found"),
    Code.ROOM_NOT_FOUND: Meaning(404, "Room not found"),
    Code.MESSAGE_NOT_FOUND: Meaning(404, "Message not found"),
    Code.METHOD_NOT_ALLOWED: Meaning(405, "Method not allowed"),
    Code.USERNAME_TAKEN: Meaning(409, "Username taken"),
    Code.ROOM_NAME_TAKEN: Meaning(409, "Room name taken"),
    Code.CLIENT_ID_CONFLICT: Meaning(409, "client_id used for something else"),
    Code.PAYLOAD_TOO_LARGE: Meaning(413, "Payload too large"),
    Code.UNSUPPORTED_MEDIA_TYPE: Meaning(415, "Unsupported media type"),
    Code.TOO_MANY: Meaning(422, "Too many"),
    Code.RATE_LIMITED: Meaning(429, "Rate limited", Retry.AFTER),
    Code.INTERNAL: Meaning(500, "Internal error", Retry.NOW),
    Code.UNAVAILABLE: Meaning(503, "Unavailable", Retry.AFTER),
}


class Fault(Exception):
    """Something a client is told about: a code, a sentence, perhaps the field and when to try again."""

    code: Code = Code.INTERNAL

    def __init__(
        self, detail: str = "", *, code: Code | None = None, field: str | None = None, retry_after_ms: int | None = None
    ) -> None:
        super().__init__(detail)
        if code is not None:
            self.code = code
        self.field, self.retry_after_ms = field, retry_after_ms

    def __str__(self) -> str:
        return str(self.args[0]) or self.meaning.title

    @property
    def meaning(self) -> Meaning:
        """Status, title and retry advice of this fault's code."""
        return MEANINGS[self.code]


def sentence(fault: Exception) -> str:
    """What went wrong for people at a terminal: a file that cannot be used by its path and the reason, no number."""
    if isinstance(fault, OSError) and fault.filename is not None:
        return f"{fault.filename}: {fault.strerror}"
    return str(fault)


class InvalidJson(Fault):
    """The body or frame is not a JSON object."""

    code = Code.INVALID_JSON


class MissingField(Fault):
    """A required field is absent, or null where null is not allowed."""

    code = Code.MISSING_FIELD

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} is missing", field=field)


class InvalidField(Fault):
    """A field has the wrong type or a value it cannot have."""

    code = Code.INVALID_FIELD

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail, field=field)


class InvalidText(Fault):
    """A text the policy refuses; `code` is the policy's verdict."""

    def __init__(self, code: Code, detail: str, *, field: str) -> None:
        super().__init__(detail, code=code, field=field)


class UnknownType(Fault):
    """A frame of a type that clients cannot send."""

    code = Code.UNKNOWN_TYPE


class Unauthorized(Fault):
    """No valid token, or its session has ended."""

    code = Code.UNAUTHORIZED


class TokenExpired(Fault):
    """The access token was good once."""

    code = Code.TOKEN_EXPIRED


class BadCredentials(Fault):
    """Unknown user or wrong password; deliberately not said which."""

    code = Code.BAD_CREDENTIALS


class Forbidden(Fault):
    """Signed in, but this is not theirs to do."""

    code = Code.FORBIDDEN


class OriginNotAllowed(Fault):
    """A browser page of another origin."""

    code = Code.ORIGIN_NOT_ALLOWED


class NotAMember(Fault):
    """Only members of the room may do this."""

    code = Code.NOT_A_MEMBER

    def __init__(self, room_id: str) -> None:
        super().__init__(f"you are not a member of {room_id}")


class NotFound(Fault):
    """There is nothing at this path."""

    code = Code.NOT_FOUND


class RoomNotFound(Fault):
    """No such room."""

    code = Code.ROOM_NOT_FOUND

    def __init__(self, room_id: str) -> None:
        super().__init__(f"there is no room {room_id}")


class MessageNotFound(Fault):
    """No such message."""

    code = Code.MESSAGE_NOT_FOUND

    def __init__(self, message_id: str) -> None:
        super().__init__(f"there is no message {message_id}")


class MethodNotAllowed(Fault):
    """The path exists, the method does not."""

    code = Code.METHOD_NOT_ALLOWED


class UsernameTaken(Fault):
    """The name, or one that looks like it, belongs to someone else or is reserved."""

    code = Code.USERNAME_TAKEN

    def __init__(self, username: str) -> None:
        super().__init__(f"the username {username!r} is taken", field="username")


class RoomNameTaken(Fault):
    """Another room already has this name's key."""

    code = Code.ROOM_NAME_TAKEN

    def __init__(self, name: str) -> None:
        super().__init__(f"a room named {name!r} exists", field="name")


class ClientIdConflict(Fault):
    """The client_id was used before for another room or content."""

    code = Code.CLIENT_ID_CONFLICT

    def __init__(self, client_id: str) -> None:
        super().__init__(f"client_id {client_id!r} was used for another message", field="client_id")


class PayloadTooLarge(Fault):
    """The body or frame is over its limit in bytes."""

    code = Code.PAYLOAD_TOO_LARGE


class UnsupportedMediaType(Fault):
    """A body that does not say it is JSON."""

    code = Code.UNSUPPORTED_MEDIA_TYPE


class TooMany(Fault):
    """A cap per user, room or message is reached."""

    code = Code.TOO_MANY


class RateLimited(Fault):
    """Too fast; `retry_after_ms` says when it goes on."""

    code = Code.RATE_LIMITED


class Internal(Fault):
    """Our bug; the log has it under the incident id in the detail."""

    code = Code.INTERNAL


class Unavailable(Fault):
    """Not able to serve just now; trying later helps."""

    code = Code.UNAVAILABLE
