"""`hedgerow sensor preview`: one evaluation of a sensor of a working tree, here and now, without a platform."""

from __future__ import annotations

import argparse
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from hedgerow import clock
from hedgerow.errors import DefinitionError, HedgerowError, Problem, RequestError
from hedgerow.manifest.model import Manifest, Sensor
from hedgerow.partitions.model import DynamicPartitions, dimensions
from hedgerow.protocol.sensing import MAX_CURSOR_BYTES, RequestedRun, SensorAnswer, SensorQuestion
from hedgerow.settings.location import read_location
from hedgerow.suggestion import did_you_mean
from hedgerow_scheduler.automation.schedules import Place
from hedgerow_scheduler.automation.sensors import request_of_run
from hedgerow_scheduler.cli.check import check_location
from hedgerow_scheduler.cli.command import FAILED, OK, add_json
from hedgerow_scheduler.cli.interpreter import ask
from hedgerow_scheduler.cli.output import Output, clean, counted, problem_text, show_problem, value_text
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest
from hedgerow_scheduler.planning.request import RunRequest
from hedgerow_scheduler.planning.selection import select_keys
from hedgerow_scheduler.planning.steps import plan_steps

SHOWN_RUNS = 50
SHOWN_KEYS = 5
START_S = 5.0  # that the interpreter may take beyond loading the code


class Asked(msgspec.Struct, frozen=True):
    """A run that the sensor asks for: what it selects, how many steps that would be (None: not known here), or why it can't be launched."""

    run: RequestedRun
    selection: tuple[str, ...] = ()
    steps: int | None = None
    problem: Problem | None = None


def add_preview(parts: Any) -> None:
    """The command line of `hedgerow sensor preview`."""
    previewing = parts.add_parser(
        "preview",
        help="evaluate a sensor of a working tree, and launch nothing",
        description="Evaluates a sensor of the code at PATH once, in the team's interpreter, and prints which runs it asks for and its new "
        "cursor. Nothing is launched or recorded, and no platform is asked. What the sensor itself does to the world, it does.",
    )
    previewing.add_argument("path", metavar="PATH", help="a code location")
    previewing.add_argument("name", metavar="NAME", help="the sensor; observe-KEY for the probe of an external asset")
    previewing.add_argument("--cursor", metavar="TEXT", help="where it left off (default: as at its first evaluation)")
    add_json(previewing)
    previewing.set_defaults(run=preview)


def preview(options: argparse.Namespace, output: Output) -> int:
    """`sensor preview`. Exit code 1 when the sensor fails, or asks for what can't be launched."""
    path, now, began = Path(options.path).resolve(), clock.now(), clock.monotonic()
    manifest, sensor = _declared(path, options.name)
    loading_s = clock.monotonic() - began
    if options.cursor is not None and len(options.cursor.encode("utf-8", "surrogateescape")) > MAX_CURSOR_BYTES:
        raise RequestError.of("HR-Q320", "The cursor is too long.", f"A cursor has at most {MAX_CURSOR_BYTES:,} bytes.")
    try:
        answer = _evaluate(path, sensor, SensorQuestion(now, options.cursor), loading_s)
    except DefinitionError as error:
        output.json({"problems": error.problems}) if output.as_json else show_problem(output, error.problems[0])
        return FAILED
    asked = [_planned(manifest, sensor, run, now) for run in answer.runs]
    cursor = options.cursor if answer.cursor is None else answer.cursor
    if output.as_json:
        output.json({"runs": asked, "cursor": cursor, "skipped": answer.skipped, "partitions": answer.keys})
    else:
        _show(output, sensor, answer, asked, options.cursor)
    return FAILED if any(one.problem for one in asked) else OK


def _declared(path: Path, name: str) -> tuple[Manifest, Sensor]:
    checked = check_location(path, os.environ)
    if checked.manifest is None:
        raise DefinitionError(checked.problems)
    for sensor in checked.manifest.sensors:
        if sensor.name == name:
            return checked.manifest, sensor
    names = [sensor.name for sensor in checked.manifest.sensors]
    remedy = did_you_mean(name, names) or "It declares none: @hr.sensor(every='30s', target='raw/*')."
    raise RequestError.of("HR-Q342", f"{path} declares no sensor '{name[:80]}'.", remedy)


