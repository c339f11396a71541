"""The store of sensors: where each left off, and what became of its last evaluations."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import msgspec
from sqlalchemy import Connection, literal, select, text, true

from hedgerow.errors import Problem
from hedgerow_scheduler.automation.sensors import SensorStanding
from hedgerow_scheduler.metadata.read_rows import all_rows
from hedgerow_scheduler.metadata.tables_automation import sensor_evaluations, sensors


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
    """What became of the last evaluation of each sensor, by team and name, without what it printed."""
    c = sensor_evaluations.c
    columns = [column for column in c if column.name != "log"]
    of_one = select(*columns, literal("").label("log")).where(c.team == sensors.c.team, c.name == sensors.c.name)
    newest = of_one.order_by(c.ended_at.desc(), c.id.desc()).limit(1).lateral()
    rows = all_rows(connection, select(newest).select_from(sensors).join(newest, true()), _NamedEvaluation)
    return {(row.team, row.name): _entry(row) for row in rows}


def read_keys(connection: Connection, keys: Collection[tuple[str, str, str]]) -> dict[tuple[str, str, str], str]:
    """The ids of the runs that stand for some dedupe keys, each with the sensor's team and name before it."""
    columns = [list(column) for column in zip(*keys, strict=True)] or [[], [], []]
    asked = dict(zip(("teams", "names", "keys"), columns, strict=True))
    rows = connection.execute(_KEYS, asked)
    return {(row.team, row.name, row.key): str(row.run_id) for row in rows}


_KEYS = text(
    "SELECT k.team, k.name, k.key, k.run_id FROM sensor_keys AS k JOIN unnest(CAST(:teams AS text[]), CAST(:names AS text[]), "
    "CAST(:keys AS text[])) AS u(team, name, key) ON (k.team, k.name, k.key) = (u.team, u.name, u.key)"
)


def _entry(row: _NamedEvaluation) -> EvaluationEntry:
    return EvaluationEntry(**{name: getattr(row, name) for name in EvaluationEntry.__struct_fields__})
