"""The store of schedules: how far each has come, and what became of its last ticks."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import distinct_on

from hedgerow.errors import Problem
from hedgerow_scheduler.automation.schedules import Place, Standing
from hedgerow_scheduler.metadata.read_rows import all_rows
from hedgerow_scheduler.metadata.tables_automation import schedule_ticks, schedules


class TickEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a tick: launched as `run_id`, skipped for a `reason` (with those before it, `ticks` in all), or failed."""

    tick: datetime
    ticks: int
    outcome: str
    run_id: str | None
    reason: str
    error: Problem | None
    at: datetime


def read_schedules(connection: Connection) -> tuple[Standing, ...]:
    """Every schedule that is recorded."""
    return all_rows(connection, select(schedules), Standing)


def read_ticks(connection: Connection, team: str, name: str, limit: int) -> tuple[TickEntry, ...]:
    """The last ticks of a schedule, the newest first."""
    c = schedule_ticks.c
    found = select(schedule_ticks).where(c.team == team, c.name == name).order_by(c.id.desc()).limit(limit)
    return all_rows(connection, found, TickEntry)


class _PlacedTick(TickEntry, frozen=True, kw_only=True):
    team: str
    location: str
    name: str


def read_last_ticks(connection: Connection) -> dict[Place, TickEntry]:
    """What became of the last tick of each schedule that has had one."""
    c = schedule_ticks.c
    newest = select(schedule_ticks).ext(distinct_on(c.team, c.location, c.name))
    rows = all_rows(connection, newest.order_by(c.team, c.location, c.name, c.id.desc()), _PlacedTick)
    return {Place(row.team, row.location, row.name): _entry(row) for row in rows}


def _entry(row: _PlacedTick) -> TickEntry:
    return TickEntry(**{name: getattr(row, name) for name in TickEntry.__struct_fields__})
