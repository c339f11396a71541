"""`hedgerow materialize`: launch a run and follow it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from hedgerow import clock
from hedgerow.errors import RequestError
from hedgerow_scheduler.cli.client import Client, connect
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
from hedgerow_scheduler.cli.following import follow
from hedgerow_scheduler.cli.output import Output, short, step_name
from hedgerow_scheduler.cli.progress import Progress, show_summary
from hedgerow_scheduler.planning.request import PartitionRange, RunRequest


def parser() -> Parser:
    """The command line of `hedgerow materialize`."""
    parser = Parser(
        prog="hedgerow materialize",
        description="Launch a run of a selection of assets and follow it until it ends.",
        epilog="Exit codes: 0 the run succeeded; 1 it failed or was cancelled; 2 it can't be launched as asked; "
        "3 the platform can't be reached; 130 you left it (it goes on).",
    )
    parser.add_argument(
        "selection",
        metavar="SELECTION",
        nargs="+",
        help="a key, a glob, group:NAME, tag:NAME=VALUE, owner:NAME, kind:NAME, team:NAME or job:NAME; + before or after it adds what is up- or downstream",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--partition", metavar="KEY", action="append", default=[], help="a partition; may be repeated")
    which.add_argument("--range", metavar="FIRST..LAST", help="the partitions from FIRST to LAST, both included")
    which.add_argument("--all-partitions", action="store_true", help="every partition there is now")
    parser.add_argument(
        "--stale",
        action="store_true",
        help="only what is missing or stale, and what becomes so in this run; of all partitions if none are chosen",
    )
    parser.add_argument(
        "--checks-only",
        action="store_true",
        help="make nothing, but run all checks of what is stored again: what passes now becomes current, what fails a blocking one is held back",
    )
    parser.add_argument("--config", metavar="JSON|@FILE", help="configuration by asset key, as JSON or in a file")
    parser.add_argument(
        "--tag", metavar="NAME=VALUE", action="append", default=[], help="a tag of the run; may be repeated"
    )
    parser.add_argument(
        "--max-concurrent",
        metavar="N",
        type=whole_number(1),
        help="steps of the run at once (default: what the job says, otherwise no cap of its own)",
    )
    add_author(parser)
    parser.add_argument("--no-wait", action="store_true", help="launch only, and print the run's id")
    parser.add_argument("--plan", action="store_true", help="show the steps that would run, and launch nothing")
    parser.add_argument("--embedded", metavar="PATH", help="start the platform of PATH for this run only")
    add_json(parser)
    parser.set_defaults(run=run)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command; see `parser` for exit codes."""
    return execute(parser(), argv)


def run(options: argparse.Namespace, output: Output) -> int:
    """Launches what the options ask for."""
    request = request_of(options)
    tags = dict(_pair(text) for text in options.tag)
    with _platform(options.embedded, output) as client:
        if options.plan:
            return _show_plan(client, request, output)
        if request.only_stale and (plan := client.post("/plan", request))["total"] == 0:
            _say_nothing_is_stale(plan, output)
            return OK
        body = {**msgspec.to_builtins(request), "tags": tags, "author": author_of(options)}
        launched = client.post("/runs", body, key=clock.uuid7())
        if options.no_wait and not options.embedded:
            output.json({"id": launched["id"]}) if output.as_json else output.line(launched["id"])
            return OK
        return follow_to_end(client, launched["id"], output, stays=not options.embedded)


def follow_to_end(client: Client, run_id: str, output: Output, stays: bool = True) -> int:
    """Follows a run, prints how it ended, and returns the exit code. After Ctrl-C it goes on, at once if the platform `stays`."""
    last: dict[str, Any] = {}
    try:
        if not output.as_json:
            output.note(f"run {run_id}")
        with Progress(output) as progress:
            for look in follow(client, run_id):
                last = look.run
                progress.show(look)
    except KeyboardInterrupt:
        goes_on = "goes on" if stays else "goes on when the platform is started again"
        name = short(run_id)
        output.note(
            f"\nRun {run_id} {goes_on}. See it: `hedgerow run show {name}`; stop it: `hedgerow run cancel {name}`."
        )
        return INTERRUPTED
    if output.as_json:
        output.json(last)
    else:
        show_summary(output, last)
    return OK if last["state"] == "succeeded" else FAILED


