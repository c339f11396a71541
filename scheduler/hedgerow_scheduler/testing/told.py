"""What a simulation tells: launches, ticks that launched nothing, evaluations as text; and how it reads times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hedgerow.durations import parse_duration
from hedgerow.errors import Problem, RequestError
from hedgerow.manifest.model import Manifest, Schedule, Sensor
from hedgerow.suggestion import did_you_mean
from hedgerow_scheduler.automation.telling import Operand
from hedgerow_scheduler.lifecycle.changes import TickRecord
from hedgerow_scheduler.lifecycle.model import Run
from hedgerow_scheduler.planning.catalog import Catalog

YEARS = range(1970, 2200)  # in which time may be simulated: further off, calendars are out of their depth


@dataclass(frozen=True)
class Launch:
    """A run: when it was launched and by what (`condition`, `schedule team/name` or `person`), and what it was to make, as asset keys with
    their partitions, in the order of its steps; (None,) without partitions.
    """

    at: datetime
    by: str
    assets: Mapping[str, tuple[str | None, ...]]
    run: Run = field(repr=False, compare=False)

    @property
    def state(self) -> str:
        """What has become of it: `running`, `succeeded`, `failed` or `cancelled`."""
        return str(self.run.state)


@dataclass(frozen=True)
class Missed:
    """A tick of a schedule that launched nothing, and why."""

    at: datetime
    schedule: str
    why: str


def instant(when: str | datetime) -> datetime:
    """An instant with its offset; RequestError HR-D022 when it is none, HR-Q380 when it is too long ago or too far ahead."""
    try:
        found = datetime.fromisoformat(when) if isinstance(when, str) else when
    except ValueError:
        found = None
    if not isinstance(found, datetime):
        raise RequestError.of("HR-D022", f"{when!r} is no time.", 'Write it as "2026-01-01T06:00+01:00".')
    if found.tzinfo is None:
        raise RequestError.of(
            "HR-D022", f"{when!r} is in no time zone.", 'Give the offset too: "2026-01-01T06:00+01:00".'
        )
    if found.year not in YEARS:
        raise RequestError(_out_of_bounds(f"The year {found.year}"))
    return found


def span(duration: str | timedelta) -> timedelta:
    """A duration; RequestError HR-D022 when it is none."""
    if isinstance(duration, timedelta):
        return duration
    try:
        return parse_duration(duration)
    except ValueError as error:
        raise RequestError.of("HR-D022", f"{error}.", 'Write it such as "36h".') from None


def later(now: datetime, duration: str | timedelta) -> datetime:
    """The instant after so much time; RequestError as `span` and `instant` have it."""
    try:
        return instant(now + span(duration))
    except OverflowError:
        raise RequestError(_out_of_bounds(f"{duration!s} after {now}")) from None


def _out_of_bounds(what: str) -> Problem:
    return Problem("HR-Q380", f"{what} can't be foreseen.", f"Stay within {YEARS[0]} to {YEARS[-1]}.")


def check_pause(catalog: Catalog, kind: str, name: str) -> None:
    """RequestError HR-D022 when there is nothing of this kind and name to pause."""
    known: Mapping[str, Iterable[str]] = {
        "platform": ("",),
        "team": {team for team, _ in catalog.published},
        "asset": catalog.assets.keys(),
        "schedule": _titles(catalog, lambda manifest: manifest.schedules),
        "sensor": _titles(catalog, lambda manifest: manifest.sensors),
    }
    if kind not in known:
        remedy = 'Write it as pause("team", "sales"), with one of: ' + ", ".join(known) + "."
        raise RequestError.of("HR-D022", f"{kind!r} can't be paused.", remedy)
    if name not in known[kind]:
        remedy = did_you_mean(name, sorted(known[kind])) or f"Nothing that is simulated declares a {kind}."
        raise RequestError.of("HR-D022", f"There is no {kind} {name!r} to pause.", remedy)


def _titles(catalog: Catalog, launchers: Callable[[Manifest], Iterable[Schedule | Sensor]]) -> set[str]:
    return {f"{team}/{one.name}" for (team, _), entry in catalog.published.items() for one in launchers(entry.manifest)}


def why_not(tick: TickRecord) -> str:
    """Why a tick launched nothing."""
    return tick.error.message if tick.error is not None else tick.reason


def line_of(operand: Operand) -> str:
    """One operand of an evaluation, indented by its depth."""
    of = f"{operand.of}: " if operand.of else ""
    return f"{'  ' * (operand.depth + 1)}{of}{operand.label}: {operand.true} of {operand.asked}"
