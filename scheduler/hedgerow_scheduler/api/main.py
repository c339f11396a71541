"""`hedgerow api`: the HTTP API as a process."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

import uvicorn
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from hedgerow.errors import HedgerowError
from hedgerow.lifeline import end_with_parent
from hedgerow.settings.platform import PlatformSettings, find_root, read_platform
from hedgerow_scheduler.api.app import build_app
from hedgerow_scheduler.api.logs import Logs
from hedgerow_scheduler.api.services import Limits, Services
from hedgerow_scheduler.metadata import migrate
from hedgerow_scheduler.metadata.database import open_engine

DEFAULT_PORT = 8780
POOL = 10


def parser() -> argparse.ArgumentParser:
    """The command line of `hedgerow api`."""
    parser = argparse.ArgumentParser(prog="hedgerow api", description="Serve the HTTP API until stopped.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"port to listen on (default: {DEFAULT_PORT})")
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
    return Services(engine, Logs(platform.name, platform.storage, platform.broker_of), limits, at_head)


def main(argv: list[str]) -> int:
    """Serves until SIGINT or SIGTERM."""
    options = parser().parse_args(argv)
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    end_with_parent(os.environ)
    try:
        services = open_services(read_platform(find_root(Path.cwd()), os.environ))
    except HedgerowError as error:
        print(error, file=sys.stderr)
        return 3 if error.code == "HR-C008" else 2
    server = uvicorn.Server(
        uvicorn.Config(
            build_app(services),
            host=options.host,
            port=options.port,
            log_level=options.log_level,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,  # open streams of events would keep it for ever
            lifespan="on",
        )
    )
    try:
        server.run()
    except KeyboardInterrupt:
        return 130
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
