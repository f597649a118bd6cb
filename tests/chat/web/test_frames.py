"""Reading a client's frames: what comes out is what wsproto reads, however the bytes were cut."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError

from chat.web.hardening.frames import FrameReader, unmasked
from chat.web.hardening.inbound import MAX_FRAME_BYTES, NOT_TEXT, NOT_UTF8, PROTOCOL, TOO_BIG, GuardedConnection, Inbox

Heard = list[tuple[str, bytes | int]]


def frame(first: int, payload: bytes, mask: bytes = b"\x01\x80\xff\x00") -> bytes:
    """As a client sends it."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    else:
        length = b"\xfe" + size.to_bytes(2, "big") if size < 1 << 16 else b"\xff" + size.to_bytes(8, "big")
    return bytes((first,)) + length + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


class Recorder(Inbox):
    """An inbox that keeps what it is told, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.found = Heard()
        self.on_ping = lambda payload: self.found.append(("ping", payload))
        self.on_fault = lambda code, _reason: self.found.append(("refused", code))

    def put(self, message: bytes) -> None:
        if not self.deaf:
            self.found.append(("text", message))

    def peer_closed(self) -> None:
        super().peer_closed()
        if not self.deaf:
            self.found.append(("closed", 0))


def heard(pieces: list[bytes]) -> Heard:
    """What the inbox got of *pieces*, up to the first refusal or the peer's close."""
    inbox = Recorder()
    connection = GuardedConnection(inbox)
    for piece in pieces:
        connection.receive_data(piece)
    return inbox.found


def heard_by_wsproto(data: bytes) -> Heard:
    """The same by wsproto, with our rules for what may be in a message."""
    connection, found, text = Connection(ConnectionType.SERVER), Heard(), ""
    connection.receive_data(data)
    for event in connection.events():
        match event:
            case TextMessage():
                text += event.data
                if len(text.encode()) > MAX_FRAME_BYTES:
                    return [*found, ("refused", TOO_BIG)]
                if event.message_finished:
                    found.append(("text", text.encode()))
                    text = ""
            case BytesMessage():
                return [*found, ("refused", NOT_TEXT)]
            case Ping():
                found.append(("ping", bytes(event.payload)))
            case CloseConnection() if connection.state is ConnectionState.OPEN:
                return [*found, ("refused", NOT_UTF8 if event.code == NOT_UTF8 else PROTOCOL)]
            case CloseConnection():
                return [*found, ("closed", 0)]
    return found


masks = st.binary(min_size=4, max_size=4)
texts = st.one_of(st.text(max_size=20), st.sampled_from(["☕️" * 60, "x" * 125, "x" * 126, "ü" * 33_000])).map(
    str.encode
)
codes = st.one_of(st.sampled_from([999, 1000, 1003, 1005, 1006, 1012, 1015, 2999, 3000, 4999, 5000]), st.just(1000))


@st.composite
def conversations(draw: st.DrawFn) -> bytes:
    """Frames that make sense, fragments with control frames among them, and sometimes anything at all."""
    data = b""
    for _ in range(draw(st.integers(1, 6))):
        match draw(st.sampled_from(["text", "text", "fragments", "control", "close", "binary", "bytes", "first byte"])):
            case "text":
                data += frame(0x81, draw(texts), draw(masks))
            case "fragments":
                message = draw(texts)
                cuts = [0, *sorted(draw(st.lists(st.integers(0, len(message)), max_size=3))), len(message)]
                for at, (start, end) in enumerate(pairwise(cuts)):
                    first = (0x00 if at else 0x01) | (0x80 if at == len(cuts) - 2 else 0)
                    data += frame(first, message[start:end], draw(masks))
                    if draw(st.booleans()):
                        data += frame(draw(st.sampled_from([0x89, 0x8A])), b"in between")
            case "control":
                data += frame(draw(st.sampled_from([0x89, 0x8A])), draw(st.binary(max_size=125)), draw(masks))
            case "close":
                data += frame(0x88, draw(codes).to_bytes(2, "big") + draw(st.sampled_from([b"", b"bye", b"\xff"])))
            case "binary":
                data += frame(0x82, draw(st.binary(max_size=9)))
            case "bytes":
                data += draw(st.binary(max_size=20))
            case _:
                data += frame(draw(st.integers(0, 255)), draw(st.binary(max_size=130)), draw(masks))
    return data


@given(conversations(), st.data())
def test_frames_are_read_as_wsproto_reads_them_however_they_are_cut(data: bytes, more: st.DataObject) -> None:
    cuts = [0, *sorted(more.draw(st.lists(st.integers(0, len(data)), max_size=8))), len(data)]
    ours, theirs = heard([data[start:end] for start, end in pairwise(cuts)]), heard_by_wsproto(data)
    assert ours == heard([data])
    if theirs[-1:] in ([("refused", NOT_UTF8)], [("refused", TOO_BIG)]):  # it looks at a message piece by piece
        assert _without_refusal(ours)[: len(theirs) - 1] == theirs[:-1]
    else:
        assert _without_refusal(ours) == _without_refusal(theirs)
        refusals = {found[-1] for found in (ours, theirs) if found and found[-1][0] == "refused"}
        assert len(refusals) < 2  # where only one refuses, the other does at the end of the frame


def _without_refusal(found: Heard) -> Heard:
    return [one for one in found if one[0] != "refused"]


def test_a_frame_that_comes_byte_by_byte_is_one_frame() -> None:
    data = frame(0x81, b"x" * 300) + frame(0x89, b"!") + frame(0x81, b"y" * 70_000)[:-1]
    assert heard([bytes((byte,)) for byte in data]) == [("text", b"x" * 300), ("ping", b"!"), ("refused", TOO_BIG)]


def test_what_follows_a_payload_that_was_thrown_away_is_read() -> None:
    reader = FrameReader(limit=10)
    data = frame(0x81, b"x" * 11) + frame(0x8A, b"")
    assert reader.read(data) == [(0x81, None), (0x8A, b"")]
    assert [reader.read(bytes((byte,))) for byte in data][-1] == [(0x8A, b"")]
    assert reader.fault is None


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 127, 65_536])
def test_a_mask_is_taken_off_whatever_the_length(size: int) -> None:
    payload = bytes(at % 251 for at in range(size))
    masked = frame(0x81, payload, b"\x00\xab\x01\xff")[-size:] if size else b""
    assert unmasked(masked, b"\x00\xab\x01\xff") == payload


def test_goodbye_is_said_once() -> None:
    connection = GuardedConnection(Inbox())
    assert connection.send(CloseConnection(code=4100, reason="ü" * 100)) == b"\x88\x7c\x10\x04" + "ü".encode() * 61
    with pytest.raises(LocalProtocolError):
        connection.send(CloseConnection(code=1000))


async def test_asyncio_still_tells_what_waits_in_a_reader() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"x")
    assert getattr(reader, "_buffer", None) == b"x"
