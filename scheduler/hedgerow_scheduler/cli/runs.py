"""`hedgerow run`: list, show, read logs, cancel, retry."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from hedgerow import clock
from hedgerow_scheduler.cli.awaiting import taken_up
from hedgerow_scheduler.cli.client import connect, segment
from hedgerow_scheduler.cli.command import OK, Parser, add_author, add_json, author_of, execute, whole_number
from hedgerow_scheduler.cli.following import ENDED_RUN
from hedgerow_scheduler.cli.materialize import follow_to_end
from hedgerow_scheduler.cli.output import (
    Output,
    ago,
    between,
    clean,
    short,
    short_ids,
    state_text,
    step_name,
)
from hedgerow_scheduler.cli.progress import show_summary
from hedgerow_scheduler.cli.run_logs import logs
from hedgerow_scheduler.cli.steps import show_error, show_step, split_target
from hedgerow_scheduler.lifecycle.states import RunState

MAX_FAILED = 10
SAID_BY_AUTHOR = frozenset({"automation", "evaluation"})  # whose values say nothing to people


def parser() -> Parser:
    """The command line of `hedgerow run`."""
    parser = Parser(
        prog="hedgerow run",
        description="Runs. RUN is a run's id or the beginning of one, as `hedgerow run list` shows it.",
    )
    parts = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)

    listing = parts.add_parser("list", help="runs, newest first", description="Runs, newest first.")
    listing.add_argument("--state", action="append", choices=[str(state) for state in RunState], help="may be repeated")
    listing.add_argument("--asset", metavar="KEY", help="runs that make this asset")
    listing.add_argument("--tag", metavar="NAME=VALUE", action="append", help="may be repeated; all must fit")
    listing.add_argument("--author", help="runs that this person asked for")
    listing.add_argument("--limit", type=whole_number(1), default=20, help="how many at most (default: 20)")
    add_json(listing)
    listing.set_defaults(run=list_runs)

    showing = parts.add_parser(
        "show", help="a run, or one step of it", description="A run, or one step of it with its attempts."
    )
    showing.add_argument("target", metavar="RUN[/STEP]", help="a run, or a step of it by its number")
    add_json(showing)
    showing.set_defaults(run=show)

    reading = parts.add_parser(
        "logs", help="what steps printed", description="What the steps of a run, or one step, printed."
    )
    reading.add_argument("target", metavar="RUN[/STEP]", help="a run, or a step of it by its number")
    reading.add_argument("--attempt", type=whole_number(1), help="only this attempt of each step")
    reading.add_argument("--follow", "-f", action="store_true", help="go on until the run or step has ended")
    add_json(reading)
    reading.set_defaults(run=logs)

    cancelling = parts.add_parser(
        "cancel", help="stop a run", description="Cancel a run: nothing more starts, and what runs is stopped."
    )
    cancelling.add_argument("target", metavar="RUN", help="the run's id or the beginning of it")
    add_author(cancelling)
    add_json(cancelling)
    cancelling.set_defaults(run=cancel)

    hurrying = parts.add_parser(
        "priority",
        help="make a run more or less urgent",
        description="Gives a run another urgency, from -100 to 100 (0 by default): where limits are shared it goes before others, those of other teams too.",
    )
    hurrying.add_argument("target", metavar="RUN", help="the run's id or the beginning of it")
    hurrying.add_argument("priority", metavar="N", type=_urgency, help="-100 to 100")
    hurrying.add_argument("--reason", required=True, help="why, for everyone to read")
    add_author(hurrying)
    add_json(hurrying)
    hurrying.set_defaults(run=prioritise)

    retrying = parts.add_parser(
        "retry",
        help="try again what did not succeed",
        description="Try the steps of a run again that ended without success, within the same run.",
    )
    retrying.add_argument("target", metavar="RUN", help="the run's id or the beginning of it")
    retrying.add_argument(
        "--step",
        type=whole_number(0),
        action="append",
        default=[],
        metavar="NUMBER",
        help="only this step; may be repeated",
    )
    retrying.add_argument("--no-wait", action="store_true", help="do not follow the run")
    add_author(retrying)
    add_json(retrying)
    retrying.set_defaults(run=retry)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command."""
    return execute(parser(), argv)


