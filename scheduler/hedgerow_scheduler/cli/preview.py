"""`hedgerow preview`: what the schedules and conditions of a working tree would launch in the hours to come."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from hedgerow import clock
from hedgerow.errors import DefinitionError, RequestError
from hedgerow.manifest.model import Manifest
from hedgerow.timezones import timezone_problems
from hedgerow_scheduler.cli.check import check_location, find_places
from hedgerow_scheduler.cli.command import OK, Parser, add_json, execute
from hedgerow_scheduler.cli.output import Output, clean
from hedgerow_scheduler.testing.foresight import Foreseen, Update, foresee

SHOWN = 3  # partitions of a launch
LISTED = 10  # launches of one asset by one thing


def parser() -> Parser:
    """The command line of `hedgerow preview`."""
    parser = Parser(
        prog="hedgerow preview",
        description="Print what the schedules and conditions of the code at PATH (a location, or the directory above several) would launch, "
        "and when. Nothing is launched, and no platform is asked. It is assumed that everything is materialized at the start, that each "
        "step ends well at once, and that nobody launches anything; say what else happens with --updated.",
    )
    parser.add_argument("path", metavar="PATH", nargs="?", default=".", help="default: here")
    parser.add_argument("--hours", type=float, default=24.0, help="how far to look ahead (default: 24)")
    parser.add_argument("--from", dest="start", metavar="TIME", help="where to begin, in ISO 8601 (default: now)")
    parser.add_argument("--tz", default="UTC", help="the zone in which times are read and shown (default: UTC)")
    parser.add_argument(
        "--updated", action="append", default=[], metavar="KEY[@PARTITION]=TIME",
        help="something makes this asset then; an external one counts as made at once (may be repeated)",
    )  # fmt: skip
    parser.add_argument(
        "--answer", action="append", default=[], metavar="CONDITION=yes|no",
        help="what a function under @hr.condition answers, which is not asked here (may be repeated)",
    )  # fmt: skip
    add_json(parser)
    parser.set_defaults(run=run)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command."""
    return execute(parser(), argv)


def run(options: argparse.Namespace, output: Output) -> int:
    """Loads the code, lets the hours pass, and prints what would be launched."""
    zone = zone_of(options.tz)
    start = clock.now() if options.start is None else instant(options.start, zone)
    updates = [_update(text, zone) for text in options.updated]
    answers = dict(_answer(text) for text in options.answer)
    found = foresee(manifests_at(Path(options.path).resolve()), start, options.hours, updates, answers)
    if output.as_json:
        output.json(found)
        return OK
    output.line(f"From {shown(found.start, zone)} to {shown(found.end, zone)} ({clean(options.tz)}):", "bold")
    if found.launches:
        show_launches(output, found.launches, zone)
    else:
        output.line("  Nothing would be launched.")
    for missed in found.missed:
        output.line(
            f"  {shown(missed.at, zone)}  schedule {clean(missed.schedule)} launches nothing: {clean(missed.why)}"
        )
    for each in found.unasked:
        output.line(f"  Nothing is foreseen of {clean(each.asset)}: {clean(each.why)}", "yellow")
    output.note("Assumed: everything is materialized at the start, and each step ends well at once.", "dim")
    return OK


def show_launches(output: Output, launches: Sequence[Foreseen], zone: tzinfo) -> None:
    """A table of launches: of what is launched over and over, the first ones and how many come after them."""
    seen: Counter[tuple[str, str]] = Counter()
    listed, last = [], {}
    for each in launches:
        what = (each.asset, each.by)
        seen[what] += 1
        last[what] = each.at
        if seen[what] <= LISTED:
            listed.append(each)
    output.table(("when", "asset", "partitions", "launched by"), rows(listed, zone))
    for (asset, by), count in seen.items():
        if count > LISTED:
            more = f"{count - LISTED:,} more of {asset} by {by}, the last at {shown(last[asset, by], zone)}"
            output.line(f"  and {clean(more)}", "dim")


def rows(launches: Iterable[Foreseen], zone: tzinfo) -> Iterable[tuple[str, str, str, str]]:
    """Launches as rows of a table: when, asset, partitions, by what."""
    for each in launches:
        more = each.count - min(SHOWN, len(each.partitions))
        names = ", ".join(each.partitions[:SHOWN]) + (f" and {more:,} more" if more else "")
        yield shown(each.at, zone), each.asset, names, each.by


def shown(at: datetime, zone: tzinfo) -> str:
    """An instant for people: date and time of a zone, with seconds only where there are any."""
    local = at.astimezone(zone)
    return local.strftime("%Y-%m-%d %H:%M:%S" if local.second else "%Y-%m-%d %H:%M")


def manifests_at(path: Path) -> list[Manifest]:
    """What the locations at a path declare; DefinitionError with everything that is wrong with them."""
    checked = [check_location(place, os.environ) for place in find_places(path)]
    if problems := [problem for one in checked for problem in one.problems]:
        raise DefinitionError(problems)
    return [one.manifest for one in checked if one.manifest is not None]


def zone_of(name: str) -> tzinfo:
    """A time zone by name; RequestError HR-Q321 when there is none."""
    if problems := timezone_problems(name):
        raise RequestError.of("HR-Q321", problems[0].message, problems[0].remedy)
    return ZoneInfo(name)


def instant(text: str, zone: tzinfo) -> datetime:
    """A time as people write it, in `zone` unless it has an offset; RequestError HR-Q321 when it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise RequestError.of(
            "HR-Q321", f"'{text}' is no time.", "Write it as 2026-01-31T06:00 or 2026-01-31T06:00+01:00."
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=zone)


def _update(text: str, zone: tzinfo) -> Update:
    what, equals, when = text.rpartition("=")
    if not equals or not what:
        raise RequestError.of(
            "HR-Q321", f"'{text}' is no update.", "Write it as raw/orders@2026-01-31=2026-02-01T03:00."
        )
    key, _, partition = what.partition("@")
    return Update(key, partition or None, instant(when, zone))


def _answer(text: str) -> tuple[str, bool]:
    name, _, said = text.partition("=")
    if said not in ("yes", "no"):
        raise RequestError.of("HR-Q321", f"'{text}' is no answer.", "Write it as is_open=yes or is_open=no.")
    return name, said == "yes"
