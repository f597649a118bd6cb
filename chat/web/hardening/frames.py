"""WebSocket frames from a client, read as their bytes arrive: RFC 6455 section 5, no extension, lengths bounded."""

CONTINUATION, BINARY = 0x0, 0x2  # opcodes
FIN, RESERVED, OPCODE, CONTROL = 0x80, 0x70, 0x0F, 0x08  # in the first byte
MASKED, LENGTH = 0x80, 0x7F  # in the second
MAX_CONTROL_BYTES = 125

_FIRST_BYTES = frozenset((0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A))  # control frames are never fragmented
_SHORT, _MIDDLE, _LONG = 6, 8, 14  # bytes before the payload: two, those of a longer length, four of the mask
_LOCAL_CODES = frozenset((1004, 1005, 1006, 1015))  # never in a frame (section 7.4.1)

Frame = tuple[int, bytes | None]


class FrameReader:
    """Bytes in, whole frames out: (first byte, payload), the payload None where it is over *limit* and thrown away.

    After a frame that breaks the rules `fault` says which, and nothing more is read.
    """

    __slots__ = ("_enough", "_limit", "_rest", "_skip", "fault")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest: bytearray | None = None  # the beginning of a frame; most reads are whole, and an idle peer has none
        self._enough = 0  # bytes of it without which reading again is in vain
        self._skip = 0  # bytes still to come of a payload thrown away
        self.fault: str | None = None

    def read(self, data: bytes) -> list[Frame]:
        """The frames that *data* completes; takes time in proportion to *data*, however it was cut."""
        frames: list[Frame] = []
        if self._rest is not None:
            self._rest += data
            if len(self._rest) < self._enough:
                return frames
            data, self._rest = bytes(self._rest), None
        at = min(self._skip, len(data))
        self._skip -= at
        while self.fault is None and len(data) - at >= 2:
            first, second = data[at], data[at + 1]
            length, head = second & LENGTH, _SHORT
            self.fault = _fault_of_head(first, second)
            if length > MAX_CONTROL_BYTES and self.fault is None:
                head = _MIDDLE if length == 126 else _LONG
                if len(data) - at < head:
                    return self._keep(data, at, head, frames)
                length = int.from_bytes(data[at + 2 : at + head - 4], "big")
                self.fault = _fault_of_length(length, head)
            if self.fault is not None:
                return frames
            end = at + head + length
            if length > self._limit:
                frames.append((first, None))
                at = min(end, len(data))
                self._skip = end - at
            elif end > len(data):
                return self._keep(data, at, head + length, frames)
            else:
                frames.append((first, unmasked(data[at + head : end], data[at + head - 4 : at + head])))
                at = end
        return self._keep(data, at, 2, frames)

    def _keep(self, data: bytes, at: int, enough: int, frames: list[Frame]) -> list[Frame]:
        if at < len(data):
            self._rest, self._enough = bytearray(data[at:]), enough
        return frames


def unmasked(payload: bytes, mask: bytes) -> bytes:
    """*payload* without its *mask* of four bytes (section 5.3): one operation on numbers as long as the payload."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def _fault_of_head(first: int, second: int) -> str | None:
    if first in _FIRST_BYTES and second & MASKED and (not first & CONTROL or second & LENGTH <= MAX_CONTROL_BYTES):
        return None
    opcode = first & OPCODE
    if first & RESERVED:
        return "a reserved bit is set"
    if opcode | FIN not in _FIRST_BYTES:
        return f"there is no opcode {opcode:#x}"
    if not second & MASKED:
        return "a client's frames are masked"
    return "a control frame is whole" if not first & FIN else f"a control frame has at most {MAX_CONTROL_BYTES} bytes"


def _fault_of_length(length: int, head: int) -> str | None:
    if length >> 63:
        return "a length has at most 63 bits"
    return "a length is written as short as can be" if length <= (125 if head == _MIDDLE else 0xFFFF) else None


def fault_of_close(payload: bytes) -> str | None:
    """What is wrong with a close frame's code (section 7.4); its reason is text and for the caller to read."""
    if not payload:
        return None
    if len(payload) == 1:
        return "a close code has two bytes"
    code = int.from_bytes(payload[:2], "big")
    if (1000 <= code <= 1014 and code not in _LOCAL_CODES) or 3000 <= code <= 4999:
        return None
    return f"{code} is no close code to send"
