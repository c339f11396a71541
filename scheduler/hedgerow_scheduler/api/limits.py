"""Routes of limits: what each is set to and by whom, setting one otherwise while work flows, and the record of such changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy import Connection, func, select

from hedgerow.durations import parse_duration
from hedgerow.errors import Problem, RequestError
from hedgerow.settings.rates import parse_rate
from hedgerow_scheduler.api.services import Services, full_run_id
from hedgerow_scheduler.api.teams import find_team
from hedgerow_scheduler.limits.bucket import TokenBucket
from hedgerow_scheduler.limits.limit import LimitId, Values
from hedgerow_scheduler.metadata import audit, limits
from hedgerow_scheduler.metadata.read_limits import count_in_use, count_ready
from hedgerow_scheduler.metadata.read_runs import ENDED_RUNS, get_run, read_caps
from hedgerow_scheduler.planning.rules import FIELDS, Override, Rules
from hedgerow_scheduler.planning.tuning import check_circumstances, find_limit, mistakes, warnings

Author = Annotated[str, QueryParameter(description="Who asks.")]
Reason = Annotated[str, QueryParameter(description="Why, for everyone to read.")]


class SetLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to set; fields that are left out stay as they are, null means without limit. `slots` is another name of `concurrency`.

    `rate` is starts per second, or a text such as "20/s". It counts until `expires_at`, or for `expires_in` ("2h").
    """

    concurrency: float | msgspec.UnsetType | None = msgspec.UNSET
    slots: float | msgspec.UnsetType | None = msgspec.UNSET
    rate: float | str | msgspec.UnsetType | None = msgspec.UNSET
    burst: float | msgspec.UnsetType | None = msgspec.UNSET
    weight: float | msgspec.UnsetType | None = msgspec.UNSET
    minimum: float | msgspec.UnsetType | None = msgspec.UNSET
    paused: bool | msgspec.UnsetType = msgspec.UNSET
    reason: str = ""
    author: str = ""
    expires_in: str | None = None
    expires_at: datetime | None = None


class LimitView(msgspec.Struct, frozen=True):
    """A limit: as declared, as it is now, what operators have overridden, which fields differ from what is declared, how many slots
    are taken, how many tokens of its rate are left, and how many ready steps of a queue or team wait.
    """

    kind: str
    name: str
    declared: Values
    effective: Values
    overrides: tuple[Override, ...]
    drift: tuple[str, ...]
    in_use: int
    tokens: float | None
    ready: int | None


class LimitSet(msgspec.Struct, frozen=True):
    """The limit as it is from now on, and what will not start any more because of it."""

    limit: LimitView
    warnings: tuple[str, ...]


class AuditPage(msgspec.Struct, frozen=True):
    """Changes, the newest first; `next` leads to older ones."""

    items: tuple[audit.AuditEntry, ...]
    next: int | None


@get("/limits", tags=["limits"], sync_to_thread=True)
def show_limits(
    services: NamedDependency[Services],
    kind: Annotated[str | None, QueryParameter(description="Only limits of this kind.")] = None,
    team: Annotated[str | None, QueryParameter(description="Only this team's.")] = None,
) -> list[LimitView]:
    """Every limit that is declared or overridden, by kind and name."""
    if kind is not None and kind not in FIELDS:
        raise RequestError.of(
            "HR-Q331", f"There is no kind of limit '{kind[:80]}'.", f"Kinds are: {', '.join(FIELDS)}."
        )
    with services.reading() as connection:
        if team is not None:
            find_team(connection, team)
        rules = _rules(services, connection)
        overridden: set[LimitId] = {(o.kind, o.name) for o in rules.overrides}  # type: ignore[misc]
        ids = sorted({*rules.known(), *overridden})
        chosen = [id for id in ids if kind in (None, id[0]) and (team is None or id[1].partition("/")[0] == team)]
        return _views(connection, rules, chosen)


@get("/limits/{kind:str}/{name:path}", tags=["limits"], sync_to_thread=True)
def show_limit(services: NamedDependency[Services], kind: FromPath[str], name: FromPath[str]) -> LimitView:
    """One limit."""
    with services.reading() as connection:
        rules = _rules(services, connection)
        return _views(connection, rules, [_find(connection, rules, kind, name, with_leftovers=True)])[0]


@put("/limits/{kind:str}/{name:path}", tags=["limits"], sync_to_thread=True)
def set_limit(
    services: NamedDependency[Services], kind: FromPath[str], name: FromPath[str], data: JSONBody[SetLimit]
) -> LimitSet:
    """Set a limit otherwise than declared. It counts for what waits already within a second; what is out stays out."""
    fields = _fields(data)
    with services.writing() as connection:
        rules = _rules(services, connection)
        id = _find(connection, rules, kind, name)
        now = _now(connection)
        problems = list(mistakes(rules, id, fields, now))
        if kind == "run" and (run := get_run(connection, id[1])) is not None and run.state in ENDED_RUNS:
            problems.append(Problem("HR-Q311", f"Run {run.id} has ended: {run.state}.", "There is nothing to limit."))
        if data.expires_in is not None and data.expires_at is not None:
            problems.append(Problem("HR-Q334", "Both expires_in and expires_at are given.", "Give one of them."))
        try:
            expires_at = data.expires_at if data.expires_in is None else now + parse_duration(data.expires_in)
        except (ValueError, OverflowError) as error:
            expires_at = None
            problems.append(Problem("HR-Q334", f"{error}.", 'Write it such as "2h".'))
        if expires_at is not None and expires_at.tzinfo is None:
            problems.append(
                Problem("HR-Q334", "The time of the end has no time zone.", "Write it such as 2030-01-31T18:00:00Z.")
            )
        else:
            problems += check_circumstances(data.author, data.reason, now, expires_at)
        if problems:
            raise RequestError(problems)
        limits.set_overrides(connection, id, fields, data.author, data.reason, expires_at)
        fresh = _rules(services, connection)
        return LimitSet(_views(connection, fresh, [id])[0], warnings(rules, id, fields))


