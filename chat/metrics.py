"""What the server counts, for Prometheus. One registry a process; label values come from closed lists."""

import asyncio
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

ProcessCollector(registry=REGISTRY)  # memory, descriptors, CPU
tasks = Gauge(
    "chat_tasks", "Tasks of the event loop: what is under way, and what has been forgotten", registry=REGISTRY
)
connections = Gauge("chat_connections", "Open WebSockets", registry=REGISTRY)
outbox_bytes = Gauge("chat_outbox_bytes", "Bytes that peers have not taken", registry=REGISTRY)
closes = Counter("chat_closes", "WebSockets closed by the server", ["code"], registry=REGISTRY)
resumes = Counter("chat_resumes", "Rooms resumed", ["outcome"], registry=REGISTRY)
errors = Counter("chat_errors", "Refused calls and commands", ["code"], registry=REGISTRY)
requests = Histogram(
    "chat_http_request_seconds", "HTTP requests", ["method", "route", "status"], buckets=_SECONDS, registry=REGISTRY
)
batch_size = Histogram(
    "chat_writer_batch_size",
    "Operations per commit",
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000),
    registry=REGISTRY,
)
batch_seconds = Histogram("chat_writer_batch_seconds", "Time per commit", buckets=_SECONDS, registry=REGISTRY)


class Messages(Collector):
    """What is counted at every message: in the event loop alone, hence without the library's locks."""

    def __init__(self) -> None:
        self._deliveries = 0
        self._waits = [0] * (len(_SECONDS) + 1)
        self._waited_s = 0.0

    def sent(self, seconds: float) -> None:
        """A message was handed over *seconds* after its receipt."""
        self._waits[bisect_left(_SECONDS, seconds)] += 1
        self._waited_s += seconds

    def delivered(self, listeners: int) -> None:
        """A message went to *listeners* connections."""
        self._deliveries += listeners

    def collect(self) -> Iterator[Metric]:
        """As Prometheus reads it."""
        yield CounterMetricFamily("chat_deliveries", "Message events handed to connections", value=self._deliveries)
        bounds = [*map(str, _SECONDS), "+Inf"]
        yield HistogramMetricFamily(
            "chat_send_to_deliver_seconds",
            "From the receipt of a message to its hand-over to the recipients' outboxes",
            buckets=list(zip(bounds, accumulate(self._waits), strict=True)),
            sum_value=self._waited_s,
        )


messages = Messages()
REGISTRY.register(messages)


def exposition() -> bytes:
    """All of it, as Prometheus reads it; called in the event loop, whose tasks it counts."""
    tasks.set(len(asyncio.all_tasks()))
    return generate_latest(REGISTRY)
