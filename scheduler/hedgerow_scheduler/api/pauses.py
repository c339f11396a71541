"""Routes of pauses: holding back whatever is launched by itself, and letting it go on."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, cast, get_args

import msgspec
from litestar import delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy import Connection, func, select

from hedgerow.durations import parse_duration
from hedgerow.errors import Problem, RequestError
from hedgerow.suggestion import did_you_mean
from hedgerow_scheduler.api.limits import Author, Reason
from hedgerow_scheduler.api.schedules import find_schedule
from hedgerow_scheduler.api.sensors import find_sensor
from hedgerow_scheduler.api.services import Services
from hedgerow_scheduler.api.teams import find_team
from hedgerow_scheduler.automation.pauses import PLATFORM, Pause, PauseKind
from hedgerow_scheduler.metadata import pauses
from hedgerow_scheduler.planning.tuning import check_circumstances

KINDS: tuple[str, ...] = get_args(PauseKind)


class SetPause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who pauses and why; until `until`, or for `expires_in` ("2h"), or else until it is resumed."""

    reason: str = ""
    author: str = ""
    expires_in: str | None = None
    until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Resumed(msgspec.Struct, frozen=True):
    """Whether it had been paused."""

    resumed: bool


@get("/pauses", tags=["schedules"], sync_to_thread=True)
def show_pauses(services: NamedDependency[Services]) -> list[Pause]:
    """Everything that is paused, by kind and name."""
    with services.reading() as connection:
        return list(pauses.read_pauses(connection))


@put("/pauses/platform", tags=["schedules"], sync_to_thread=True)
def pause_platform(services: NamedDependency[Services], data: JSONBody[SetPause]) -> Pause:
    """Hold back everything automatic of all teams. What runs is left alone, and people may launch what they like."""
    with services.writing() as connection:
        return _pause(connection, "platform", PLATFORM, data)


@delete("/pauses/platform", tags=["schedules"], status_code=200, sync_to_thread=True)
def resume_platform(services: NamedDependency[Services], author: Author = "", reason: Reason = "") -> Resumed:
    """Let the platform go on. What is paused by itself stays so."""
    with services.writing() as connection:
        return _resume(connection, "platform", PLATFORM, author, reason)


@put("/pauses/{kind:str}/{name:path}", tags=["schedules"], sync_to_thread=True)
def pause_one(
    services: NamedDependency[Services], kind: FromPath[str], name: FromPath[str], data: JSONBody[SetPause]
) -> Pause:
    """Hold back a `team`, an `asset`, or a `schedule` or `sensor` (named `team/name`). Ticks are recorded as skipped meanwhile."""
    with services.writing() as connection:
        return _pause(connection, *_find(services, connection, kind, name.strip("/")), data)


@delete("/pauses/{kind:str}/{name:path}", tags=["schedules"], status_code=200, sync_to_thread=True)
def resume_one(
    services: NamedDependency[Services],
    kind: FromPath[str],
    name: FromPath[str],
    author: Author = "",
    reason: Reason = "",
) -> Resumed:
    """Let it go on, with its next tick. Nothing is said against resuming what is not paused."""
    name = name.strip("/")
    with services.writing() as connection:
        held = any((each.kind, each.name) == (kind, name) for each in pauses.read_pauses(connection))
        found = (cast(PauseKind, kind), name) if held else _find(services, connection, kind, name)
        return _resume(connection, *found, author, reason)


def _find(services: Services, connection: Connection, kind: str, name: str) -> tuple[PauseKind, str]:
    """What is to be held; RequestError when there is no such thing."""
    if kind == "team":
        find_team(connection, name)
        return "team", name
    if kind == "asset":
        known = services.catalog(connection).assets
        if name not in known:
            remedy = did_you_mean(name, known) or "See `hedgerow asset list`."
            raise RequestError.of("HR-Q307", f"No team declares asset '{name[:80]}'.", remedy)
        return "asset", name
    if kind == "schedule":
        team, _, own = name.partition("/")
        return "schedule", find_schedule(services.catalog(connection), team, own)[0].title
    if kind == "sensor":
        team, _, own = name.partition("/")
        return "sensor", find_sensor(services.catalog(connection), team, own)[0].title
    raise RequestError.of("HR-Q341", f"A '{kind[:80]}' can't be paused.", f"Give one of: {', '.join(KINDS)}.")


def _pause(connection: Connection, kind: PauseKind, name: str, data: SetPause) -> Pause:
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    problems = []
    if data.expires_in is not None and data.until is not None:
        problems.append(Problem("HR-Q334", "Both expires_in and until are given.", "Give one of them."))
    try:
        until = data.until if data.expires_in is None else now + parse_duration(data.expires_in)
    except (ValueError, OverflowError) as error:
        until = None
        problems.append(Problem("HR-Q334", f"{error}.", 'Write it such as "2h".'))
    problems += check_circumstances(data.author, data.reason, now, until)
    if problems:
        raise RequestError(problems)
    pauses.pause(connection, kind, name, data.author, data.reason, until)
    return Pause(kind, name, data.author, data.reason, now, until)


def _resume(connection: Connection, kind: PauseKind, name: str, author: str, reason: str) -> Resumed:
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    if problems := check_circumstances(author, reason, now, None):
        raise RequestError(problems)
    return Resumed(pauses.resume(connection, kind, name, author, reason))


ROUTES = [show_pauses, pause_platform, resume_platform, pause_one, resume_one]
