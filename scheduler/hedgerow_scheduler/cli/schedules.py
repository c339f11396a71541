"""`hedgerow schedule`: what is launched by the clock, when, and what became of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from rich.text import Text

from hedgerow import clock
from hedgerow.errors import Problem
from hedgerow_scheduler.cli.client import connect
from hedgerow_scheduler.cli.command import OK, Parser, add_json, execute, whole_number
from hedgerow_scheduler.cli.output import Output, ago, clean, paused_text, problem_text
from hedgerow_scheduler.cli.pauses import add_circumstances, add_resuming, pause, resume
from hedgerow_scheduler.cli.titles import add_title, path_of_title, title_of

LOOKS = {"launched": "green", "skipped": "yellow", "failed": "bold red"}


def parser() -> Parser:
    """The command line of `hedgerow schedule`."""
    parser = Parser(
        prog="hedgerow schedule",
        description="What is launched by the clock: see it, look ahead, hold it back, let it go on.",
    )
    parts = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
    listing = parts.add_parser("list", help="every schedule", description="Every schedule with its next tick.")
    listing.add_argument("--team", metavar="TEAM", help="only this team's")
    add_json(listing)
    listing.set_defaults(run=list_schedules)
    for name, run, help_text, default in (
        ("show", show, "one schedule with what became of its last ticks", 10),
        ("preview", preview, "the next ticks in local time and UTC", 10),
    ):
        part = parts.add_parser(name, help=help_text, description=f"{help_text[:1].upper()}{help_text[1:]}.")
        add_title(part, "schedule")
        part.add_argument("--count", type=whole_number(1, 100), default=default, help=f"ticks (default: {default})")
        add_json(part)
        part.set_defaults(run=run)
    pausing = parts.add_parser(
        "pause", help="hold a schedule back", description="Holds a schedule back: its ticks are recorded as skipped."
    )
    add_title(pausing, "schedule")
    add_circumstances(pausing)
    pausing.set_defaults(run=pause_schedule)
    resuming = parts.add_parser(
        "resume", help="let a schedule go on", description="Lets a paused schedule go on with its next tick."
    )
    add_title(resuming, "schedule")
    add_resuming(resuming)
    resuming.set_defaults(run=resume_schedule)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command."""
    return execute(parser(), argv)


def list_schedules(options: argparse.Namespace, output: Output) -> int:
    """`schedule list`."""
    found = connect().get("/schedules", team=options.team)
    if output.as_json:
        output.json({"items": found})
        return OK
    if not found:
        output.line("No schedule is declared. Declare one: nightly = hr.schedule(job, '0 2 * * *').")
        return OK
    rows = (
        (
            f"{one['team']}/{one['schedule']['name']}",
            _state(one),
            one["schedule"]["cron"],
            one["schedule"].get("tz", "UTC"),
            _local(one["next_tick"], one) if one["next_tick"] else "",
            _last(one["last"]),
            one["schedule"]["selection"],
        )
        for one in found
    )
    output.table(("schedule", "", "cron", "time zone", "next tick", "last", "selection"), rows)
    return OK


def show(options: argparse.Namespace, output: Output) -> int:
    """`schedule show`."""
    found = _get(options)
    if output.as_json:
        output.json(found)
        return OK
    one, declared = found["schedule"], found["schedule"]["schedule"]
    output.line(
        Text("schedule ").append(clean(f"{one['team']}/{declared['name']}"), "bold").append(" ").append(_state(one))
    )
    if declared.get("description"):
        output.line(clean(declared["description"]))
    output.line(
        f"  {clean(declared['cron'])} in {clean(declared.get('tz', 'UTC'))} launches {clean(declared['selection'])}"
    )
    output.line(f"  of missed ticks: {declared.get('catch_up', 'last')}")
    if one["pause"]:
        output.line(f"  {paused_text(one['pause'])}", "yellow")
    if one["next_tick"]:
        output.line(f"  next tick: {_local(one['next_tick'], one)}")
    if not found["ticks"]:
        output.line("It has not ticked yet.")
        return OK
    rows = (
        (
            _local(tick["tick"], one),
            Text(_outcome(tick), LOOKS.get(tick["outcome"], "")),
            tick["run_id"] or tick["reason"],
        )
        for tick in found["ticks"]
    )
    output.table(("tick", "outcome", "run or reason"), rows)
    for tick in found["ticks"]:
        if tick["error"]:
            output.line(f"{_local(tick['tick'], one)}:", "bold red")
            output.line(problem_text(msgspec.convert(tick["error"], Problem)))
    return OK


def preview(options: argparse.Namespace, output: Output) -> int:
    """`schedule preview`."""
    found = _get(options)
    if output.as_json:
        output.json({"items": found["next_ticks"]})
        return OK
    one = found["schedule"]
    rows = ((_local(tick, one), _instant(tick).strftime("%Y-%m-%d %H:%M UTC")) for tick in found["next_ticks"])
    output.table(("local time", "UTC"), rows)
    if not one["on"]:
        output.note("It is off: none of them will be launched.", "yellow")
    elif one["pause"]:
        output.note(f"It is paused: {clean(one['pause']['reason'])}", "yellow")
    return OK


def pause_schedule(options: argparse.Namespace, output: Output) -> int:
    """`schedule pause`."""
    return pause(options, output, "schedule", title_of(connect(), "schedule", options.name))


def resume_schedule(options: argparse.Namespace, output: Output) -> int:
    """`schedule resume`."""
    return resume(options, output, "schedule", title_of(connect(), "schedule", options.name))


def _get(options: argparse.Namespace) -> dict[str, Any]:
    client = connect()
    found: dict[str, Any] = client.get(path_of_title(client, "schedule", options.name), count=options.count)
    return found


def _state(one: dict[str, Any]) -> Text:
    if not one["on"]:
        return Text("off", "dim")
    return Text("paused", "bold yellow") if one["pause"] else Text("on", "green")


def _last(tick: dict[str, Any] | None) -> Text:
    if tick is None:
        return Text("")
    return Text(f"{_outcome(tick)} {ago(tick['at'], clock.now())}", LOOKS.get(tick["outcome"], ""))


def _outcome(tick: dict[str, Any]) -> str:
    return f"{tick['outcome']} ({tick['ticks']} ticks)" if tick["ticks"] > 1 else str(tick["outcome"])


def _instant(text: str) -> datetime:
    return msgspec.convert(text, datetime, strict=False).astimezone(UTC)


def _local(text: str, one: dict[str, Any]) -> str:
    return _instant(text).astimezone(ZoneInfo(one["schedule"].get("tz", "UTC"))).strftime("%a %Y-%m-%d %H:%M %Z")
