"""`hedgerow sensor`: what looks outside for work, where it left off, and what became of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.text import Text

from hedgerow import clock
from hedgerow.errors import Problem, RequestError
from hedgerow_scheduler.cli.awaiting import outcome
from hedgerow_scheduler.cli.client import Client, connect
from hedgerow_scheduler.cli.command import (
    FAILED,
    OK,
    Parser,
    add_author,
    add_json,
    author_of,
    execute,
    whole_number,
)
from hedgerow_scheduler.cli.evaluations import show_told
from hedgerow_scheduler.cli.output import Output, ago, clean, paused_text, short_ids
from hedgerow_scheduler.cli.pauses import add_circumstances, add_resuming, pause, resume
from hedgerow_scheduler.cli.sensor_preview import add_preview
from hedgerow_scheduler.cli.titles import add_title, path_of_title, title_of

LOOKS = {"launched": "green", "skipped": "dim", "failed": "bold red", "timed_out": "bold red", "lost": "yellow"}
LATE = Problem(
    "HR-Q347", "The sensor was not evaluated in time.", "See `hedgerow sensor show` and `hedgerow worker list`."
)


def parser() -> Parser:
    """The command line of `hedgerow sensor`."""
    parser = Parser(
        prog="hedgerow sensor",
        description="What looks outside for work: see it, evaluate it now, hold it back, let it go on.",
    )
    parts = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
    listing = parts.add_parser("list", help="every sensor", description="Every sensor with its last evaluation.")
    listing.add_argument("--team", metavar="TEAM", help="only this team's")
    add_json(listing)
    listing.set_defaults(run=list_sensors)
    told = "one sensor with its cursor and what became of its last evaluations"
    showing = parts.add_parser("show", help=told, description=f"{told.capitalize()}.")
    add_title(showing, "sensor")
    showing.add_argument("--count", type=whole_number(1, 250), default=10, help="evaluations (default: 10)")
    add_json(showing)
    showing.set_defaults(run=show)
    evaluating = parts.add_parser(
        "evaluate",
        help="evaluate a sensor now",
        description="Evaluates a sensor now, also one that is off or paused: what it asks for is launched, and its cursor moves.",
    )
    add_title(evaluating, "sensor")
    evaluating.add_argument("--reason", default="asked for", help="why, for everyone to read")
    evaluating.add_argument("--no-wait", dest="wait", action="store_false", help="do not wait for what becomes of it")
    add_author(evaluating)
    add_json(evaluating)
    evaluating.set_defaults(run=evaluate)
    add_preview(parts)
    pausing = parts.add_parser(
        "pause", help="hold a sensor back", description="Holds a sensor back: it is not evaluated until it is resumed."
    )
    add_title(pausing, "sensor")
    add_circumstances(pausing)
    pausing.set_defaults(run=pause_sensor)
    resuming = parts.add_parser(
        "resume", help="let a sensor go on", description="Lets a paused sensor go on from its cursor."
    )
    add_title(resuming, "sensor")
    add_resuming(resuming)
    resuming.set_defaults(run=resume_sensor)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command."""
    return execute(parser(), argv)


def list_sensors(options: argparse.Namespace, output: Output) -> int:
    """`sensor list`."""
    found = connect().get("/sensors", team=options.team)
    if output.as_json:
        output.json({"items": found})
        return OK
    if not found:
        output.line("No sensor is declared. Declare one: @hr.sensor(every='30s', target='raw/*').")
        return OK
    rows = (
        (
            f"{one['team']}/{one['sensor']['name']}",
            _state(one),
            _duration(one["sensor"].get("every_ms", 30_000)),
            _last(one["last"]),
            _target(one["sensor"]),
        )
        for one in found
    )
    output.table(("sensor", "", "every", "last evaluation", "does"), rows)
    return OK


def show(options: argparse.Namespace, output: Output) -> int:
    """`sensor show`."""
    found = _get(connect(), options.name, options.count)
    if output.as_json:
        output.json(found)
        return OK
    one, declared = found["sensor"], found["sensor"]["sensor"]
    title = clean(f"{one['team']}/{declared['name']}")
    output.line(Text("sensor ").append(title, "bold").append(" ").append(_state(one)))
    if declared.get("description"):
        output.line(clean(declared["description"]))
    target = clean(_target(declared))
    every, timeout = _duration(declared.get("every_ms", 30_000)), _duration(declared.get("timeout_ms", 60_000))
    output.line(f"  evaluated every {every}, at most {timeout} long; {target}")
    if one["pause"]:
        output.line(f"  {paused_text(one['pause'])}", "yellow")
    if not one["served"]:
        output.line(f"  no live worker serves location {clean(one['location'])}: it can't be evaluated", "yellow")
    if one["failures"]:
        output.line(f"  failed {one['failures']} times in a row; evaluated again {_when(one['next_at'])}", "yellow")
    cursor = found["cursor"]
    output.line("  no cursor yet" if cursor is None else f"  cursor: {clean(_cut(cursor, 200))}")
    if not found["evaluations"]:
        output.line("It was not evaluated yet.")
        return OK
    output.table(("began", "outcome", "took", "runs or reason"), map(_row, found["evaluations"]))
    told = [one for one in found["evaluations"] if one["error"] or one["log"]]
    for evaluation in told[:1]:
        show_told(output, _when(evaluation["at"]), evaluation)
    return OK


