"""What a worker tells Prometheus, and `/healthz`, on a port of its own."""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import Any, Protocol, get_args

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from hedgerow.protocol.events import EvaluationKind, EvaluationReason
from hedgerow.protocol.logs import Why

PREFIX = "hedgerow_"
# Why a runner that works is replaced between two steps: it has done its number of them, or has grown near the memory limit.
REPLACED_FOR = ("recycled", "memory")
# Why a worker drops lines of logs: of the live tail, which is not all that is kept, and of what is kept.
LINES_DROPPED_FOR: tuple[Why, ...] = ("rate", "broker", "unwritten", "storage")


class Observed(Protocol):
    """What is asked of a worker when Prometheus asks."""

    @property
    def draining(self) -> bool:
        """Whether it takes no more orders."""

    @property
    def outbox_events(self) -> int:
        """How many events are not acknowledged."""

    @property
    def outbox_bytes(self) -> int:
        """What they take on disk."""

    @property
    def broker_losses(self) -> int:
        """How often contact with the broker was lost."""


class Metrics:
    """The registry of one worker; nothing listens until `serve`."""

    def __init__(self, slots: int) -> None:
        self.registry = CollectorRegistry()
        build = Gauge(f"{PREFIX}build_info", "Always 1.", ("version", "python", "role"), registry=self.registry)
        build.labels(version("hedgerow"), platform.python_version(), "worker").set(1)
        Gauge(f"{PREFIX}worker_slots", "Steps at once.", registry=self.registry).set(slots)
        self.runner_exits = 0
        self.runner_replacements = dict.fromkeys(REPLACED_FOR, 0)
        self.watchdog_restarts = 0
        self.log_lines_dropped = dict.fromkeys(LINES_DROPPED_FOR, 0)
        self.evaluations = {
            (kind, reason): 0 for kind in get_args(EvaluationKind) for reason in get_args(EvaluationReason)
        }
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def runner_exited(self) -> None:
        """Counts a runner that ended and was not meant to."""
        self.runner_exits += 1

    def runner_replaced(self, why: str) -> None:
        """Counts a runner that gave way to a fresh one between two steps."""
        self.runner_replacements[why] += 1

    def evaluated(self, kind: EvaluationKind, reason: EvaluationReason) -> None:
        """Counts an evaluation outside of steps that is over."""
        with self._lock:
            self.evaluations[kind, reason] += 1

    def lines_dropped(self, why: Why, lines: int) -> None:
        """Counts lines of logs that are missing somewhere."""
        with self._lock:
            self.log_lines_dropped[why] += lines

    def observe(self, worker: Observed) -> None:
        """From now on `/metrics` tells of this worker too."""
        self.registry.register(_Live(self, worker))

    def serve(self, port: int, healthy: Callable[[], bool]) -> None:
        """Answers `/metrics` and `/healthz` on this port of every interface; 0: not at all. OSError when it is taken."""
        if port == 0:
            return
        registry = self.registry

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.partition("?")[0] == "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
                elif self.path == "/healthz":
                    well = healthy()
                    self._answer(200 if well else 503, "text/plain", b"ok\n" if well else b"draining\n")
                else:
                    self._answer(404, "text/plain", b"not found\n")

            def _answer(self, status: int, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("", port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Live:
    """Values that are looked up when asked for."""

    def __init__(self, counts: Metrics, worker: Observed) -> None:
        self._counts = counts
        self._worker = worker

    def collect(self) -> Iterable[Metric]:
        worker = self._worker
        yield GaugeMetricFamily(
            f"{PREFIX}worker_up", "Whether the worker takes orders.", value=0 if worker.draining else 1
        )
        yield GaugeMetricFamily(
            f"{PREFIX}worker_outbox_events", "Events that are not acknowledged.", value=worker.outbox_events
        )
        yield GaugeMetricFamily(
            f"{PREFIX}worker_outbox_bytes", "Size of the outbox on disk.", value=worker.outbox_bytes
        )
        yield CounterMetricFamily(
            f"{PREFIX}worker_broker_reconnects",
            "Times that contact with the broker was lost.",
            value=worker.broker_losses,
        )
        yield CounterMetricFamily(
            f"{PREFIX}worker_runner_exits",
            "Runners that ended in a step or by themselves.",
            value=self._counts.runner_exits,
        )
        replacements = CounterMetricFamily(
            f"{PREFIX}worker_runner_replacements",
            "Runners replaced between two steps, after their number of steps or near the memory limit.",
            labels=("reason",),
        )
        for reason, count in self._counts.runner_replacements.items():
            replacements.add_metric((reason,), count)
        yield replacements
        lines = CounterMetricFamily(
            f"{PREFIX}worker_log_lines_dropped",
            "Lines of logs dropped: from the live tail (`rate`, `broker`), or for good (`unwritten`, `storage`).",
            labels=("reason",),
        )
        for why, count in self._counts.log_lines_dropped.items():
            lines.add_metric((why,), count)
        yield lines
        evaluations = CounterMetricFamily(
            f"{PREFIX}worker_evaluations",
            "Evaluations of the team's own code outside of steps, by what became of them.",
            labels=("kind", "reason"),
        )
        for labels, count in self._counts.evaluations.items():
            evaluations.add_metric(labels, count)
        yield evaluations
        yield CounterMetricFamily(
            f"{PREFIX}worker_watchdog_restarts",
            "Times that the watchdog ended the worker.",
            value=self._counts.watchdog_restarts,
        )
