"""The statements that record what happens by itself, played over tables as `simulation.writes` does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from hedgerow_scheduler.metadata import freshness, statements
from hedgerow_scheduler.metadata import reaction_statements as reaction_sql
from hedgerow_scheduler.metadata import sensor_statements as sql
from simulation.database import Database, Log

Row = dict[str, Any]


def _upsert_sensor(db: Database, log: Log, row: Row) -> int:
    key = (row["team"], row["name"])
    known = db.sensors.get(key)
    changed = {name: row[name] for name in ("location", "next_at")}
    log.put(db.sensors, key, {**known, **changed} if known else row)
    return 1


def _move_sensor(db: Database, log: Log, row: Row) -> int:
    key, before = (row["team"], row["name"]), row.pop("before")
    known = db.sensors.get(key)
    if known is None or known["number"] != before:
        return 0
    log.put(db.sensors, key, {**known, **row})
    return 1


def _insert_key(db: Database, log: Log, row: Row, now: datetime) -> int:
    key = (row["team"], row["name"], row["key"])
    if key in db.sensor_keys:
        return 0
    log.put(db.sensor_keys, key, row)
    return 1


def _insert_evaluation(db: Database, log: Log, row: Row, now: datetime) -> int:
    assert row["id"] not in db.sensor_evaluations, f"evaluation {row['id']} is recorded"
    log.put(db.sensor_evaluations, row["id"], {**row, "ended_at": now})
    return 1


def _insert_delivery(db: Database, log: Log, row: Row) -> int:
    assert row["id"] not in db.deliveries, f"delivery {row['id']} exists"
    log.put(db.deliveries, row["id"], {**row, "state": "waiting", "ended_at": None})
    return 1


def _update_delivery(db: Database, log: Log, row: Row, now: datetime) -> int:
    known = db.deliveries.get(row["id"])
    if known is None or known["state"] != "waiting":
        return 0
    log.put(db.deliveries, row["id"], {**known, **row, "ended_at": None if row["state"] == "waiting" else now})
    return 1


def _add_suppressed(db: Database, log: Log, row: Row, now: datetime) -> int:
    key = (row["team"], row["name"])
    known = db.floods.get(key, {"suppressed": 0})
    log.put(db.floods, key, {**row, "suppressed": known["suppressed"] + row["suppressed"], "last_at": now})
    return 1


def _upsert_freshness(db: Database, log: Log, row: Row, now: datetime) -> int:
    log.put(db.freshness, (row["asset"], row["partition"]), {**row, "since": now})
    return 1


def _delete_freshness(db: Database, log: Log, row: Row) -> int:
    log.drop(db.freshness, (row["asset"], row["partition"]))
    return 1


def _upsert_observation(db: Database, log: Log, row: Row) -> int:
    log.put(db.observations, row["asset"], row)
    return 1


def _upsert_memory(db: Database, log: Log, row: Row) -> int:
    log.put(db.memories, row["asset"], row)
    return 1


def _upsert_condition(db: Database, log: Log, row: Row) -> int:
    log.put(db.evaluations, (row["asset"], row["kind"]), row)
    return 1


APPLY: dict[str, Callable[..., int]] = {
    sql.UPSERT_SENSORS: _upsert_sensor,
    sql.MOVE_SENSORS: _move_sensor,
    sql.INSERT_KEYS: _insert_key,
    sql.INSERT_EVALUATIONS: _insert_evaluation,
    reaction_sql.INSERT_DELIVERIES: _insert_delivery,
    reaction_sql.UPDATE_DELIVERIES: _update_delivery,
    reaction_sql.ADD_SUPPRESSED: _add_suppressed,
    reaction_sql.TRIM_DELIVERIES: lambda *_, **__: 1,
    freshness.UPSERT_FRESHNESS: _upsert_freshness,
    freshness.DELETE_FRESHNESS: _delete_freshness,
    freshness.UPSERT_OBSERVATIONS: _upsert_observation,
    statements.UPSERT_MEMORIES: _upsert_memory,
    statements.UPSERT_EVALUATIONS: _upsert_condition,
    sql.TRIM_EVALUATIONS: lambda *_, **__: 1,
}
