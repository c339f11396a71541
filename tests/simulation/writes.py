"""The statements of recording, played over tables. The production code makes up the rows and guards them (metadata.recording)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from hedgerow_scheduler.metadata import statements as sql
from hedgerow_scheduler.metadata.writes import StaleWriteError, Writes
from hedgerow_scheduler.planning.versions import kept
from simulation.automation_writes import APPLY as AUTOMATION
from simulation.database import Database, Log, Table

_COLUMNS: dict[str, Any] = {
    "failures": 0, "losses": 0, "deaths": 0, "not_before": None, "started_at": None, "ended_at": None, "error": None,
    "waits": None, "attempt": 0, "attempt_id": None,
}  # fmt: skip


class _Numbered(msgspec.Struct):
    seq: int


_numbers = msgspec.json.Decoder(list[_Numbered])


class SimWrites(Writes):
    """The statements of recording, played over tables."""

    def __init__(self, database: Database, log: Log) -> None:
        super().__init__()
        self._db, self._log = database, log

    def rows(
        self, statement: str, rows: list[Any], guarded: bool = False, what: str = "rows", **parameters: Any
    ) -> None:
        """Applies a statement to each row."""
        if not rows:
            return
        if (apply := AUTOMATION.get(statement)) is not None:
            done = sum(apply(self._db, self._log, msgspec.structs.asdict(row), **parameters) for row in rows)
        else:
            done = sum(_APPLY[statement](self, msgspec.structs.asdict(row), **parameters) for row in rows)
        if guarded and done != len(rows):
            raise StaleWriteError.of("HR-P301", f"{len(rows) - done} {what} were not as they should be.", "Nothing.")

    def add(self, statement: str, expected: int | None = None, what: str = "rows", **parameters: Any) -> None:
        """Applies a statement of one row."""
        done = _APPLY[statement](self, parameters)
        if expected is not None and done != expected:
            raise StaleWriteError.of("HR-P301", f"{what} were not as they should be.", "Nothing.")

    # -- statements ------------------------------------------------------------------------------------------------------

    def _insert_manifest(self, row: dict[str, Any]) -> int:
        known = self._db.manifests.get(row["hash"])
        accepted_at = row["accepted_at"] or (known and known["accepted_at"])
        self._log.put(self._db.manifests, row["hash"], {**row, "accepted_at": accepted_at})
        return 1

    def _upsert_owner(self, row: dict[str, Any], team: str, location: str, now: datetime) -> int:
        known = self._db.owners.get(row["key"])
        if known is None or known["team"] == team:
            self._log.put(self._db.owners, row["key"], {"team": team, "location": location})
        return 1

    def _put_in_force(self, row: dict[str, Any]) -> int:
        self._log.put(self._db.locations, (row["team"], row["location"]), {"hash": row["hash"], "problems": None})
        return 1

    def _location_failed(self, row: dict[str, Any]) -> int:
        key = (row["team"], row["location"])
        known = self._db.locations.get(key, {"hash": None})
        self._log.put(self._db.locations, key, {**known, "problems": row["problems"]})
        return 1

    def _insert_run(self, row: dict[str, Any]) -> int:
        assert row["id"] not in self._db.runs, f"run {row['id']} exists"
        fresh = {
            "cancel_requested": False,
            "started_at": None,
            "ended_at": None,
            "error": None,
            "priority": 0,
            "cap": None,
        }
        told = {name: msgspec.json.decode(row[name]) for name in ("request", "tags")}
        self._log.put(self._db.runs, row["id"], {**fresh, **row, **told, "state": "requested"})
        return 1

    def _upsert_schedule(self, row: dict[str, Any]) -> int:
        key = (row["team"], row["location"], row["name"])
        begun = self._db.schedules.get(key, {}).get("begun", row["last_tick"])
        self._log.put(self._db.schedules, key, {**row, "begun": begun})
        return 1

    def _move_schedule(self, row: dict[str, Any]) -> int:
        key = (row["team"], row["location"], row["name"])
        known = self._db.schedules.get(key)
        if known is None or known["last_tick"] != row["before"]:
            return 0
        self._log.put(self._db.schedules, key, {**known, "last_tick": row["last_tick"]})
        return 1

    def _insert_tick(self, row: dict[str, Any], now: datetime) -> int:
        self._log.put(self._db.schedule_ticks, len(self._db.schedule_ticks), row)
        return 1

    def _start_run(self, row: dict[str, Any]) -> int:
        return self._update(self._db.runs, row["id"], "requested", row)

    def _fail_request(self, row: dict[str, Any]) -> int:
        found = {"state": "failed", "error": row["error"], "ended_at": self._db.now()}
        return self._update(self._db.runs, row["id"], "requested", found)

    def _insert_step(self, row: dict[str, Any], run_id: str) -> int:
        key = (run_id, row["number"])
        assert key not in self._db.steps, f"step {key} exists"
        self._log.put(self._db.steps, key, {**_COLUMNS, **row, "run_id": run_id})
        return 1

    def _update_step(self, row: dict[str, Any]) -> int:
        key, before = (row["run_id"], row["number"]), row.pop("before")
        known = self._db.steps.get(key)
        if known is None or known["attempt"] > row["attempt"]:
            return 0
        if row["waits"] is None:
            row["waits"] = known["waits"]
        return self._update(self._db.steps, key, before, row)

    def _update_run(self, row: dict[str, Any]) -> int:
        row["cancel_requested"] = row.pop("cancel")
        return self._update(self._db.runs, row["id"], None, row)

    def _insert_attempt(self, row: dict[str, Any]) -> int:
        assert row["id"] not in self._db.attempts, f"attempt {row['id']} exists"
        fresh = {"worker": "", "token": "", "started_at": None, "ended_at": None, "error": None}
        self._log.put(self._db.attempts, row["id"], {**fresh, **row})
        return 1

    def _insert_attempt_after(self, row: dict[str, Any]) -> int:
        inputs = dict(row["inputs"])
        for asset, partitions in row["after"].items():
            found = self._db.versions((asset, partition) for partition in partitions)
            inputs[asset] = kept({partition: version for (_, partition), version in found.items()})
        return self._insert_attempt({**row, "inputs": inputs})

    def _update_attempt(self, row: dict[str, Any]) -> int:
        return self._update(self._db.attempts, row["id"], row.pop("before"), row)

    def _upsert_output(self, row: dict[str, Any], now: datetime) -> int:
        key = (row["attempt_id"], row["asset"], row["partition"])
        known = self._db.outputs.get(key)
        fresh = {**row, "created_at": now}
        self._log.put(self._db.outputs, key, {**known, "state": row["state"]} if known else fresh)
        return 1

    def _upsert_check(self, row: dict[str, Any], now: datetime) -> int:
        key = (row["attempt_id"], row["asset"], row["check_name"])
        known = self._db.verdicts.get(key)
        changed = {name: row[name] for name in ("passed", "error", "metadata")}
        self._log.put(self._db.verdicts, key, {**known, **changed} if known else {**row, "created_at": now})
        return 1

    def _move_pointer(self, row: dict[str, Any]) -> int:
        key = (row["asset"], row["partition"])
        former = self._db.pointers.get(key)
        if former is None or former["dispatch_seq"] < row["dispatch_seq"]:
            self._log.put(self._db.pointers, key, row)
            late = former
        else:
            late = row if former["attempt_id"] != row["attempt_id"] else None
        if late is not None:
            output = (late["attempt_id"], *key)
            if output in self._db.outputs and self._db.outputs[output]["state"] != "rejected":
                self._log.put(self._db.outputs, output, {**self._db.outputs[output], "state": "superseded"})
        return 1

    def _insert_events(self, row: dict[str, Any]) -> int:
        for team, worker, body in zip(row["teams"], row["workers"], row["bodies"], strict=True):
            for event in _numbers.decode(body):
                self._log.put(self._db.events, (team, worker, event.seq), row)
        return 1

    def _upsert_sequence(self, row: dict[str, Any], now: datetime) -> int:
        self._log.put(self._db.sequences, (row["team"], row["worker"]), row)
        return 1

    def _upsert_cursor(self, row: dict[str, Any]) -> int:
        self._log.put(self._db.cursors, row["team"], row)
        return 1

    def _quarantine(self, row: dict[str, Any], now: datetime) -> int:
        self._log.put(self._db.quarantine, len(self._db.quarantine), row)
        return 1

    def _upsert_worker(self, row: dict[str, Any]) -> int:
        self._log.put(self._db.workers, (row["team"], row["id"]), row)
        return 1

    def _delete_worker(self, row: dict[str, Any]) -> int:
        self._log.drop(self._db.workers, (row["team"], row["worker"]))
        return 1

    def _upsert_bucket(self, row: dict[str, Any]) -> int:
        self._log.put(self._db.buckets, (row["kind"], row["name"]), row)
        return 1

    def _apply_command(self, row: dict[str, Any], now: datetime) -> int:
        return self._update(self._db.commands, row["id"], None, {"outcome": row["outcome"]})

    def _nothing(self, row: dict[str, Any], **_: Any) -> int:
        return 1

    def _update(self, table: Table, key: Any, before: str | None, row: dict[str, Any]) -> int:
        known = table.get(key)
        if known is None or (before is not None and known["state"] != before):
            return 0
        self._log.put(table, key, {**known, **row})
        return 1


_APPLY: dict[str, Callable[..., int]] = {
    sql.INSERT_MANIFEST: SimWrites._insert_manifest,
    sql.UPSERT_OWNERS: SimWrites._upsert_owner,
    sql.PUT_IN_FORCE: SimWrites._put_in_force,
    sql.LOCATION_FAILED: SimWrites._location_failed,
    sql.INSERT_RUN: SimWrites._insert_run,
    sql.UPSERT_SCHEDULES: SimWrites._upsert_schedule,
    sql.MOVE_SCHEDULES: SimWrites._move_schedule,
    sql.INSERT_TICKS: SimWrites._insert_tick,
    sql.TRIM_TICKS: SimWrites._nothing,
    sql.START_RUN: SimWrites._start_run,
    sql.FAIL_REQUEST: SimWrites._fail_request,
    sql.INSERT_STEPS: SimWrites._insert_step,
    sql.UPDATE_STEPS: SimWrites._update_step,
    sql.UPDATE_RUNS: SimWrites._update_run,
    sql.INSERT_ATTEMPTS: SimWrites._insert_attempt,
    sql.INSERT_ATTEMPTS_AFTER: SimWrites._insert_attempt_after,
    sql.UPDATE_ATTEMPTS: SimWrites._update_attempt,
    sql.UPSERT_OUTPUTS: SimWrites._upsert_output,
    sql.MOVE_POINTERS: SimWrites._move_pointer,
    sql.UPSERT_CHECKS: SimWrites._upsert_check,
    sql.INSERT_EVENTS: SimWrites._insert_events,
    sql.UPSERT_SEQUENCES: SimWrites._upsert_sequence,
    sql.UPSERT_CURSORS: SimWrites._upsert_cursor,
    sql.INSERT_QUARANTINE: SimWrites._quarantine,
    sql.UPSERT_WORKERS: SimWrites._upsert_worker,
    sql.DELETE_WORKERS: SimWrites._delete_worker,
    sql.APPLY_COMMANDS: SimWrites._apply_command,
    sql.UPSERT_BUCKETS: SimWrites._upsert_bucket,
}
