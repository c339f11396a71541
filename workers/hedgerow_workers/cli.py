"""`hedgerow worker PATH`: runs one worker until it is told to stop."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from hedgerow import lifeline
from hedgerow.errors import HedgerowError

ORPHAN_GRACE_S = 4.0
EXIT_USAGE = 2
EXIT_FAILED = 70

log = logging.getLogger("hedgerow.worker")


def main(argv: Sequence[str]) -> int:
    """Exit codes: 0 stopped as asked, 1 the team's code can't be loaded, 2 bad settings, 70 the consumer failed or was stuck, 75 the code on disk changed."""
    from hedgerow_workers import settings as reading

    options = _parser().parse_args(argv)
    overrides = reading.Overrides(
        slots=options.slots,
        queues=options.queues,
        memory_limit=options.memory_limit,
        recycle_after=options.recycle_after,
        metrics_port=options.metrics_port,
        state=options.state,
        log_format=options.log_format,
    )
    try:
        settings = reading.read(options.path, os.environ, overrides)
    except HedgerowError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE

    from celery.worker import WorkController

    from hedgerow_workers.app import make_app
    from hedgerow_workers.service import Service

    service = Service(settings)
    set_up_logging(settings.log_format, settings.team, service.worker)
    _set_up_signals(service)
    _end_with_threads(service)
    app = make_app(settings, service)
    worker = WorkController(
        app=app,
        hostname=f"{settings.location}@{service.worker}",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    code = int(worker.exitcode or 0)
    # Celery gives up with 1, which for us says that the code must change before a new start makes sense.
    return EXIT_FAILED if code == 1 and service.serving else code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hedgerow worker", description="Runs the steps of one code location.")
    parser.add_argument("path", type=Path, help="directory of hedgerow.toml")
    parser.add_argument("--slots", type=_positive, help="steps at once (default: [worker] slots of hedgerow.toml)")
    parser.add_argument("--queues", metavar="A,B", help="queues to serve (default: all of hedgerow.toml)")
    parser.add_argument(
        "--memory-limit", metavar="SIZE", help="memory of one runner and what it starts, such as 2GiB; 0: no limit"
    )
    parser.add_argument(
        "--recycle-after", metavar="STEPS", type=_count, help="replace a runner after so many steps; 0: never"
    )
    parser.add_argument("--metrics-port", type=int, help="port of /metrics and /healthz (default: none)")
    parser.add_argument("--state", type=Path, help="directory of the outbox (default: .hedgerow of the platform)")
    parser.add_argument("--log-format", choices=("plain", "json"), help="form of log lines (default: plain)")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _set_up_signals(service: Any) -> None:
    def on_signal(number: int, _: FrameType | None) -> None:
        service.leaving.told(f"got {signal.Signals(number).name}")

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)

    def orphaned() -> None:
        service.leaving.hurry()
        service.leaving.begin(0, "its parent is gone")
        threading.Event().wait(ORPHAN_GRACE_S)
        os.kill(os.getpid(), signal.SIGKILL)

    fd = lifeline.descriptor(os.environ)
    if fd is not None:
        lifeline.watch(fd, orphaned)


def _end_with_threads(service: Any) -> None:
    """A worker of which a part has failed leaves, rather than look alive."""

    def failed(told: threading.ExceptHookArgs) -> None:
        name = told.thread.name if told.thread else "?"
        error = told.exc_value
        log.error("thread %s of the worker failed", name, exc_info=error)
        service.leaving.begin(EXIT_FAILED, f"its thread {name} failed: {error!r}")

    threading.excepthook = failed


def set_up_logging(log_format: str, team: str, worker: str) -> None:
    """Our own lines from INFO on, those of libraries from WARNING on, on standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        _JsonFormatter(team, worker)
        if log_format == "json"
        else logging.Formatter(f"%(asctime)s %(levelname)-7s {team} %(message)s", "%H:%M:%S")
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("hedgerow").setLevel(logging.INFO)


class _JsonFormatter(logging.Formatter):
    def __init__(self, team: str, worker: str) -> None:
        super().__init__()
        self._fixed = {"team": team, "worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._fixed,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
