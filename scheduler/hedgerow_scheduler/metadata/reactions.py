"""The store of reactions: what each is to be told, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from hedgerow.errors import Problem
from hedgerow.protocol.happenings import Event
from hedgerow_scheduler.automation.reactions import Delivery
from hedgerow_scheduler.metadata.read_rows import all_rows, id_bounds
from hedgerow_scheduler.metadata.tables_automation import reaction_deliveries, reaction_floods

DELIVERIES_KEPT = 100  # of a reaction that ended alike
MAX_MATCHES = 5


class DeliveryMove(msgspec.Struct, frozen=True):
    """UPDATE_DELIVERIES."""

    id: str
    state: str
    attempts: int
    next_at: datetime
    error: Problem | None
    log: str
    duration_ms: int


class ReactionName(msgspec.Struct, frozen=True):
    """TRIM_DELIVERIES."""

    team: str
    name: str


class Suppressed(msgspec.Struct, frozen=True):
    """ADD_SUPPRESSED."""

    team: str
    name: str
    suppressed: int


class DeliveryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a reaction was told, or is to be told at `next_at`, and what became of it. `created_at` is when it began to wait, `attempts` counts the
    tellings that failed since then.
    """

    id: str
    state: str
    event: Event
    created_at: datetime
    next_at: datetime
    ended_at: datetime | None
    attempts: int
    error: Problem | None
    log: str
    duration_ms: int


class Tally(msgspec.Struct, frozen=True):
    """How many deliveries of a reaction there are by state, of those that are kept, and how many happenings were only counted."""

    by_state: dict[str, int]
    suppressed: int = 0
    suppressed_at: datetime | None = None


def read_waiting(connection: Connection) -> tuple[Delivery, ...]:
    """Every delivery that is not over."""
    c = reaction_deliveries.c
    columns = [c[name] for name in Delivery.__struct_fields__]
    return all_rows(connection, select(*columns).where(c.state == "waiting").order_by(c.created_at, c.id), Delivery)


def read_given_up(connection: Connection, team: str, name: str) -> tuple[Delivery, ...]:
    """The deliveries of a reaction that were given up, the oldest first."""
    c = reaction_deliveries.c
    columns = [c[field] for field in Delivery.__struct_fields__]
    found = select(*columns).where(c.team == team, c.name == name, c.state == "given_up")
    return all_rows(connection, found.order_by(c.created_at, c.id), Delivery)


def match_deliveries(connection: Connection, team: str, name: str, prefix: str) -> dict[str, str]:
    """The ids of up to five deliveries of a reaction that begin with `prefix`, each with its state."""
    bounds = id_bounds(prefix)
    if bounds is None:
        return {}
    c = reaction_deliveries.c
    found = select(c.id, c.state).where(c.team == team, c.name == name, c.id.between(*bounds))
    return {row.id: row.state for row in connection.execute(found.order_by(c.id.desc()).limit(MAX_MATCHES))}


def read_deliveries(connection: Connection, team: str, name: str, limit: int) -> tuple[DeliveryEntry, ...]:
    """The last deliveries of a reaction, the newest first."""
    c = reaction_deliveries.c
    columns = [c[name] for name in DeliveryEntry.__struct_fields__]
    found = select(*columns).where(c.team == team, c.name == name).order_by(c.created_at.desc(), c.id.desc())
    return all_rows(connection, found.limit(limit), DeliveryEntry)


def read_tallies(connection: Connection) -> dict[tuple[str, str], Tally]:
    """The tally of every reaction that was to be told anything, by team and name."""
    c = reaction_deliveries.c
    counted: dict[tuple[str, str], dict[str, int]] = {}
    for row in connection.execute(select(c.team, c.name, c.state, func.count()).group_by(c.team, c.name, c.state)):
        counted.setdefault((row[0], row[1]), {})[row[2]] = row[3]
    floods: dict[tuple[str, str], tuple[Any, ...]] = {
        (row.team, row.name): (row.suppressed, row.last_at) for row in connection.execute(select(reaction_floods))
    }
    return {key: Tally(counted.get(key, {}), *floods.get(key, ())) for key in counted.keys() | floods.keys()}
