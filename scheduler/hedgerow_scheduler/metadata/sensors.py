"""The store of sensors: where each left off, and what became of its last evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import distinct_on

from hedgerow.errors import Problem
from hedgerow_scheduler.automation.sensors import SensorStanding
from hedgerow_scheduler.metadata.read_rows import all_rows
from hedgerow_scheduler.metadata.tables_automation import sensor_evaluations, sensor_keys, sensors


class EvaluationEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an evaluation: the first of the runs that it `launched`, or a `reason` or `error`; `deduped` counts the requests
    whose dedupe key had a run already, `cursor` is the beginning of a new cursor, `log` the end of what was printed.
    """

    id: str
    at: datetime
    ended_at: datetime
    outcome: str
    launched: int
    deduped: int
    run_ids: tuple[str, ...]
    cursor: str | None
    reason: str
    error: Problem | None
    log: str
    duration_ms: int


def read_sensors(connection: Connection) -> tuple[SensorStanding, ...]:
    """Every sensor that is recorded."""
    return all_rows(connection, select(sensors), SensorStanding)


def read_evaluations(connection: Connection, team: str, name: str, limit: int) -> tuple[EvaluationEntry, ...]:
    """The last evaluations of a sensor, the newest first."""
    c = sensor_evaluations.c
    found = select(sensor_evaluations).where(c.team == team, c.name == name)
    return all_rows(connection, found.order_by(c.ended_at.desc(), c.id.desc()).limit(limit), EvaluationEntry)


class _NamedEvaluation(EvaluationEntry, frozen=True, kw_only=True):
    team: str
    name: str


def read_last_evaluations(connection: Connection) -> dict[tuple[str, str], EvaluationEntry]:
    """What became of the last evaluation of each sensor, by team and name."""
    c = sensor_evaluations.c
    newest = select(sensor_evaluations).ext(distinct_on(c.team, c.name))
    rows = all_rows(connection, newest.order_by(c.team, c.name, c.ended_at.desc(), c.id.desc()), _NamedEvaluation)
    return {(row.team, row.name): _entry(row) for row in rows}


def read_keys(connection: Connection, team: str, sensor: str, keys: Sequence[str]) -> dict[str, str]:
    """The ids of the runs that stand for some dedupe keys of a sensor."""
    if not keys:
        return {}
    c = sensor_keys.c
    found = select(c.key, c.run_id).where(c.team == team, c.name == sensor, c.key.in_(list(keys)))
    return {row.key: row.run_id for row in connection.execute(found)}


def _entry(row: _NamedEvaluation) -> EvaluationEntry:
    return EvaluationEntry(**{name: getattr(row, name) for name in EvaluationEntry.__struct_fields__})
