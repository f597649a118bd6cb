"""Where the text policy's verdicts become the protocol's errors, and numbers from outside fit the database."""

from collections.abc import Callable

from chat.protocol.errors import Code, Fault, InvalidField, InvalidText, UsernameTaken
from chat.text import TextFault, UsernameReserved, opaque_id

MOST = 2**53 - 1
"""What JSON readers everywhere take for a whole number (RFC 8259 section 6); no room gets that far."""


class judged:  # noqa: N801 - reads as a word; a generator's context takes six times as long, at every message
    """Have a text fault inside raised as the error of *field*."""

    def __init__(self, field: str) -> None:
        self._field = field

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> None:
        match fault:
            case UsernameReserved():
                raise UsernameTaken(fault.name) from fault
            case TextFault():
                raise InvalidText(Code(fault.code), fault.detail, field=self._field) from fault


def client_id(raw: str | None) -> str | None:
    """A client_id as it is stored. Raises `InvalidText`."""
    if raw is None:
        return None
    with judged("client_id"):
        return opaque_id(raw)


def row_id(raw: str, *, missing: Callable[[str], Fault]) -> str:
    """An id to look something up by; what cannot be one is answered as *missing*."""
    try:
        return opaque_id(raw)
    except TextFault:
        raise missing(ascii(raw)[:80]) from None


def whole(value: int, field: str, *, least: int = 0) -> int:
    """A whole number not below *least*, cut to what fits. Raises `InvalidField`."""
    if value < least:
        raise InvalidField(field, f"{field} is a whole number from {least}")
    return min(value, MOST)


def within(value: int, field: str, *, most: int = 100) -> int:
    """A limit from 1 to *most*. Raises `InvalidField`."""
    if not 1 <= value <= most:
        raise InvalidField(field, f"{field} is a whole number from 1 to {most}")
    return value
