"""The API's own metrics: requests by route template, never by path."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

from litestar import Request, Response, get
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from hedgerow import clock

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
UNMATCHED = "unmatched"


class Metrics:
    """The registry of one API process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        build = Gauge("hedgerow_build_info", "Always 1.", ["version", "python", "role"], registry=self.registry)
        build.labels(version("hedgerow"), platform.python_version(), "api").set(1)
        self.requests = Counter(
            "hedgerow_http_requests_total", "Requests answered.", ["route", "method", "code"], registry=self.registry
        )
        self.durations = Histogram(
            "hedgerow_http_request_duration_seconds",
            "From the request's head to the end of its answer.",
            ["route", "method", "code"],
            buckets=BUCKETS,
            registry=self.registry,
        )


class CountRequests(ASGIMiddleware):
    """Counts and times every request. It stands outside the error handling, so that refusals are counted too."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if scope["type"] != ScopeType.HTTP:
            await next_app(scope, receive, send)
            return
        started = clock.monotonic()
        code = "500"

        async def watch(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = str(message["status"])
            await send(message)

        try:
            await next_app(scope, receive, watch)
        finally:
            labels = (_template(scope), str(scope.get("method", "")), code)
            self._metrics.requests.labels(*labels).inc()
            self._metrics.durations.labels(*labels).observe(clock.monotonic() - started)


def _template(scope: Scope) -> str:
    return str(scope.get("path_template") or UNMATCHED)


def count_unmatched(request: Request[Any, Any, Any], status: int) -> None:
    """Counts a request that no route took: the router refuses those before any middleware sees them."""
    if not request.scope.get("path_template"):
        metrics: Metrics = request.app.state.metrics
        metrics.requests.labels(UNMATCHED, request.method, str(status)).inc()


@get("/metrics", include_in_schema=False, sync_to_thread=False)
def show_metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The metrics in Prometheus' text format."""
    metrics: Metrics = request.app.state.metrics
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)