def request_of(options: argparse.Namespace) -> RunRequest:
    """The run request that the options describe. Raises RequestError HR-Q321 for what can't be read."""
    chosen = range_of(options.range)
    some = bool(options.partition) or chosen is not None
    return RunRequest(
        tuple(options.selection),
        tuple(options.partition),
        chosen,
        options.all_partitions or (options.stale and not some),
        config_of(options.config),
        options.max_concurrent,
        only_stale=options.stale,
        checks_only=options.checks_only,
    )


def range_of(text: str | None) -> PartitionRange | None:
    """The value of an option such as --range. Raises RequestError HR-Q321 when it is none."""
    if text is None:
        return None
    first, dots, last = text.partition("..")
    if not (first and dots and last):
        message = f"'{text}' is no range of partitions."
        raise RequestError.of("HR-Q321", message, "Write FIRST..LAST, such as 2024-01-01..2024-01-31.")
    return PartitionRange(first, last)


def config_of(text: str | None) -> dict[str, Any]:
    """The value of --config. Raises RequestError HR-Q321 when it can't be read."""
    if text is None:
        return {}
    try:
        body = Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()
        return msgspec.json.decode(body, type=dict[str, Any])
    except (OSError, msgspec.MsgspecError) as error:
        raise RequestError.of(
            "HR-Q321",
            f"--config can't be read: {error}.",
            'Give an object by asset key, such as \'{"sales/orders": {"limit": 10}}\', or @FILE with it.',
        ) from error


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise RequestError.of("HR-Q321", f"'{text}' is no tag.", "Write tags as NAME=VALUE.")
    return name, value


def _say_nothing_is_stale(plan: dict[str, Any], output: Output) -> None:
    """Why there is nothing to run."""
    if output.as_json:
        output.json({"id": None, "steps": 0, "stale_by_upstream": plan["stale_by_upstream"]})
    elif left_out := plan["stale_by_upstream"]:
        output.line(
            f"Nothing to run: {left_out:,} steps are stale, but only by something upstream that is not selected. "
            "Write '+' before the selection to make that too."
        )
    else:
        output.line("Nothing is stale.")


def _show_plan(client: Client, request: RunRequest, output: Output) -> int:
    plan = client.post("/plan", request)
    if output.as_json:
        output.json(plan)
        return OK
    rows = (
        (
            step["number"],
            step_name(step),
            step["partition"],
            f"{step['team']}/{step['queue']}",
            _numbers(step),
        )
        for step in plan["steps"]
    )
    output.table(("step", "asset", "partition", "queue", "after"), rows, right=(0,))
    more = plan["total"] - len(plan["steps"])
    output.line(
        f"{plan['total']:,} steps" + (f", of which the first {len(plan['steps']):,} are shown." if more else ".")
    )
    return OK


def _numbers(step: dict[str, Any]) -> str:
    shown = ", ".join(str(number) for number in step["upstream"][:5])
    return shown + (f" and {len(step['upstream']) - 5} more" if len(step["upstream"]) > 5 else "")


@contextmanager
def _platform(path: str | None, output: Output) -> Iterator[Client]:
    """The platform that is there, or the one at `path`, started for the length of the block."""
    if path is None:
        yield connect()
        return
    from hedgerow_scheduler.embedded.platform import Platform  # only here: it needs the extra `local`

    output.note("starting the platform…", "dim")
    with Platform(Path(path), reload=False) as platform:
        platform.wait_ready()
        yield Client(platform.api_url)
