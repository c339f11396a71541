"""`hedgerow db`: the schema of the metadata database."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from hedgerow.errors import PlatformError
from hedgerow.settings.platform import find_root, read_platform
from hedgerow_scheduler.cli.command import FAILED, OK, Parser, add_json, execute
from hedgerow_scheduler.cli.output import Output, clean
from hedgerow_scheduler.metadata import migrate


def parser() -> Parser:
    """The command line of `hedgerow db`."""
    parser = Parser(
        prog="hedgerow db", description="The schema of the metadata database (HEDGEROW_DATABASE or platform.toml)."
    )
    parts = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
    upgrading = parts.add_parser(
        "upgrade", help="bring the schema to this version", description="Bring the schema to this version."
    )
    add_json(upgrading)
    upgrading.set_defaults(run=upgrade)
    showing = parts.add_parser(
        "current",
        help="which revision it has",
        description="Print the schema's revision; exit code 1 when it is not this version's.",
    )
    add_json(showing)
    showing.set_defaults(run=current)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command."""
    return execute(parser(), argv)


def upgrade(_: argparse.Namespace, output: Output) -> int:
    """`db upgrade`."""
    url = _database()
    try:
        before = migrate.current(url)
        after = migrate.upgrade(url)
    except SQLAlchemyError as error:
        raise _unreachable(error) from error
    if output.as_json:
        output.json({"before": before, "revision": after})
    elif before == after:
        output.line(f"The database is at revision {after} already.")
    else:
        output.line(f"The database is at revision {after} now (before: {before or 'empty'}).")
    return OK


def current(_: argparse.Namespace, output: Output) -> int:
    """`db current`."""
    url = _database()
    try:
        found, newest = migrate.current(url), migrate.head(url)
    except SQLAlchemyError as error:
        raise _unreachable(error) from error
    if output.as_json:
        output.json({"revision": found, "newest": newest})
    else:
        output.line(
            f"{found or 'empty'}"
            + ("" if found == newest else f" (this version has {newest}: run `hedgerow db upgrade`)")
        )
    return OK if found == newest else FAILED


def _database() -> str:
    return read_platform(find_root(Path.cwd()), os.environ).database


def _unreachable(error: SQLAlchemyError) -> PlatformError:
    said = clean(str(getattr(error, "orig", error)).strip().splitlines()[0])
    problem = PlatformError.of(
        "HR-P351", f"The database does not answer: {said}.", "Check HEDGEROW_DATABASE and the server."
    )
    return PlatformError(problem.problems)
