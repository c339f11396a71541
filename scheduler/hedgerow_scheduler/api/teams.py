"""Routes of teams and their queues."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, TypeVar

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy import Connection

from hedgerow import clock
from hedgerow.errors import RequestError
from hedgerow.identifiers import is_name
from hedgerow.suggestion import did_you_mean
from hedgerow_scheduler.api.bodies import (
    LocationDetail,
    QueueView,
    Registered,
    RegisterTeam,
    TeamDetail,
    TeamSummary,
)
from hedgerow_scheduler.api.services import Services
from hedgerow_scheduler.limits.limit import Values
from hedgerow_scheduler.metadata import teams
from hedgerow_scheduler.metadata.read_teams import (
    Location,
    count_queue_steps,
    list_locations,
    list_teams,
    list_workers,
)
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.rules import queue_limit_name

Number = TypeVar("Number", int, float)
TeamFilter = Annotated[str | None, QueryParameter(description="Only this team.")]


@get("/teams", tags=["teams"], sync_to_thread=True)
def show_teams(services: NamedDependency[Services]) -> list[TeamSummary]:
    """Every registered team by name."""
    with services.reading() as connection:
        catalog = services.catalog(connection)
        registered = list_teams(connection)
        places = list_locations(connection)
        live = list_workers(connection, services.limits.worker_silence_s)
    return [
        TeamSummary(
            name=name,
            created_at=at,
            locations=sum(place.team == name for place in places),
            broken=sum(place.team == name and bool(place.problems) for place in places),
            assets=sum(asset.team == name for asset in catalog.assets.values()),
            workers=sum(worker.team == name for worker in live),
            slots=sum(worker.slots for worker in live if worker.team == name),
            busy=sum(worker.busy for worker in live if worker.team == name),
        )
        for name, at in registered.items()
    ]


@post("/teams", tags=["teams"], sync_to_thread=True)
def register_team(services: NamedDependency[Services], data: JSONBody[RegisterTeam]) -> Response[Registered]:
    """Register a team: from then on its workers are heard. 201 when it is new, 200 otherwise."""
    if not is_name(data.name):
        raise RequestError.of(
            "HR-Q315",
            f"'{data.name[:80]}' can't be the name of a team.",
            "Names are [a-z][a-z0-9_-]*, at most 63 characters.",
        )
    with services.writing() as connection:
        created = bool(teams.register(connection, [data.name]))
    return Response(Registered(data.name, created), status_code=201 if created else 200)


@get("/teams/{name:str}", tags=["teams"], sync_to_thread=True)
def show_team(services: NamedDependency[Services], name: FromPath[str]) -> TeamDetail:
    """A team: its code locations with what is wrong with them, and its live workers."""
    with services.reading() as connection:
        created_at = find_team(connection, name)[name]
        catalog = services.catalog(connection)
        places = list_locations(connection, name)
        live = list_workers(connection, services.limits.worker_silence_s, name)
    return TeamDetail(name, created_at, tuple(_location(catalog, place) for place in places), live)


def find_team(connection: Connection, name: str) -> dict[str, datetime]:
    """Every registered team; RequestError HR-Q308 when this one is not among them."""
    registered = list_teams(connection)
    if name not in registered:
        raise RequestError.of(
            "HR-Q308",
            f"There is no team '{name}'.",
            did_you_mean(name, registered) or "No team is registered: name it in platform.toml, or POST /api/v1/teams.",
        )
    return registered


def _location(catalog: Catalog, place: Location) -> LocationDetail:
    published = catalog.published.get((place.team, place.location))
    manifest = published.manifest if published else None
    return LocationDetail(
        location=place,
        environment=manifest.environment if manifest else None,
        assets=tuple(asset.key for asset in manifest.assets) if manifest else (),
        jobs=manifest.jobs if manifest else (),
    )


@get("/queues", tags=["teams"], sync_to_thread=True)
def show_queues(services: NamedDependency[Services], team: TeamFilter = None) -> list[QueueView]:
    """Every queue that is declared, has live steps or is served, by team and name."""
    with services.reading() as connection:
        if team is not None:
            find_team(connection, team)
        catalog, rules = services.catalog(connection), services.rules(connection)
        counted = count_queue_steps(connection, team)
        live = list_workers(connection, services.limits.worker_silence_s, team)
    declared: dict[tuple[str, str], list[Values]] = {}
    now = clock.now()
    for (owner, location), published in catalog.published.items():
        for queue in published.manifest.queues if team in (None, owner) else ():
            values = rules.values(("queue", queue_limit_name(owner, location, queue.name)), now)
            declared.setdefault((owner, queue.name), []).append(values)
    used = {
        (asset.team, asset.computation.queue)
        for asset in catalog.assets.values()
        if asset.computation is not None and team in (None, asset.team)
    }
    names = {*declared, *used, *((row.team, row.queue) for row in counted)}
    views = []
    for owner, name in sorted(names):
        limits = declared.get((owner, name), [])
        serving = [worker for worker in live if worker.team == owner and name in worker.queues]
        views.append(
            QueueView(
                team=owner,
                queue=name,
                concurrency=_sum([each.concurrency for each in limits]),
                rate_per_s=_sum([each.rate for each in limits]),
                paused=any(each.paused for each in limits),
                steps={row.state: row.steps for row in counted if (row.team, row.queue) == (owner, name)},
                workers=len(serving),
                slots=sum(worker.slots for worker in serving),
                busy=sum(worker.busy for worker in serving),
            )
        )
    return views


def _sum(limits: Sequence[Number | None]) -> Number | None:
    """The limits of several locations together; None when one of them has none."""
    known = [limit for limit in limits if limit is not None]
    return sum(known[1:], start=known[0]) if known and len(known) == len(limits) else None


ROUTES = [show_teams, register_team, show_team, show_queues]
