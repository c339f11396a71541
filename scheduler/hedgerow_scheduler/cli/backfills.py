"""`hedgerow backfill`: make partitions that lie in the past, many at a time, and steer that while it goes on."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.live import Live

from hedgerow import clock
from hedgerow.errors import RequestError
from hedgerow_scheduler.cli.awaiting import taken_up
from hedgerow_scheduler.cli.backfill_view import (
    ENDED,
    ended_of,
    line,
    pace_text,
    picture,
    show_detail,
    show_plan,
)
from hedgerow_scheduler.cli.client import Client, connect, segment
from hedgerow_scheduler.cli.command import (
    FAILED,
    INTERRUPTED,
    OK,
    Parser,
    add_author,
    add_json,
    author_of,
    execute,
    whole_number,
)
from hedgerow_scheduler.cli.materialize import config_of, range_of
from hedgerow_scheduler.cli.output import Output, ago, clean, short, state_text
from hedgerow_scheduler.planning.backfill_request import DEFAULT_PER_RUN, DEFAULT_RUNS, BackfillRequest

LOOK_S = 0.5
PLAIN_EVERY_S = 10.0
CHANGES = {
    "pause": (
        "launch nothing more until it is resumed",
        "Launches nothing more of a backfill; runs that are out go on.",
    ),
    "resume": ("let it go on", "Lets a paused backfill go on."),
    "cancel": ("stop it", "Launches nothing more of a backfill and cancels the runs that are out."),
    "retry": (
        "make again what is not made",
        "Makes again what failed or was cancelled and what was not made for it; one that ended early goes on with all that is left.",
    ),
}


def parser() -> Parser:
    """The command line of `hedgerow backfill`."""
    parser = Parser(
        prog="hedgerow backfill",
        description="Makes many partitions of assets, in runs of some of them at a time, each after what it is made from. Its runs "
        "come after everything else that waits.",
    )
    parts = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
    starting = parts.add_parser("start", help="start one", description="Starts a backfill of a selection of assets.")
    _add_request(starting)
    starting.add_argument("--reason", default="", help="why, for everyone to read")
    add_author(starting)
    _add_wait(starting)
    add_json(starting)
    starting.set_defaults(run=start)
    ahead = parts.add_parser(
        "preview", help="what one would come to", description="Shows what a backfill would come to, and starts nothing."
    )
    _add_request(ahead)
    add_json(ahead)
    ahead.set_defaults(run=preview)
    listing = parts.add_parser("list", help="every backfill", description="Backfills, newest first.")
    listing.add_argument("--live", action="store_true", help="only those that have not ended")
    listing.add_argument("--limit", type=whole_number(1), default=20, help="how many at most (default: 20)")
    add_json(listing)
    listing.set_defaults(run=list_backfills)
    showing = parts.add_parser(
        "show", help="one, by asset", description="A backfill with the progress of each of its assets."
    )
    _add_target(showing)
    _add_wait(showing)
    add_json(showing)
    showing.set_defaults(run=show)
    for name, (help_text, description) in CHANGES.items():
        part = parts.add_parser(name, help=help_text, description=description)
        _add_target(part)
        part.add_argument("--reason", default="", help="why, for everyone to read")
        add_author(part)
        add_json(part)
        part.set_defaults(run=change, what=name)
    pacing = parts.add_parser(
        "rate",
        help="let it go faster or slower",
        description="Lets a backfill go faster or slower from now on; what is out is left alone.",
    )
    _add_target(pacing)
    pacing.add_argument(
        "rate", metavar="RATE", nargs="?", help="partitions launched at most, such as 10/m; none for no rate"
    )
    pacing.add_argument("--max-runs", metavar="K", type=whole_number(1), help="runs at once")
    pacing.add_argument("--reason", default="", help="why, for everyone to read")
    add_author(pacing)
    add_json(pacing)
    pacing.set_defaults(run=pace)
    return parser


def _add_target(parser: Parser) -> None:
    parser.add_argument("target", metavar="BACKFILL", help="its id or the beginning of it")


def _add_wait(parser: Parser) -> None:
    parser.add_argument(
        "--wait", action="store_true", help="stay until it has ended; exit code 1 if it did not succeed"
    )


def _add_request(parser: Parser) -> None:
    parser.add_argument(
        "selection",
        metavar="SELECTION",
        nargs="+",
        help="as of `hedgerow materialize`: keys, globs, group:NAME, KEY+ …",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--range", metavar="FIRST..LAST", help="the partitions from FIRST to LAST, both included")
    which.add_argument("--partition", metavar="KEY", action="append", default=[], help="a partition; may be repeated")
    which.add_argument("--all", action="store_true", help="every partition there is now")
    only = parser.add_mutually_exclusive_group()
    only.add_argument(
        "--missing", action="store_true", help="only those of them (by default: of all) that were never made"
    )
    only.add_argument("--failed", action="store_true", help="only those of them (by default: of all) that failed last")
    parser.add_argument("--config", metavar="JSON|@FILE", help="configuration by asset key, as JSON or in a file")
    parser.add_argument(
        "--canary",
        metavar="N",
        type=whole_number(1),
        default=0,
        help="make N partitions of each asset first, and look how they end",
    )
    parser.add_argument(
        "--abort-threshold",
        metavar="SHARE",
        help="the share of failures that ends it, such as 10%% or 0.1 (default: 10%% of a canary, else none)",
    )
    parser.add_argument("--rate", metavar="RATE", help="partitions launched at most, such as 600/m (default: no rate)")
    parser.add_argument(
        "--max-runs",
        metavar="K",
        type=whole_number(1),
        default=DEFAULT_RUNS,
        help=f"runs at once (default: {DEFAULT_RUNS})",
    )
    parser.add_argument(
        "--max-partitions-per-run",
        metavar="N",
        type=whole_number(1),
        help=f"instead of what the assets say (without that: {DEFAULT_PER_RUN})",
    )


def main(argv: Sequence[str]) -> int:
    """Runs the command."""
    return execute(parser(), argv)


def request_of(options: argparse.Namespace) -> BackfillRequest:
    """The request that the options describe. Raises RequestError HR-Q321 for what can't be read."""
    return BackfillRequest(
        tuple(options.selection),
        tuple(options.partition),
        range_of(options.range),
        options.all,
        "missing" if options.missing else "failed" if options.failed else None,
        config_of(options.config),
        options.canary,
        _share(options.abort_threshold),
        options.max_runs,
        options.rate,
        options.max_partitions_per_run,
    )


