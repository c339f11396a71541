"""Routes of schedules: when each comes due, what became of its last ticks, and what holds it back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from sqlalchemy import Connection

from hedgerow import clock
from hedgerow.cron import Cron, ticks
from hedgerow.errors import RequestError
from hedgerow.manifest.model import Schedule
from hedgerow.suggestion import did_you_mean
from hedgerow_scheduler.api.services import Services
from hedgerow_scheduler.api.teams import TeamFilter, find_team
from hedgerow_scheduler.automation.pauses import Pause, Pauses
from hedgerow_scheduler.automation.schedules import Place, Standing
from hedgerow_scheduler.metadata.pauses import read_pauses
from hedgerow_scheduler.metadata.schedules import TickEntry, read_last_ticks, read_schedules, read_ticks
from hedgerow_scheduler.planning.catalog import Catalog


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule. It is `on` when it is enabled and so is the platform's automation; `next_tick` is None otherwise. `pause` holds it
    back, `last` is what became of its last tick.
    """

    team: str
    location: str
    schedule: Schedule
    on: bool
    next_tick: datetime | None
    pause: Pause | None
    last: TickEntry | None


class ScheduleDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule with its last ticks, the newest first, and the times at which it comes due next, as if it were on."""

    schedule: ScheduleView
    ticks: tuple[TickEntry, ...]
    next_ticks: tuple[datetime, ...]


@get("/schedules", tags=["schedules"], sync_to_thread=True)
def show_schedules(services: NamedDependency[Services], team: TeamFilter = None) -> list[ScheduleView]:
    """Every schedule by team and name."""
    with services.reading() as connection:
        if team is not None:
            find_team(connection, team)
        declared = declared_schedules(services.catalog(connection))
        return _views(connection, {place: one for place, one in declared.items() if team in (None, place.team)})


@get("/schedules/{team:str}/{name:str}", tags=["schedules"], sync_to_thread=True)
def show_schedule(
    services: NamedDependency[Services],
    team: FromPath[str],
    name: FromPath[str],
    count: Annotated[int, QueryParameter(ge=1, le=100, description="How many ticks of each kind at most.")] = 10,
) -> ScheduleDetail:
    """One schedule."""
    with services.reading() as connection:
        place, schedule = find_schedule(services.catalog(connection), team, name)
        return ScheduleDetail(
            schedule=_views(connection, {place: schedule})[0],
            ticks=read_ticks(connection, team, name, count),
            next_ticks=tuple(islice(ticks(Cron(schedule.cron, schedule.tz), clock.now()), count)),
        )


def declared_schedules(catalog: Catalog) -> dict[Place, Schedule]:
    """Every schedule that is declared, by team and name."""
    found = {
        Place(team, location, schedule.name): schedule
        for (team, location), published in catalog.published.items()
        for schedule in published.manifest.schedules
    }
    return dict(sorted(found.items(), key=lambda item: (item[0].team, item[0].name)))


def find_schedule(catalog: Catalog, team: str, name: str) -> tuple[Place, Schedule]:
    """The schedule of this name; RequestError HR-Q340 when no one declares it."""
    declared = declared_schedules(catalog)
    for place, schedule in declared.items():
        if (place.team, place.name) == (team, name):
            return place, schedule
    raise RequestError.of(
        "HR-Q340",
        f"There is no schedule '{team[:80]}/{name[:80]}'.",
        did_you_mean(f"{team}/{name}", (place.title for place in declared)) or "No team declares a schedule.",
    )


def _views(connection: Connection, declared: Mapping[Place, Schedule]) -> list[ScheduleView]:
    standing, last = _by_place(read_schedules(connection)), read_last_ticks(connection)
    pauses, now = Pauses(read_pauses(connection)), clock.now()
    views = []
    for place, schedule in declared.items():
        known = standing.get(place)
        is_on = known is not None and known.last_tick is not None
        views.append(
            ScheduleView(
                team=place.team,
                location=place.location,
                schedule=schedule,
                on=is_on,
                next_tick=next(ticks(Cron(schedule.cron, schedule.tz), now)) if is_on else None,
                pause=pauses.over_schedule(place.team, place.title, now),
                last=last.get(place),
            )
        )
    return views


def _by_place(standing: Iterable[Standing]) -> dict[Place, Standing]:
    return {one.place: one for one in standing}


ROUTES = [show_schedules, show_schedule]
