"""Routes of sensors: where each left off, what became of its last evaluations, and asking for one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy import Connection

from hedgerow import clock
from hedgerow.errors import RequestError
from hedgerow.manifest.model import Sensor
from hedgerow.suggestion import did_you_mean
from hedgerow_scheduler.api.services import Services
from hedgerow_scheduler.api.teams import TeamFilter, find_team
from hedgerow_scheduler.automation.pauses import Pause, Pauses
from hedgerow_scheduler.automation.schedules import Place
from hedgerow_scheduler.metadata import audit, commands
from hedgerow_scheduler.metadata.pauses import read_pauses
from hedgerow_scheduler.metadata.read_teams import list_workers
from hedgerow_scheduler.metadata.sensors import EvaluationEntry, read_evaluations, read_last_evaluations, read_sensors
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.tuning import check_circumstances


class SensorView(msgspec.Struct, frozen=True, kw_only=True):
    """A sensor. It is `on` when it is enabled and so is the platform's automation; `next_at` says when it is evaluated next (None: off).

    `failures` counts the last evaluations in a row that failed, `served` says whether a live worker runs its code, `pause` what holds
    it back, `last` what became of its last evaluation.
    """

    team: str
    location: str
    sensor: Sensor
    on: bool
    next_at: datetime | None
    failures: int
    served: bool
    pause: Pause | None
    last: EvaluationEntry | None


class SensorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A sensor with where it left off and its last evaluations, the newest first."""

    sensor: SensorView
    cursor: str | None
    evaluations: tuple[EvaluationEntry, ...]


class EvaluateSensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who asks for an evaluation, and why."""

    author: str = ""
    reason: str = "asked for"


class EvaluationAsked(msgspec.Struct, frozen=True):
    """The sensor will be evaluated; `request` numbers the request."""

    request: int


class EvaluationRequest(msgspec.Struct, frozen=True):
    """What became of a request to evaluate: `outcome` is None as long as nothing has, otherwise {evaluation, outcome} or {refused}."""

    request: int
    outcome: dict[str, Any] | None


@get("/sensors", tags=["sensors"], sync_to_thread=True)
def show_sensors(services: NamedDependency[Services], team: TeamFilter = None) -> list[SensorView]:
    """Every sensor by team and name."""
    with services.reading() as connection:
        if team is not None:
            find_team(connection, team)
        declared = declared_sensors(services.catalog(connection))
        return _views(
            services, connection, {place: one for place, one in declared.items() if team in (None, place.team)}
        )


@get("/sensors/{team:str}/{name:str}", tags=["sensors"], sync_to_thread=True)
def show_sensor(
    services: NamedDependency[Services],
    team: FromPath[str],
    name: FromPath[str],
    count: Annotated[int, QueryParameter(ge=1, le=250, description="How many evaluations at most.")] = 10,
) -> SensorDetail:
    """One sensor."""
    with services.reading() as connection:
        place, sensor = find_sensor(services.catalog(connection), team, name)
        known = next((one for one in read_sensors(connection) if one.place.title == place.title), None)
        return SensorDetail(
            sensor=_views(services, connection, {place: sensor})[0],
            cursor=known.cursor if known is not None else None,
            evaluations=read_evaluations(connection, team, name, count),
        )


@post("/sensors/{team:str}/{name:str}/evaluations", tags=["sensors"], status_code=202, sync_to_thread=True)
def evaluate_sensor(
    services: NamedDependency[Services],
    team: FromPath[str],
    name: FromPath[str],
    data: JSONBody[EvaluateSensor | None] = None,
) -> EvaluationAsked:
    """Ask for an evaluation now, also of a sensor that is off or paused. What it asks for is launched, and its cursor moves."""
    wanted = data or EvaluateSensor()
    if problems := check_circumstances(wanted.author, wanted.reason, clock.now(), None):
        raise RequestError(problems)
    with services.writing() as connection:
        place, _ = find_sensor(services.catalog(connection), team, name)
        audit.write(connection, wanted.author, "evaluate", f"sensor {place.title}", None, None, wanted.reason)
        body = {"team": place.team, "name": place.name}
        return EvaluationAsked(commands.write(connection, "evaluate_sensor", body, wanted.author))


@get("/sensors/{team:str}/{name:str}/requests/{command:int}", tags=["sensors"], sync_to_thread=True)
def show_request(
    services: NamedDependency[Services], team: FromPath[str], name: FromPath[str], command: FromPath[int]
) -> EvaluationRequest:
    """What became of a request to evaluate."""
    with services.reading() as connection:
        place, _ = find_sensor(services.catalog(connection), team, name)
        found = commands.read_outcome(connection, command, "evaluate_sensor", {"team": place.team, "name": place.name})
    if found is None:
        message = f"No one asked for evaluation {command} of sensor '{place.title}'."
        raise RequestError.of("HR-Q346", message, "Ask for one: `hedgerow sensor evaluate TEAM/NAME`.")
    return EvaluationRequest(command, found or None)


def declared_sensors(catalog: Catalog) -> dict[Place, Sensor]:
    """Every sensor that is declared, by team and name."""
    found = {
        Place(team, location, sensor.name): sensor
        for (team, location), published in catalog.published.items()
        for sensor in published.manifest.sensors
    }
    return dict(sorted(found.items(), key=lambda item: (item[0].team, item[0].name)))


def find_sensor(catalog: Catalog, team: str, name: str) -> tuple[Place, Sensor]:
    """The sensor of this name; RequestError HR-Q342 when no one declares it."""
    declared = declared_sensors(catalog)
    for place, sensor in declared.items():
        if (place.team, place.name) == (team, name):
            return place, sensor
    raise RequestError.of(
        "HR-Q342",
        f"There is no sensor '{team[:80]}/{name[:80]}'.",
        did_you_mean(f"{team}/{name}", (place.title for place in declared)) or "No team declares a sensor.",
    )


def _views(services: Services, connection: Connection, declared: Mapping[Place, Sensor]) -> list[SensorView]:
    standing = {one.place.title: one for one in read_sensors(connection)}
    last, pauses, now = read_last_evaluations(connection), Pauses(read_pauses(connection)), clock.now()
    live = list_workers(connection, services.limits.worker_silence_s)
    serving = {(worker.team, worker.location, worker.manifest_hash) for worker in live}
    catalog = services.catalog(connection)
    views = []
    for place, sensor in declared.items():
        known = standing.get(place.title)
        code = catalog.manifest_hash(place.team, place.location)
        views.append(
            SensorView(
                team=place.team,
                location=place.location,
                sensor=sensor,
                on=known is not None and known.next_at is not None,
                next_at=known.next_at if known is not None else None,
                failures=known.failures if known is not None else 0,
                served=(place.team, place.location, code) in serving,
                pause=pauses.over_sensor(place.team, place.title, now),
                last=last.get((place.team, place.name)),
            )
        )
    return views


ROUTES = [show_sensors, show_sensor, evaluate_sensor, show_request]
