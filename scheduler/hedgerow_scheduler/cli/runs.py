"""`hedgerow run`: list, show, read logs, cancel, retry."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.text import Text

from hedgerow import clock
from hedgerow.errors import Problem, RequestError
from hedgerow_scheduler.cli.client import Client, connect, segment
from hedgerow_scheduler.cli.command import OK, Parser, add_author, add_json, author_of, execute
from hedgerow_scheduler.cli.following import ENDED_RUN
from hedgerow_scheduler.cli.materialize import follow_to_end
from hedgerow_scheduler.cli.output import (
    Output,
    ago,
    between,
    clean,
    output_name,
    problem_text,
    short,
    state_text,
    value_text,
)
from hedgerow_scheduler.cli.progress import show_summary
from hedgerow_scheduler.lifecycle.states import RunState

FOLLOW_S = 0.5
MAX_FAILED = 10
SHORT_WORKER = 13
ATTEMPT_ENDED = (
    "succeeded",
    "skipped",
    "failed",
    "timed_out",
    "lost",
    "cancelled",
    "interrupted",
    "refused",
    "superseded",
)


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
    listing.add_argument("--limit", type=int, default=20, help="how many at most (default: 20)")
    add_json(listing)
    listing.set_defaults(run=list_runs)

    showing = parts.add_parser(
        "show", help="a run, or one step of it", description="A run, or one step of it with its attempts."
    )
    showing.add_argument("target", metavar="RUN[/STEP]")
    add_json(showing)
    showing.set_defaults(run=show)

    reading = parts.add_parser(
        "logs", help="what steps printed", description="What the steps of a run, or one step, printed."
    )
    reading.add_argument("target", metavar="RUN[/STEP]")
    reading.add_argument("--attempt", type=int, help="only this attempt of each step")
    reading.add_argument("--follow", "-f", action="store_true", help="go on until the run or step has ended")
    add_json(reading)
    reading.set_defaults(run=logs)

    cancelling = parts.add_parser(
        "cancel", help="stop a run", description="Cancel a run: nothing more starts, and what runs is stopped."
    )
    cancelling.add_argument("target", metavar="RUN")
    add_author(cancelling)
    add_json(cancelling)
    cancelling.set_defaults(run=cancel)

    retrying = parts.add_parser(
        "retry",
        help="try again what did not succeed",
        description="Try the steps of a run again that ended without success, within the same run.",
    )
    retrying.add_argument("target", metavar="RUN")
    retrying.add_argument(
        "--step", type=int, action="append", default=[], metavar="NUMBER", help="only this step; may be repeated"
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
    now = clock.now()
    rows = (
        (
            short(run["id"]),
            state_text(run["state"]),
            clean(" ".join(run["request"]["selection"]))[:60],
            _partitions(run["request"]),
            run["steps"] or "",
            ago(run["created_at"], now),
            between(run["started_at"], run["ended_at"], now),
            run["author"],
            ", ".join(f"{name}={value}" for name, value in run["tags"].items()),
        )
        for run in found
    )
    columns = ("run", "state", "selection", "partitions", "steps", "asked", "duration", "author", "tags")
    if found:
        output.table(columns, rows, right=(4, 6))
    else:
        output.line("No runs. Start one: `hedgerow materialize SELECTION`.")
    return OK


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
        output.json(step) if output.as_json else _show_step(output, step)
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
    show_summary(output, run, hints=False)
    for step in failed[:MAX_FAILED]:
        output.line()
        output.line(
            f"step {step['number']} {clean(output_name(step['assets'], step['partition']))} (attempt {step['attempt']})",
            "bold",
        )
        _show_error(output, step["error"], traceback=step is failed[0])
    if len(failed) > MAX_FAILED:
        output.line("More steps failed; the first are shown.", "dim")
    return OK


def split_target(target: str) -> tuple[str, int | None]:
    """A run's id and, after a slash, a step's number.

    >>> split_target("0190aa/12"), split_target("0190aa")
    (('0190aa', 12), ('0190aa', None))
    """
    run_id, slash, number = target.partition("/")
    if not slash:
        return run_id, None
    if not number.isdecimal():
        raise RequestError.of("HR-Q321", f"'{target}' names no step.", "Write RUN/NUMBER, such as 0190aa11/3.")
    return run_id, int(number)


def _show_step(output: Output, step: dict[str, Any]) -> None:
    now = clock.now()
    output.line(
        Text("step ").append(f"{step['run_id']}/{step['number']} ", "bold").append_text(state_text(step["state"]))
    )
    output.line(
        f"makes    {clean(', '.join(step['assets']))}" + (f" [{clean(step['partition'])}]" if step["partition"] else "")
    )
    output.line(f"queue    {clean(step['team'])}/{clean(step['queue'])}")
    if step["upstream"]:
        output.line(f"after    {', '.join(map(str, step['upstream'][:20]))}")
    rows = (
        (
            one["number"],
            state_text(one["state"]),
            ago(one["dispatched_at"], now),
            between(one["dispatched_at"], one["started_at"]),
            between(one["started_at"], one["ended_at"], now if one["state"] == "running" else None),
            one["manifest_hash"][:12],
            one["worker"][:SHORT_WORKER],
        )
        for one in step["attempts"]
    )
    output.table(("attempt", "state", "dispatched", "waited", "ran", "manifest", "worker"), rows, right=(0,))
    for made in step["materializations"]:
        where = made["reference"]["uri"] if made["reference"] else "nothing stored"
        output.line(
            Text(clean(made["asset"]), "bold")
            .append(" ")
            .append_text(state_text(made["state"]))
            .append(f"  {clean(where)}", "dim")
        )
        for name, value in made["metadata"].items():
            output.line(f"    {clean(name)} = {value_text(value)}")
    for verdict in step["checks"]:
        output.line(check_text(verdict))
    if step["error"]:
        _show_error(output, step["error"], traceback=True)
    if step["state"] in ("waiting", "ready", "retry_wait", "dispatched"):
        output.line(f"Why it waits: `hedgerow explain {short(step['run_id'])}/{step['number']}`.", "dim")


def check_text(verdict: dict[str, Any]) -> Text:
    """The verdict of a check in one line."""
    text = (
        Text("check ")
        .append(clean(verdict["check_name"]), "bold")
        .append(f" of {clean(output_name([verdict['asset']], verdict['partition']))} ")
    )
    text.append("passed", "green") if verdict["passed"] else text.append(
        "failed", "bold red" if verdict["severity"] == "error" else "yellow"
    )
    if verdict["blocking"]:
        text.append(" (blocking)")
    told = verdict["error"].strip().splitlines()[-1:] or [verdict["description"]]
    if told[0]:
        text.append(f": {clean(told[0])}")
    values = ", ".join(f"{clean(name)} = {value_text(value)}" for name, value in verdict["metadata"].items())
    return text.append(f"  {values}", "dim") if values else text


def _show_error(output: Output, error: dict[str, Any] | None, traceback: bool) -> None:
    if not error:
        return
    problem = msgspec.convert(error, Problem)
    output.line(problem_text(problem))
    if traceback and problem.traceback:
        for line in clean(problem.traceback, lines=True).rstrip().splitlines():
            output.line(f"    {line}", "dim")


def logs(options: argparse.Namespace, output: Output) -> int:
    """`run logs`."""
    client = connect()
    run_id, number = split_target(options.target)
    run = client.get(f"/runs/{segment(run_id)}")
    path = f"/runs/{run['id']}/logs"
    if output.as_json and not options.follow:
        found = list(_all_logs(client, path, number, options.attempt))
        output.json({"items": found})
        return OK
    if options.follow:
        return _follow_logs(client, run["id"], number, options.attempt, output)
    notes: dict[str, None] = {}
    shown = False
    for log in _all_logs(client, path, number, options.attempt):
        if log["text"]:
            _print_log(output, log, head=log["offset"] == 0)
            shown = True
        elif log["note"]:
            notes[log["note"]] = None
    for note in notes if not shown else ():
        output.note(clean(note), "dim")
    if not shown and not notes:
        output.note("No attempt has printed anything yet.", "dim")
    return OK


def _all_logs(client: Client, path: str, number: int | None, attempt: int | None) -> Any:
    """Every log, each in pieces of at most what one answer holds."""
    cursor = None
    while True:
        page = client.get(path, step=number, attempt=attempt, cursor=cursor)
        for log in page["items"]:
            yield log
            while log["more"]:
                log = client.get(path, step=log["step"], attempt=log["attempt"], offset=log["next_offset"])["items"][0]
                yield log
        cursor = page["next"]
        if cursor is None:
            return


def _follow_logs(client: Client, run_id: str, number: int | None, attempt: int | None, output: Output) -> int:
    offsets: dict[tuple[int, int], int] = {}
    done: set[tuple[int, int]] = set()
    last: tuple[int, int] | None = None
    path = f"/runs/{run_id}/logs"
    try:
        while True:
            state = client.get(f"/runs/{run_id}")["state"]
            steps = (
                [client.get(f"/runs/{run_id}/steps/{number}")]
                if number is not None
                else client.pages(f"/runs/{run_id}/steps", None)
            )
            ended = state in ENDED_RUN
            for step in steps:
                for tried in range(1, step["attempt"] + 1):
                    key = (step["number"], tried)
                    if key in done or attempt not in (None, tried):
                        continue
                    items = client.get(path, step=key[0], attempt=tried, offset=offsets.get(key, 0))["items"]
                    for log in items:
                        if log["text"]:
                            if output.as_json:
                                print(msgspec.json.encode(log).decode(), flush=True)
                            else:
                                _print_log(output, log, head=key != last)
                            last = key
                        offsets[key] = log["next_offset"]
                        if log["state"] in ATTEMPT_ENDED and not log["more"]:
                            done.add(key)
                if number is not None:
                    ended = ended or step["state"] in (
                        "succeeded",
                        "failed",
                        "cancelled",
                        "skipped",
                        "upstream_failed",
                        "poisoned",
                    )
            if ended:
                return OK
            time.sleep(FOLLOW_S)
    except KeyboardInterrupt:
        return 130


def _print_log(output: Output, log: dict[str, Any], head: bool) -> None:
    if head:
        output.line(f"── step {log['step']} attempt {log['attempt']} ({log['state']}) ──", "dim")
    output.out.file.write(clean(log["text"], lines=True))
    if not log["text"].endswith("\n"):
        output.out.file.write("\n")
    output.out.file.flush()


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
    _await_taken_up(client, accepted["run_id"])
    return follow_to_end(client, accepted["run_id"], output)


def _await_taken_up(client: Client, run_id: str) -> None:
    """Waits, for ten seconds at most, until the run that had ended is running again."""
    deadline = clock.monotonic() + 10
    while client.get(f"/runs/{run_id}")["state"] in ENDED_RUN and clock.monotonic() < deadline:
        time.sleep(0.1)
