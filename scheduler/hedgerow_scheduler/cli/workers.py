"""`hedgerow worker list` and `hedgerow worker drain`: the workers of all teams, and having one leave."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Sequence
from typing import Any

from hedgerow import clock
from hedgerow_scheduler.cli.client import Client, connect, segment
from hedgerow_scheduler.cli.command import OK, Parser, add_author, add_json, author_of, execute
from hedgerow_scheduler.cli.output import Output, ago

SHORT_HASH = 12
# So much of a worker's id is the millisecond in which it was started.
SHORT_ID = 13
LOOK_S = 0.5


def list_parser() -> Parser:
    """The command line of `hedgerow worker list`."""
    parser = Parser(prog="hedgerow worker list", description="The live workers of all teams.")
    parser.add_argument("--team", metavar="TEAM", help="only this team's")
    add_json(parser)
    parser.set_defaults(run=list_workers)
    return parser


def drain_parser() -> Parser:
    """The command line of `hedgerow worker drain`."""
    parser = Parser(
        prog="hedgerow worker drain",
        description="Has a worker leave: it takes no more orders, finishes what runs within its grace, hands back the rest, and exits with 0.",
    )
    parser.add_argument("worker", metavar="WORKER", help="its id, or the beginning of it; `worker list` shows them")
    parser.add_argument("--team", metavar="TEAM", help="its team (default: whichever has it)")
    parser.add_argument("--reason", default="", help="why, recorded with the request and said in the worker's log")
    parser.add_argument("--wait", action="store_true", help="return only when it has left")
    add_author(parser)
    add_json(parser)
    parser.set_defaults(run=drain)
    return parser


def list_main(argv: Sequence[str]) -> int:
    """Runs `worker list`."""
    return execute(list_parser(), argv)


def drain_main(argv: Sequence[str]) -> int:
    """Runs `worker drain`."""
    return execute(drain_parser(), argv)


def list_workers(options: argparse.Namespace, output: Output) -> int:
    """`worker list`."""
    found = connect().get("/workers", team=options.team)
    if output.as_json:
        output.json({"items": found})
    elif found:
        show_workers(output, found, with_team=True)
    else:
        output.line("No live workers that a scheduler has heard of. Start one: `hedgerow worker PATH`.", "yellow")
    return OK


def show_workers(output: Output, workers: Sequence[dict[str, Any]], *, with_team: bool = False) -> None:
    """A table of workers, each under as much of its id as tells it from the others."""
    now = clock.now()
    length = _distinct([worker["id"] for worker in workers])
    rows = (
        (
            *((worker["team"],) if with_team else ()),
            worker["id"][:length],
            worker["location"],
            worker["state"],
            f"{worker['busy']}/{worker['slots']}",
            ", ".join(worker["queues"]),
            worker["manifest_hash"][:SHORT_HASH],
            f"{worker['host']}:{worker['pid']}",
            ago(worker["last_seen_at"], now),
        )
        for worker in workers
    )
    columns = ("worker", "location", "state", "busy", "queues", "manifest", "host", "heard")
    output.table(("team", *columns) if with_team else columns, rows)


def _distinct(ids: Sequence[str]) -> int:
    return next(
        length
        for length in range(SHORT_ID, max(map(len, ids), default=0) + SHORT_ID + 1)
        if len({each[:length] for each in ids}) == len(set(ids))
    )


def drain(options: argparse.Namespace, output: Output) -> int:
    """`worker drain`."""
    client = connect()
    (worker,) = client.get("/workers", team=options.team, worker=options.worker)
    path = f"/teams/{segment(worker['team'])}/workers/{segment(worker['id'])}/drain"
    accepted = client.post(path, {"author": author_of(options), "reason": options.reason})
    if options.wait:
        _wait_until_gone(client, worker)
    if output.as_json:
        output.json({**accepted, "gone": options.wait})
    elif options.wait:
        output.line(f"Worker {worker['id']} of team {worker['team']} has left.")
    else:
        output.line(f"Worker {worker['id']} of team {worker['team']} is told to leave; it runs {worker['busy']} steps.")
    return OK


def _wait_until_gone(client: Client, worker: dict[str, Any]) -> None:
    pause = threading.Event()
    while any(each["id"] == worker["id"] for each in client.get("/workers", team=worker["team"])):
        pause.wait(LOOK_S)