def _share(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        share = float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = math.nan
    if not math.isfinite(share):
        raise RequestError.of("HR-Q321", f"'{text}' is no share.", "Write it such as 10% or 0.1.")
    return share


def start(options: argparse.Namespace, output: Output) -> int:
    """`backfill start`."""
    client = connect()
    body = {**msgspec.to_builtins(request_of(options)), "author": author_of(options), "reason": options.reason}
    started = client.post("/backfills", body, key=clock.uuid7())
    if options.wait:
        return _follow(client, started["id"], output)
    if output.as_json:
        output.json(started)
        return OK
    one = client.get(f"/backfills/{started['id']}")["backfill"]
    output.line(f"Backfill {started['id']} of {one['partitions']:,} partitions: {pace_text(one['settings'])}.")
    output.line(f"See it: `hedgerow backfill show {short(started['id'])}`.", "dim")
    return OK


def preview(options: argparse.Namespace, output: Output) -> int:
    """`backfill preview`."""
    plan = connect().post("/backfills/plan", request_of(options))
    output.json(plan) if output.as_json else show_plan(output, plan)
    return OK


def list_backfills(options: argparse.Namespace, output: Output) -> int:
    """`backfill list`."""
    live = ["requested", "canary", "running", "paused", "aborting", "cancelling"] if options.live else None
    found = list(connect().pages("/backfills", options.limit, state=live))
    if output.as_json:
        output.json({"items": found})
        return OK
    if not found:
        none = "No backfill goes on." if options.live else "There is no backfill."
        output.line(f"{none} Start one: hedgerow backfill start KEY --range FIRST..LAST")
        return OK
    now = clock.now()
    rows = (
        (
            short(one["id"]),
            state_text(one["state"]),
            f"{ended_of(one['counts']):,}/{one['partitions']:,}",
            f"{one['counts']['failed']:,}" if one["counts"]["failed"] else "",
            " ".join(one["selection"]),
            one["author"],
            ago(one["created_at"], now),
        )
        for one in found
    )
    output.table(("backfill", "state", "partitions", "failed", "selection", "by", "started"), rows, right=(2, 3))
    return OK


def show(options: argparse.Namespace, output: Output) -> int:
    """`backfill show`."""
    client = connect()
    if options.wait:
        return _follow(client, segment(options.target), output)
    found = client.get(f"/backfills/{segment(options.target)}")
    output.json(found) if output.as_json else show_detail(output, found)
    return OK


def change(options: argparse.Namespace, output: Output) -> int:
    """`backfill pause`, `resume`, `cancel` and `retry`."""
    client, path = connect(), f"/backfills/{segment(options.target)}"
    accepted = client.post(f"{path}/{options.what}", {"author": author_of(options), "reason": options.reason})
    return _tell(client, accepted, output)


def pace(options: argparse.Namespace, output: Output) -> int:
    """`backfill rate`."""
    body: dict[str, Any] = {"author": author_of(options), "reason": options.reason}
    if options.rate is not None:
        body["rate"] = None if options.rate == "none" else options.rate
    if options.max_runs is not None:
        body["max_runs"] = options.max_runs
    client = connect()
    return _tell(client, client.put(f"/backfills/{segment(options.target)}/pace", body), output)


def _tell(client: Client, accepted: dict[str, Any], output: Output) -> int:
    """How it stands once the scheduler has taken up what was asked, for which ten seconds are waited at most."""
    found = taken_up(client, f"/backfills/{accepted['backfill_id']}")
    if output.as_json:
        output.json({**accepted, "pending": found["pending"], "state": found["backfill"]["state"]})
        return OK
    output.line(line(found["backfill"]))
    output.line(f"  {pace_text(found['backfill']['settings'])}", "dim")
    if found["pending"]:
        output.note("No scheduler has taken it up yet; it will when one leads.", "yellow")
    return OK


def _follow(client: Client, target: str, output: Output) -> int:
    """Stays until a backfill has ended. After Ctrl-C it goes on."""
    path, told_at = f"/backfills/{target}", 0.0
    found = client.get(path)
    live = Live(console=output.err, refresh_per_second=4, transient=True)
    try:
        if output.err.is_terminal and not output.as_json:
            live.start()
        while found["backfill"]["state"] not in ENDED:
            if live.is_started:
                live.update(picture(found))
            elif not output.as_json and clock.monotonic() - told_at > PLAIN_EVERY_S:
                told_at = clock.monotonic()
                output.note(line(found["backfill"]))
            time.sleep(LOOK_S)
            found = client.get(path)
    except KeyboardInterrupt:
        output.note(f"\nIt goes on. Stop it: `hedgerow backfill cancel {clean(short(found['backfill']['id']))}`.")
        return INTERRUPTED
    finally:
        live.stop()
    output.json(found) if output.as_json else show_detail(output, found)
    return OK if found["backfill"]["state"] == "succeeded" else FAILED