def evaluate(options: argparse.Namespace, output: Output) -> int:
    """`sensor evaluate`."""
    client = connect()
    path = path_of_title(client, "sensor", options.name)
    body = {"author": author_of(options), "reason": options.reason}
    request = client.post(f"{path}/evaluations", body)["request"]
    if not options.wait:
        output.json({"request": request}) if output.as_json else output.line("It will be evaluated.")
        return OK
    timeout_ms = client.get(path, count=1)["sensor"]["sensor"].get("timeout_ms", 60_000)
    became = outcome(client, f"{path}/requests/{request}", timeout_ms / 1000 + 30, LATE)
    if "refused" in became:
        raise RequestError.of("HR-Q346", became["refused"], "See `hedgerow sensor list` and `hedgerow worker list`.")
    found = client.get(path, count=250)["evaluations"]
    evaluation = next(one for one in found if one["id"] == became["evaluation"])
    if output.as_json:
        output.json(evaluation)
    else:
        output.table(("began", "outcome", "took", "runs or reason"), [_row(evaluation)])
        show_told(output, _when(evaluation["at"]), evaluation)
    return OK if evaluation["outcome"] in ("launched", "skipped") else FAILED


def pause_sensor(options: argparse.Namespace, output: Output) -> int:
    """`sensor pause`."""
    return pause(options, output, "sensor", title_of(connect(), "sensor", options.name))


def resume_sensor(options: argparse.Namespace, output: Output) -> int:
    """`sensor resume`."""
    return resume(options, output, "sensor", title_of(connect(), "sensor", options.name))


def _get(client: Client, name: str, count: int) -> dict[str, Any]:
    found: dict[str, Any] = client.get(path_of_title(client, "sensor", name), count=count)
    return found


def _target(sensor: dict[str, Any]) -> str:
    """What a sensor does."""
    if sensor.get("observes"):
        return f"observes {sensor['observes']}"
    return f"launches {sensor.get('selection') or 'what each request says'}"


def _state(one: dict[str, Any]) -> Text:
    if not one["on"]:
        return Text("off", "dim")
    if one["pause"]:
        return Text("paused", "bold yellow")
    if one["failures"]:
        return Text("failing", "bold red")
    return Text("on", "green") if one["served"] else Text("no worker", "yellow")


def _last(evaluation: dict[str, Any] | None) -> Text:
    if evaluation is None:
        return Text("")
    outcome = evaluation["outcome"]
    return Text(f"{_outcome(evaluation)} {ago(evaluation['ended_at'], clock.now())}", LOOKS.get(outcome, ""))


def _row(evaluation: dict[str, Any]) -> tuple[object, ...]:
    told = evaluation["reason"] or ", ".join(short_ids(evaluation["run_ids"][:5]).values())
    if evaluation["error"]:
        told = f"{evaluation['error']['code']} {evaluation['error']['message']}"
    if evaluation["launched"] > 5:
        told += f" and {evaluation['launched'] - 5} more"
    outcome = Text(_outcome(evaluation), LOOKS.get(evaluation["outcome"], ""))
    return _when(evaluation["at"]), outcome, _duration(evaluation["duration_ms"]), clean(_cut(told, 160))


def _outcome(evaluation: dict[str, Any]) -> str:
    outcome, launched, deduped = evaluation["outcome"], evaluation["launched"], evaluation["deduped"]
    told = f"launched {launched}" if outcome == "launched" else str(outcome).replace("_", " ")
    return f"{told} ({deduped} before)" if deduped else told


def _when(text: str | None) -> str:
    if text is None:
        return ""
    return msgspec.convert(text, datetime, strict=False).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _duration(ms: int) -> str:
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if ms >= size and (ms % size == 0 or unit == "s"):
            return f"{ms / size:.3g}{unit}"
    return f"{ms}ms"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
