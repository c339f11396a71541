"""`hedgerow api`: the HTTP API as a process."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from hedgerow.errors import HedgerowError, PlatformError
from hedgerow.lifeline import end_with_parent
from hedgerow.settings.platform import PlatformSettings, find_root, read_platform
from hedgerow_scheduler.api.app import build_app
from hedgerow_scheduler.api.logs import Logs
from hedgerow_scheduler.api.services import Limits, Services
from hedgerow_scheduler.cli.command import INTERRUPTED, Parser, exit_code, whole_number
from hedgerow_scheduler.metadata import migrate
from hedgerow_scheduler.metadata.database import open_engine
from hedgerow_scheduler.planning.rules import PlatformLimits

DEFAULT_PORT = 8780
POOL = 10


def parser() -> Parser:
    """The command line of `hedgerow api`."""
    parser = Parser(prog="hedgerow api", description="Serve the HTTP API until stopped.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--port",
        type=whole_number(0, 65535),
        default=DEFAULT_PORT,
        help=f"port to listen on (default: {DEFAULT_PORT})",
    )
    parser.add_argument(
        "--log-level",
        default="warning",
        choices=["debug", "info", "warning", "error"],
        help="what is logged (default: warning)",
    )
    return parser


def open_services(platform: PlatformSettings) -> Services:
    """The services of a deployment. Nothing is connected before the first request."""
    engine = open_engine(platform.database, pool_size=POOL, name="hedgerow-api")
    newest = migrate.head(platform.database)

    def at_head(connection: Connection) -> bool:
        try:
            found = connection.execute(text("select version_num from alembic_version")).scalar_one_or_none()
        except ProgrammingError:
            return False  # there is no such table: the database is empty
        return found == newest

    limits = Limits(worker_silence_s=platform.timings.lease_s)
    granted = PlatformLimits(platform.teams, {pool.name: pool for pool in platform.pools}, platform.caps)
    logs = Logs(platform.name, platform.storage, platform.broker_of)
    return Services(engine, logs, limits, at_head, granted, automatic=platform.automation.enabled)


def main(argv: list[str]) -> int:
    """Serves until SIGINT or SIGTERM."""
    try:
        return _serve(parser().parse_args(argv))
    except HedgerowError as error:
        print(error, file=sys.stderr)
        return exit_code(error)


def _serve(options: argparse.Namespace) -> int:
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    end_with_parent(os.environ)
    services = open_services(read_platform(find_root(Path.cwd()), os.environ))
    config = uvicorn.Config(
        build_app(services),
        log_level=options.log_level,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,  # open streams of events would keep it for ever
        lifespan="on",
    )
    with _listen(options.host, options.port) as listener:
        print(f"serving http://{options.host}:{listener.getsockname()[1]}/api/v1", file=sys.stderr, flush=True)
        server = uvicorn.Server(config)
        signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn stops, then hands the signal to whoever had it before
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            return INTERRUPTED
    services.engine.dispose()
    return 0 if server.started else 1


def _listen(host: str, port: int) -> socket.socket:
    """A socket on this address. Raises PlatformError HR-P206."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise PlatformError.of(
            "HR-P206",
            f"Can't listen on {host}:{port}: {os.strerror(error.errno) if error.errno else error}.",
            "Give another --port, or stop what uses it.",
        ) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
