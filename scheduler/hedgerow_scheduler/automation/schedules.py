"""Schedules: which ticks have come due, which of them are launched, and as what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from hedgerow.cron import Cron, last_tick, ticks
from hedgerow.manifest.model import Job, Schedule
from hedgerow_scheduler.planning.request import RunRequest

CatchUp: TypeAlias = Literal["skip", "last", "all"]
GRACE = timedelta(minutes=1)  # a tick that is seen later than this was missed
MOST_AT_ONCE = 5  # ticks of one schedule that one cycle launches
MOST_COUNTED = 100  # of those that were missed: after a long outage counting all would hold the loop
INSTANT = timedelta(microseconds=1)


class Place(NamedTuple):
    """Which schedule or sensor: the team and code location that declare it, and its name."""

    team: str
    location: str
    name: str

    @property
    def title(self) -> str:
        """How people name it: `team/name`."""
        return f"{self.team}/{self.name}"


class Standing(msgspec.Struct, frozen=True):
    """What is recorded of a schedule: its times, and the tick up to which everything was dealt with (None while it is off)."""

    team: str
    location: str
    name: str
    cron: str
    tz: str
    last_tick: datetime | None

    @property
    def place(self) -> Place:
        """Which schedule it is."""
        return Place(self.team, self.location, self.name)


class Missed(msgspec.Struct, frozen=True):
    """Ticks that are not launched, from the `first` to the `last`; `count` stops at MOST_COUNTED."""

    first: datetime
    last: datetime
    count: int

    def __str__(self) -> str:
        if self.count == 1:
            return "1 tick"
        return f"{self.count}{' or more' if self.count == MOST_COUNTED else ''} ticks since {self.first:%Y-%m-%d %H:%M} UTC"


class Due(msgspec.Struct, frozen=True):
    """What has come due: the ticks to launch, those that were missed, and the last tick that is dealt with hereby."""

    launch: tuple[datetime, ...]
    missed: Missed | None
    last: datetime


def due(times: Cron, catch_up: CatchUp, last: datetime, now: datetime) -> Due | None:
    """What has come due after `last` until `now`; None when nothing has.

    `"skip"` launches the latest tick unless it was missed, `"last"` the latest even so; the ones before it were missed. `"all"`
    launches each, the oldest first, at most MOST_AT_ONCE now. So each tick is launched once or missed once.
    """
    if catch_up == "all":
        found = tuple(takewhile(lambda tick: tick <= now, islice(ticks(times, last), MOST_AT_ONCE)))
        return Due(found, None, found[-1]) if found else None
    latest = last_tick(times, now)
    if latest <= last:
        return None
    launched = catch_up == "last" or now - latest < GRACE
    return Due((latest,) if launched else (), _missed(times, last, latest - INSTANT if launched else latest), latest)


def passed(times: Cron, last: datetime, now: datetime) -> Due | None:
    """As `due`, for a schedule that is paused: every tick is missed."""
    latest = last_tick(times, now)
    return Due((), _missed(times, last, latest), latest) if latest > last else None


def _missed(times: Cron, last: datetime, until: datetime) -> Missed | None:
    found = list(takewhile(lambda tick: tick <= until, islice(ticks(times, last), MOST_COUNTED)))
    if not found:
        return None
    latest = found[-1] if len(found) < MOST_COUNTED else last_tick(times, until)
    return Missed(found[0], latest, len(found))


def reconcile(
    standing: Mapping[Place, Standing], declared: Mapping[Place, Schedule], now: datetime, enabled: bool
) -> Iterator[Standing]:
    """What is to be recorded anew, so that `standing` fits what is declared; `enabled` False switches every schedule off.

    A schedule that is new, was switched on or got other times begins with its next tick after `now`.
    """
    for place, schedule in declared.items():
        known = standing.get(place)
        is_on = enabled and schedule.enabled
        goes_on = known is not None and (known.cron, known.tz) == (schedule.cron, schedule.tz)
        last = (known.last_tick if known is not None and goes_on else None) or now if is_on else None
        fresh = Standing(*place, schedule.cron, schedule.tz, last)
        if fresh != known:
            yield fresh


def request_of(place: Place, schedule: Schedule, tick: datetime, jobs: Mapping[str, Job]) -> RunRequest:
    """What a tick asks for. `jobs` are those of the catalog: a job is the own team's, if that declares one of this name."""
    selection = schedule.selection
    job = job_of(place, selection, jobs)
    if job is not None:
        selection = f"job:{job}"
    latest_at = tick if schedule.partitions == "latest" else None
    return RunRequest((selection,), config=schedule.config, latest_at=latest_at, checks_only=schedule.checks_only)


def tags_of(place: Place, schedule: Schedule, tick: datetime, jobs: Mapping[str, Job]) -> dict[str, str]:
    """The tags of a tick's run: those of its job and its own, and which tick of what it is."""
    job = jobs.get(job_of(place, schedule.selection, jobs) or "")
    named = {"schedule": place.title, "tick": tick.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    return {**(job.tags if job is not None else {}), **schedule.tags, **named}


def author_of(place: Place) -> str:
    """Who launches the runs of a schedule."""
    return f"schedule {place.title}"


def job_of(place: Place, selection: str, jobs: Mapping[str, Job]) -> str | None:
    """The name in `jobs` of the job that is all of a selection, the team's own first; None when the selection is something else."""
    words = selection.replace(",", " ").split()
    if len(words) != 1 or not words[0].startswith("job:"):
        return None
    name = words[0].removeprefix("job:")
    return next((found for found in (f"{place.team}/{name}", name) if found in jobs), None)
