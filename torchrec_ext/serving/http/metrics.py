"""Metrics of a service in the format of Prometheus."""

import time
from collections import deque

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_SIZES = (1, 2, 4, 8, 16, 32, 64)
ROUTES = frozenset(
    {"/recommend", "/events", "/items", "/similar", "/users", "/explain", "/bundle"}
    | {"/health", "/ready", "/metrics"}
)


class Metrics:
    """Counts requests and events, and measures how long answers take."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        to = self.registry
        self.requests = Counter(
            "torchrec_ext_requests", "Requests answered.", ["route", "status"], registry=to
        )
        self.seconds = Histogram(
            "torchrec_ext_request_seconds", "Time of accepted requests.", ["route"],
            buckets=_SECONDS, registry=to,
        )  # fmt: skip
        self.in_flight = Gauge("torchrec_ext_in_flight_requests", "Requests being answered.", registry=to)
        self.events = Counter("torchrec_ext_events", "Events stored.", registry=to)
        self.items = Counter("torchrec_ext_items", "Items added.", registry=to)
        self.batch_size = Histogram(
            "torchrec_ext_batch_size", "Lists computed together.", buckets=_SIZES, registry=to
        )
        ProcessCollector(registry=self.registry)
        self._last: deque[float] = deque(maxlen=1000)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Counts an answer; refusals, which take no time, do not count as times."""
        route = "/" + path.split("/", 2)[1] if path.startswith("/") else ""
        route = route if route in ROUTES else "other"
        self.requests.labels(route, str(status)).inc()
        if status < 400:
            self.seconds.labels(route).observe(seconds)
            if route == "/recommend":
                self._last.append(seconds)

    def list_milliseconds(self) -> dict[str, float]:
        """The p50 and p99 of the last 1,000 lists."""
        if not self._last:
            return {}
        p50, p99 = np.percentile(1000 * np.array(self._last), [50, 99]).round(2).tolist()
        return {"p50": p50, "p99": p99}

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)


class MeasuredRequests:
    """Measures every request of an app.

    Args:
        app: what answers.
        metrics: to measure with.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, and measures it."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        status, begin = 500, time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        self.metrics.in_flight.inc()
        try:
            await self.app(scope, receive, sending)
        finally:
            self.metrics.in_flight.dec()
            self.metrics.answered(scope["path"], status, time.perf_counter() - begin)