@delete("/limits/{kind:str}/{name:path}", tags=["limits"], status_code=200, sync_to_thread=True)
def clear_limit(
    services: NamedDependency[Services],
    kind: FromPath[str],
    name: FromPath[str],
    field: Annotated[list[str] | None, QueryParameter(description="Only these fields.")] = None,
    author: Author = "",
    reason: Reason = "",
) -> LimitSet:
    """Go back to what is declared. Nothing is changed, and nothing said against it, when nothing was overridden."""
    with services.writing() as connection:
        rules = _rules(services, connection)
        id = _find(connection, rules, kind, name, with_leftovers=True)
        unknown = [each for each in field or () if each not in FIELDS[id[0]]]
        problems = [
            Problem("HR-Q332", f"A {id[0]} limit has no '{each}'.", f"It has: {', '.join(FIELDS[id[0]])}.")
            for each in unknown
        ]
        problems += check_circumstances(author, reason, _now(connection), None)
        if problems:
            raise RequestError(problems)
        limits.clear_overrides(connection, id, tuple(field or FIELDS[id[0]]), author, reason)
        return LimitSet(_views(connection, _rules(services, connection), [id])[0], ())


@get("/audit", tags=["limits"], sync_to_thread=True)
def show_audit(
    services: NamedDependency[Services],
    subject: Annotated[str | None, QueryParameter(description='Only of this, such as "queue sales/default".')] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=1000, description="How many at most.")] = 100,
    cursor: Annotated[
        int | None, QueryParameter(ge=1, le=(1 << 63) - 1, description="`next` of the page before.")
    ] = None,
) -> AuditPage:
    """Who changed what of the platform, and why; the newest first."""
    with services.reading() as connection:
        found = audit.list_entries(connection, subject=subject, before=cursor, limit=limit + 1)
    return AuditPage(found[:limit], found[limit - 1].id if len(found) > limit else None)


def _rules(services: Services, connection: Connection) -> Rules:
    return services.rules(connection).with_runs(read_caps(connection))


def _find(connection: Connection, rules: Rules, kind: str, name: str, *, with_leftovers: bool = False) -> LimitId:
    name = name.strip("/")
    runs = {name: full_run_id(connection, name)} if kind == "run" else {}
    return find_limit(rules, kind, name, runs, with_leftovers=with_leftovers)


def _fields(data: SetLimit) -> dict[str, float | None]:
    given: dict[str, Any] = {
        field: value
        for field in ("concurrency", "slots", "rate", "burst", "weight", "minimum", "paused")
        if (value := getattr(data, field)) is not msgspec.UNSET
    }
    if "slots" in given:
        if "concurrency" in given:
            raise RequestError.of("HR-Q332", "Both slots and concurrency are given.", "They are the same: give one.")
        given["concurrency"] = given.pop("slots")
    if isinstance(given.get("rate"), str):
        try:
            given["rate"] = parse_rate(given["rate"])
        except ValueError as error:
            raise RequestError.of("HR-Q332", f"The rate can't be read: {error}.", 'Write it such as "20/s".') from None
    return {field: float(value) if value is not None else None for field, value in given.items()}


def _now(connection: Connection) -> datetime:
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return now


def _views(connection: Connection, rules: Rules, ids: Sequence[LimitId]) -> list[LimitView]:
    now, used, ready, buckets = (
        _now(connection),
        count_in_use(connection),
        count_ready(connection),
        limits.read_buckets(connection),
    )
    views = []
    for id in ids:
        declared, effective = rules.declared(id), rules.values(id, now)
        tokens = None
        if effective.rate is not None:
            level, burst = buckets.get(id), max(1.0, effective.burst or 1.0)
            bucket = TokenBucket(effective.rate, burst, level.tokens if level else burst, level.at if level else now)
            tokens = round(bucket.refill(now), 3)
        fields = [field for field in Values.__struct_fields__ if getattr(declared, field) != getattr(effective, field)]
        overrides = tuple(o for o in rules.overrides if (o.kind, o.name) == id)
        waiting = ready[id] if id[0] in ("queue", "team") else None
        views.append(LimitView(*id, declared, effective, overrides, tuple(fields), used[id], tokens, waiting))
    return views


ROUTES = [show_limits, show_limit, set_limit, clear_limit, show_audit]
