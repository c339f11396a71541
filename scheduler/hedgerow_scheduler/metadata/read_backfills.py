"""Reads backfills for people: lists, one with its tracks, and what is still to be taken up of what was asked."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, func, literal, select

from hedgerow.errors import Problem
from hedgerow_scheduler.lifecycle.states import RunState, StepState
from hedgerow_scheduler.metadata import tables as t
from hedgerow_scheduler.metadata.backfills import StoredBackfill
from hedgerow_scheduler.metadata.read_rows import id_bounds, one_row, page_rows
from hedgerow_scheduler.metadata.tables_backfills import backfills

MAX_MATCHES = 5


def list_backfills(
    connection: Connection, *, states: Sequence[str] = (), before: str | None = None, limit: int
) -> tuple[tuple[StoredBackfill, ...], bool]:
    """A page of the backfills in one of these states, newest first, those before the backfill with id `before`; and whether there are more."""
    found = select(backfills).order_by(backfills.c.id.desc())
    if states:
        found = found.where(backfills.c.state.in_(list(states)))
    if before is not None:
        found = found.where(backfills.c.id < before)
    return page_rows(connection, found, StoredBackfill, limit)


def match_backfill(connection: Connection, prefix: str) -> tuple[str, ...]:
    """The ids of up to five backfills that begin with `prefix`, newest first."""
    bounds = id_bounds(prefix)
    if bounds is None:
        return ()
    c = backfills.c
    return tuple(
        connection.execute(select(c.id).where(c.id.between(*bounds)).order_by(c.id.desc()).limit(MAX_MATCHES)).scalars()
    )


def is_pending(connection: Connection, backfill_id: str) -> bool:
    """Whether something was asked of a backfill that the scheduler has not taken up yet."""
    c = t.commands.c
    asked = c.body["backfill_id"].astext == backfill_id
    return connection.execute(select(literal(1)).where(c.applied_at.is_(None), asked).limit(1)).first() is not None


class FailedStep(msgspec.Struct, frozen=True):
    """A step of a backfill that failed, and with what."""

    run_id: str
    number: int
    assets: tuple[str, ...]
    partition: str
    error: Problem | None


def last_failure(connection: Connection, backfill_id: str) -> FailedStep | None:
    """A step that failed in the last run of a backfill in which one did; None when none failed."""
    r, s = t.runs.c, t.steps.c
    failed = (
        select(r.id)
        .where(r.backfill_id == backfill_id, r.state == RunState.FAILED)
        .order_by(r.created_at.desc())
        .limit(1)
    )
    found = select(s.run_id, s.number, s.assets, s.partition, s.error).where(s.run_id == failed.scalar_subquery())
    states = [StepState.FAILED, StepState.POISONED]
    return one_row(connection, found.where(s.state.in_(states)).order_by(s.number).limit(1), FailedStep)


def count_runs(connection: Connection, backfill_id: str) -> dict[str, int]:
    """How many runs a backfill has launched, by their state."""
    c = t.runs.c
    counted = select(c.state, func.count()).where(c.backfill_id == backfill_id).group_by(c.state)
    return {row.state: row[1] for row in connection.execute(counted)}
