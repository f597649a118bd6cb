"""Answers to commands as frames."""

from typing import Any

from msgspec import UNSET

from chat import metrics
from chat.fanout.frames import encode
from chat.protocol.errors import Code, Fault
from chat.protocol.events import Ack, Failed


def refusal(re: str | None, fault: Fault) -> bytes:
    """The error frame for *fault*."""
    code = Code(fault.code)
    metrics.errors.labels(code.value).inc()
    return encode(
        Failed(
            re=re,
            code=code,
            detail=str(fault),
            field=fault.field if fault.field is not None else UNSET,
            retry=fault.meaning.retry,
            retry_after_ms=fault.retry_after_ms if fault.retry_after_ms is not None else UNSET,
        )
    )


def ack(re: str, **fields: Any) -> bytes:
    """The ack frame with what the command's row of the contract names."""
    return encode(Ack(re=re, **fields))