def list_runs(options: argparse.Namespace, output: Output) -> int:
    """`run list`."""
    found = list(
        connect().pages(
            "/runs", options.limit, state=options.state, asset=options.asset, tag=options.tag, author=options.author
        )
    )
    if output.as_json:
        output.json({"items": found})
        return OK
    now, names = clock.now(), short_ids(run["id"] for run in found)
    rows = (
        (
            names[run["id"]],
            state_text(run["state"]),
            clean(" ".join(run["request"]["selection"]))[:60],
            _partitions(run["request"]),
            run["steps"] or "",
            ago(run["created_at"], now),
            between(run["started_at"], run["ended_at"], now),
            run["author"],
            tags_text(run),
        )
        for run in found
    )
    columns = ("run", "state", "selection", "partitions", "steps", "asked", "duration", "author", "tags")
    if found:
        output.table(columns, rows, right=(4, 6))
    else:
        output.line("No runs. Start one: `hedgerow materialize SELECTION`.")
    return OK


def tags_text(run: Mapping[str, Any]) -> str:
    """The tags of a run, without those that say again who launched it.

    >>> tags_text({"author": "schedule sales/nightly", "tags": {"schedule": "sales/nightly", "tick": "2026-01-01", "tier": "gold"}})
    'tick=2026-01-01, tier=gold'
    """
    return ", ".join(
        f"{name}={value}"
        for name, value in run["tags"].items()
        if name not in SAID_BY_AUTHOR and value not in run["author"]
    )


def _partitions(request: dict[str, Any]) -> str:
    if request.get("all_partitions"):
        return "all"
    chosen = request.get("partition_range")
    if chosen:
        return f"{chosen['first']}..{chosen['last']}"
    keys = request.get("partitions", [])
    return ", ".join(keys[:2]) + (f" and {len(keys) - 2} more" if len(keys) > 2 else "")


def show(options: argparse.Namespace, output: Output) -> int:
    """`run show`."""
    client = connect()
    run_id, number = split_target(options.target)
    if number is not None:
        step = client.get(f"/runs/{segment(run_id)}/steps/{number}")
        told = client.get("/explain", step=f"{step['run_id']}/{step['number']}")
        waits = {"waited_s": told["waited_s"], "waits": told["waits"]}
        output.json({**step, **waits}) if output.as_json else show_step(output, {**step, **waits})
        return OK
    run = client.get(f"/runs/{segment(run_id)}")
    failed = list(client.pages(f"/runs/{run['id']}/steps", MAX_FAILED + 1, state=["failed", "poisoned"]))
    if output.as_json:
        output.json({**run, "failed_steps": failed})
        return OK
    asked = f"asked {ago(run['created_at'], clock.now())}" + (f" by {clean(run['author'])}" if run["author"] else "")
    output.line(
        f"Selection {clean(' '.join(run['request']['selection']))} {_partitions(run['request'])}".rstrip()
        + f", {asked}"
    )
    if run["tags"]:
        output.line("Tags " + ", ".join(f"{clean(name)}={clean(value)}" for name, value in run["tags"].items()))
    if run["cancel_requested"] and run["state"] not in ENDED_RUN:
        output.line("Its cancellation was asked for.", "yellow")
    elif run["pending"]:
        output.line("The scheduler has not taken up yet what was asked of it last: see `hedgerow explain`.", "yellow")
    show_summary(output, run, hints=False)
    for step in failed[:MAX_FAILED]:
        output.line()
        output.line(
            f"step {step['number']} {clean(step_name(step, step['partition']))} (attempt {step['attempt']})",
            "bold",
        )
        show_error(output, step["error"], traceback=step is failed[0])
    if len(failed) > MAX_FAILED:
        output.line("More steps failed; the first are shown.", "dim")
    return OK


def cancel(options: argparse.Namespace, output: Output) -> int:
    """`run cancel`."""
    accepted = connect().post(f"/runs/{segment(options.target)}/cancel", {"author": author_of(options)})
    if output.as_json:
        output.json(accepted)
    else:
        output.line(
            f"Run {accepted['run_id']} is being cancelled. See `hedgerow run show {short(accepted['run_id'])}`."
        )
    return OK


def retry(options: argparse.Namespace, output: Output) -> int:
    """`run retry`."""
    client = connect()
    body = {"steps": options.step, "author": author_of(options)}
    accepted = client.post(f"/runs/{segment(options.target)}/retry", body)
    if options.no_wait:
        output.json(accepted) if output.as_json else output.line(f"Run {accepted['run_id']} goes on in a moment.")
        return OK
    taken_up(client, f"/runs/{accepted['run_id']}")
    return follow_to_end(client, accepted["run_id"], output)


def _urgency(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from -100 to 100") from None


def prioritise(options: argparse.Namespace, output: Output) -> int:
    """`run priority`."""
    body = {"priority": options.priority, "reason": options.reason, "author": author_of(options)}
    answer = connect().put(f"/runs/{segment(options.target)}/priority", body)
    if output.as_json:
        output.json(answer)
    else:
        output.line(f"Run {short(answer['run_id'])} has priority {options.priority} from now on.")
    return OK