def _evaluate(path: Path, sensor: Sensor, question: SensorQuestion, loading_s: float) -> SensorAnswer:
    seconds = sensor.timeout_ms / 1000
    late = Problem(
        "HR-X105",
        f"Sensor '{sensor.name}' has not answered within its timeout of {seconds:g} s.",
        "Raise its timeout=, or have it look at less.",
    )
    return ask(
        read_location(path),
        os.environ,
        *("evaluate", str(path), "sensor", sensor.name),
        decode=lambda answer: msgspec.json.decode(answer, type=SensorAnswer),
        within_s=seconds + 2 * loading_s + START_S,
        late=late,
        given=msgspec.json.encode(question),
        shown=True,
    )


def _planned(manifest: Manifest, sensor: Sensor, run: RequestedRun, now: datetime) -> Asked:
    """What a run comes to among the assets of this location. Keys of dynamic partitions are not known here."""
    catalog = Catalog([PublishedManifest("", manifest)])
    place = Place(manifest.team, manifest.location, sensor.name)
    request = RunRequest(run.selection)
    try:
        request = request_of_run(place, sensor, run, catalog.jobs)
        partitions = [catalog.assets[key].definition.partitions for key in select_keys(catalog, request.selection)]
        if any(isinstance(dim, DynamicPartitions) for each in partitions if each for dim in dimensions(each)):
            return Asked(run, request.selection)
        return Asked(run, request.selection, len(plan_steps(catalog, request, now)))
    except HedgerowError as error:
        return Asked(run, request.selection, None, error.problems[0])


def _show(output: Output, sensor: Sensor, answer: SensorAnswer, asked: list[Asked], before: str | None) -> None:
    if sensor.observes:
        moved = answer.cursor is not None and answer.cursor != before
        seen = clean(answer.cursor) if answer.cursor is not None else "none"
        output.line(f"Data version of {clean(sensor.observes)}: {seen}{'' if moved else ', as before'}.")
    elif asked:
        output.line(f"It asks for {counted(len(asked), 'run')}:", "bold")
        rows = [(number, *_row(one)) for number, one in enumerate(asked[:SHOWN_RUNS], 1)]
        output.table(("", "launches", "partitions", "steps", "dedupe key", "tags, config"), rows)
        if len(asked) > SHOWN_RUNS:
            output.line(f"  and {len(asked) - SHOWN_RUNS:,} more", "dim")
        for number, one in enumerate(asked, 1):
            if one.problem is not None:
                output.line(f"Run {number} can't be launched:", "yellow")
                output.line(problem_text(one.problem))
    else:
        output.line(f"It asks for no run{f': {clean(answer.skipped)}' if answer.skipped else ''}.")
    for change in answer.keys:
        for what, keys in (("adds to", change.added), ("removes from", change.removed)):
            if keys:
                output.line(f"It {what} partitions '{clean(change.name)}': {_few(keys)}.")
    if not sensor.observes:
        cursor = before if answer.cursor is None else answer.cursor
        kept = " (as before)" if cursor == before else ""
        output.line("It keeps no cursor." if cursor is None else f"cursor: {clean(cursor)}{kept}")


def _row(one: Asked) -> tuple[str, ...]:
    steps = "" if one.steps is None else f"{one.steps:,}"
    more = [f"{name}={value}" for name, value in one.run.tags.items()]
    more += [f"{name}: {value_text(value)}" for name, value in one.run.config.items()]
    return " ".join(one.selection), _few(one.run.partitions), steps, one.run.dedupe_key, ", ".join(more)


def _few(keys: tuple[str, ...]) -> str:
    more = f" and {len(keys) - SHOWN_KEYS:,} more" if len(keys) > SHOWN_KEYS else ""
    return ", ".join(map(clean, keys[:SHOWN_KEYS])) + more
