"""`hedgerow scheduler`: wires the scheduler together and runs it until it is told to stop."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from prometheus_client import start_http_server
from sqlalchemy.exc import SQLAlchemyError

from hedgerow.console import BAD_INPUT, UNREACHABLE, is_unreachable
from hedgerow.errors import HedgerowError, Problem
from hedgerow.lifeline import end_with_parent
from hedgerow.settings.platform import find_root, read_platform
from hedgerow_scheduler.metadata import migrate, teams
from hedgerow_scheduler.metadata.database import open_engine
from hedgerow_scheduler.observe.metrics import SchedulerMetrics
from hedgerow_scheduler.service.leading import serve

# Runs and steps live long and refer to each other: looking through them as often as Python does by default takes a seventh of a
# loaded scheduler's time.
GC_THRESHOLDS = (20_000, 20, 20)


def main(argv: list[str] | None = None) -> int:
    """Runs the scheduler in the foreground. Returns 0 after SIGTERM or SIGINT, 2 when the settings are wrong, 3 when the
    database can't be used or reached.
    """
    parser = argparse.ArgumentParser(
        prog="hedgerow scheduler", description="Plan, admit and dispatch; one of any number leads."
    )
    parser.add_argument(
        "--root", type=Path, default=Path.cwd(), help="where platform.toml or .hedgerow is looked for, upwards"
    )
    parser.add_argument("--metrics-port", type=int, default=0, help="serve /metrics on this port (default: not at all)")
    parser.add_argument("--metrics-host", default="127.0.0.1")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = read_platform(find_root(arguments.root), os.environ)
        behind = migrate.current(settings.database) != migrate.head(settings.database)
    except HedgerowError as error:
        print(error, file=sys.stderr)
        return UNREACHABLE if is_unreachable(error) else BAD_INPUT
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", error)).strip().splitlines()[0]
        problem = Problem(
            "HR-P351", f"The database does not answer: {said}.", "Check HEDGEROW_DATABASE and the server."
        )
        print(problem, file=sys.stderr)
        return UNREACHABLE
    if behind:
        print(
            "HR-P303  The database's schema is not the one this program needs.\n         Run `hedgerow db upgrade` first.",
            file=sys.stderr,
        )
        return 3
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    end_with_parent(os.environ)
    metrics = SchedulerMetrics()
    if arguments.metrics_port:
        start_http_server(arguments.metrics_port, arguments.metrics_host, metrics.registry)
    engine = open_engine(settings.database, pool_size=2, leader=True, name="hedgerow-scheduler")
    with engine.begin() as connection:
        teams.register(connection, settings.teams)
    serve(engine, settings, metrics, f"{socket.gethostname()}:{os.getpid()}", stopping)
    engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
