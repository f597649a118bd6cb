"""Ready-made WebSocket frames: RFC 6455 section 5.2, server to client (unmasked, never fragmented, no extension)."""

import msgspec

from chat.protocol.events import Event

_encoder = msgspec.json.Encoder()

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A


def text_frame(payload: bytes) -> bytes:
    """One whole text frame around *payload* (UTF-8)."""
    size = len(payload)
    if size < 126:
        return b"%c%c%b" % (TEXT, size, payload)
    if size < 0x10000:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def control_frame(opcode: int, payload: bytes = b"") -> bytes:
    """A ping, pong or close frame; *payload* is at most 125 bytes."""
    return bytes((opcode, len(payload))) + payload


def payload_of(frame: bytes) -> bytes:
    """What `text_frame` put into *frame*."""
    match frame[1]:
        case 126:
            return frame[4:]
        case 127:
            return frame[10:]
        case _:
            return frame[2:]


def is_text(frame: bytes) -> bool:
    """Whether *frame* is a text frame (not a ping, pong or close)."""
    return frame[0] == TEXT


def encode(event: Event) -> bytes:
    """The text frame that carries *event*."""
    return text_frame(_encoder.encode(event))


def json_bytes(value: object) -> bytes:
    """*value* as JSON, as it stands inside an event."""
    return _encoder.encode(value)
