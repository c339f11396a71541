"""PostgreSQL as far as a leader needs it, in memory: rows that outlive leaders, and transactions that can fail at every boundary.

The production code makes up the rows and guards them (metadata.recording); only the statements are played here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec

from hedgerow.manifest.model import decode
from hedgerow_scheduler.lifecycle.changes import Changes
from hedgerow_scheduler.lifecycle.model import Attempt, Run, Worker
from hedgerow_scheduler.metadata import recording, runs
from hedgerow_scheduler.metadata import statements as sql
from hedgerow_scheduler.metadata.commands import PendingCommand
from hedgerow_scheduler.metadata.inputs import Stored
from hedgerow_scheduler.metadata.store import State
from hedgerow_scheduler.metadata.writes import StaleWriteError, Writes
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest
from hedgerow_scheduler.planning.request import RunRequest
from hedgerow_scheduler.planning.rules import Override

STALE_AFTER = timedelta(seconds=3)
_OUT = ("dispatched", "running")
_COLUMNS: dict[str, Any] = {
    "failures": 0, "losses": 0, "deaths": 0, "not_before": None, "started_at": None, "ended_at": None, "error": None,
    "waits": None, "attempt": 0, "attempt_id": None,
}  # fmt: skip
_NOTHING = object()


class _Numbered(msgspec.Struct):
    seq: int


_numbers = msgspec.json.Decoder(list[_Numbered])


class OutageError(Exception):
    """The database does not answer, or the session is gone."""


class Table(dict[Any, dict[str, Any]]):
    """Rows by key. A row is replaced, never changed, so that what was is known by its reference."""


class Database:
    """What is committed, and the leader row. `boundary` is called wherever a transaction may fail, with the place's name."""

    def __init__(self, now: Callable[[], datetime], boundary: Callable[[str], None]) -> None:
        self.now, self.boundary = now, boundary
        self.epoch, self.holder, self.renewed_at = 0, "", None
        self.teams: list[str] = []
        self.runs, self.steps, self.attempts, self.outputs = Table(), Table(), Table(), Table()
        self.pointers, self.sequences, self.cursors, self.buckets = Table(), Table(), Table(), Table()
        self.workers, self.manifests, self.locations, self.owners = Table(), Table(), Table(), Table()
        self.commands, self.quarantine, self.events = Table(), Table(), Table()
        self._rang = False
        self.overrides: dict[tuple[str, str, str], Override] = {}
        self.on_commit: Callable[[list[tuple[Table, Any, Any]]], None] = lambda _: (
            None
        )  # gets (table, key, what was before)
        self._decoded: dict[str, PublishedManifest] = {}

    # -- what the API writes -------------------------------------------------------------------------------------------

    def request(self, run_id: str, request: RunRequest, tags: dict[str, str]) -> None:
        """A run to plan."""
        self._rang = True
        body = msgspec.to_builtins(request)
        self.runs[run_id] = {
            "id": run_id, "state": "requested", "created_at": self.now(), "request": body, "tags": tags, "author": "ann",
            "cancel_requested": False, "started_at": None, "ended_at": None, "error": None, "priority": 0, "cap": None,
        }  # fmt: skip

    def rings(self) -> bool:
        """Whether something was asked for since the last look."""
        rang, self._rang = self._rang, False
        return rang

    def command(self, kind: str, **body: Any) -> None:
        """Something people ask for."""
        self._rang = True
        number = len(self.commands) + 1
        self.commands[number] = {"id": number, "kind": kind, "body": body, "author": "ann", "outcome": None}

    # -- the lead ------------------------------------------------------------------------------------------------------

    def try_to_lead(self, holder: str) -> int | None:
        """The epoch under which `holder` leads now; None while another does."""
        self.boundary("db.lead")
        if self.holder and self.renewed_at is not None and self.now() - self.renewed_at <= STALE_AFTER:
            return None
        self.epoch, self.holder, self.renewed_at = self.epoch + 1, holder, self.now()
        return self.epoch

    def published(self, manifest_hash: str) -> PublishedManifest:
        """A stored manifest."""
        if manifest_hash not in self._decoded:
            self._decoded[manifest_hash] = PublishedManifest(
                manifest_hash, decode(self.manifests[manifest_hash]["body"])
            )
        return self._decoded[manifest_hash]


class _Log:
    """What a transaction has replaced, so that it can be taken back."""

    def __init__(self) -> None:
        self._before: list[tuple[Table, Any, Any]] = []

    def put(self, table: Table, key: Any, row: dict[str, Any]) -> None:
        self._before.append((table, key, table.get(key, _NOTHING)))
        table[key] = row

    def drop(self, table: Table, key: Any) -> None:
        self._before.append((table, key, table.get(key, _NOTHING)))
        table.pop(key, None)

    def undo(self) -> None:
        for table, key, row in reversed(self._before):
            if row is _NOTHING:
                table.pop(key, None)
            else:
                table[key] = row
        self._before.clear()

    def touched(self) -> list[tuple[Table, Any, Any]]:
        return [(table, key, None if row is _NOTHING else row) for table, key, row in self._before]


class SimWrites(Writes):
    """The statements of recording, played over tables."""

    def __init__(self, database: Database, log: _Log) -> None:
        super().__init__()
        self._db, self._log = database, log

    def rows(
        self, statement: str, rows: list[Any], guarded: bool = False, what: str = "rows", **parameters: Any
    ) -> None:
        """Applies a statement to each row."""
        if not rows:
            return
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

    def _update_attempt(self, row: dict[str, Any]) -> int:
        return self._update(self._db.attempts, row["id"], row.pop("before"), row)

    def _upsert_output(self, row: dict[str, Any], now: datetime) -> int:
        key = (row["attempt_id"], row["asset"], row["partition"])
        known = self._db.outputs.get(key)
        self._log.put(self._db.outputs, key, {**known, "state": row["state"]} if known else row)
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
            if output in self._db.outputs:
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
    sql.START_RUN: SimWrites._start_run,
    sql.FAIL_REQUEST: SimWrites._fail_request,
    sql.INSERT_STEPS: SimWrites._insert_step,
    sql.UPDATE_STEPS: SimWrites._update_step,
    sql.UPDATE_RUNS: SimWrites._update_run,
    sql.INSERT_ATTEMPTS: SimWrites._insert_attempt,
    sql.UPDATE_ATTEMPTS: SimWrites._update_attempt,
    sql.UPSERT_OUTPUTS: SimWrites._upsert_output,
    sql.MOVE_POINTERS: SimWrites._move_pointer,
    sql.UPSERT_CHECKS: SimWrites._nothing,
    sql.INSERT_EVENTS: SimWrites._insert_events,
    sql.UPSERT_SEQUENCES: SimWrites._upsert_sequence,
    sql.UPSERT_CURSORS: SimWrites._upsert_cursor,
    sql.INSERT_QUARANTINE: SimWrites._quarantine,
    sql.UPSERT_WORKERS: SimWrites._upsert_worker,
    sql.DELETE_WORKERS: SimWrites._delete_worker,
    sql.APPLY_COMMANDS: SimWrites._apply_command,
    sql.UPSERT_BUCKETS: SimWrites._upsert_bucket,
}


class SimTransaction:
    """See metadata.store.Transaction."""

    def __init__(self, database: Database, log: _Log) -> None:
        self._db, self._writes = database, SimWrites(database, log)

    def now(self) -> datetime:
        """The clock of the world."""
        self._db.boundary("db.read")
        return self._db.now()

    def state(self, start_timeout: timedelta) -> State:
        """Everything that lives."""
        db = self._db
        live = [self._with_steps(row) for row in db.runs.values() if row["state"] == "running"]
        attempts = self._attempts({run.id: run for run in live}, start_timeout)
        return State(
            catalog=Catalog(db.published(row["hash"]) for row in db.locations.values() if row["hash"]),
            overrides=self.overrides(),
            levels={key: (row["tokens"], row["at"]) for key, row in db.buckets.items()},
            owners={key: (row["team"], row["location"]) for key, row in db.owners.items()},
            accepted=self._accepted(),
            dispatch_seq=max((row["dispatch_seq"] for row in db.attempts.values()), default=0),
            sequences={key: row["acked"] for key, row in db.sequences.items()},
            workers=[Worker(**_worker(row)) for row in db.workers.values()],
            broken={key for key, row in db.locations.items() if row["problems"]},
            runs=live,
            last_ends={
                key: db.attempts[row["attempt_id"]]["ended_at"]
                for key, row in db.steps.items()
                if row["state"] == "retry_wait" and row["attempt_id"] in db.attempts
            },
            attempts=attempts,
            holds={
                each.id: tuple(((kind, name), slots) for kind, name, slots in db.attempts[each.id]["holds"] or ())
                for each in attempts
                if each.state in _OUT
            },
            cursors={key: (row["position"], row["epoch"]) for key, row in db.cursors.items()},
        )

    def teams(self) -> list[str]:
        """Every team."""
        return self._db.teams

    def overrides(self) -> tuple[Override, ...]:
        """What operators have set."""
        now = self._db.now()
        found = sorted(self._db.overrides.items())
        return tuple(each for _, each in found if each.expires_at is None or each.expires_at > now)

    def requested_runs(self) -> list[runs.RequestedRun]:
        """Runs to plan."""
        return [
            runs.RequestedRun(runs.run_of(SimpleNamespace(**row)), msgspec.convert(row["request"], RunRequest))
            for row in self._db.runs.values()
            if row["state"] == "requested"
        ]

    def pending_commands(self) -> list[PendingCommand]:
        """Commands to apply."""
        return [
            PendingCommand(row["id"], row["kind"], row["body"], row["author"])
            for row in self._db.commands.values()
            if row["outcome"] is None
        ]

    def run(self, run_id: str) -> Run | None:
        """A run with its steps."""
        row = self._db.runs.get(run_id)
        return self._with_steps(row) if row else None

    def remove_expired(self, gone: Sequence[Override]) -> None:
        """Removes overrides."""
        for each in gone:
            self._db.overrides.pop((each.kind, each.name, each.field), None)

    def stored(self, pairs: Sequence[tuple[str, str]]) -> Stored:
        """What is current."""
        self._db.boundary("db.read")
        current, held_back = {}, set()
        for pair in pairs:
            pointer = self._db.pointers.get(pair)
            if pointer is not None:
                row = self._db.outputs[pointer["attempt_id"], *pair]
                if row["reference"] is not None:
                    current[pair] = row["reference"]
            newest = max(
                (
                    row["dispatch_seq"]
                    for (_, *of), row in self._db.outputs.items()
                    if tuple(of) == pair and row["state"] in ("candidate", "rejected")
                ),
                default=0,
            )
            if newest > (pointer["dispatch_seq"] if pointer else 0):
                held_back.add(pair)
        return Stored(current, frozenset(held_back))

    def write(self, changes: Changes, now: datetime, *, at_once: bool = False) -> None:
        """Applies changes."""
        self._db.boundary("db.write")
        recording.gather(self._writes, changes, now)

    def _with_steps(self, row: dict[str, Any]) -> Run:
        run = runs.run_of(SimpleNamespace(**row))
        steps = sorted((key, step) for key, step in self._db.steps.items() if key[0] == run.id)
        run.steps = [runs.step_of(run, SimpleNamespace(**_step(step))) for _, step in steps]
        return run

    def _attempts(self, live: dict[str, Run], start_timeout: timedelta) -> list[Attempt]:
        found: dict[str, Attempt] = {}
        for row in self._db.attempts.values():
            run = live.get(row["run_id"])
            if run is None or row["state"] not in (*_OUT, "lost"):
                continue
            step = run.steps[row["step_number"]]
            if step.attempt_id == row["id"]:
                found[row["id"]] = runs.attempt_of(step, SimpleNamespace(**row), start_timeout)
        for (attempt_id, asset, _), row in self._db.outputs.items():
            if attempt_id in found:
                reference = msgspec.to_builtins(row["reference"])
                output = runs.output_of(SimpleNamespace(**{**row, "reference": reference}))
                found[attempt_id].outputs[asset] = output
        return list(found.values())

    def _accepted(self) -> list[PublishedManifest]:
        served = {row["manifest_hash"] for row in self._db.workers.values()}
        in_force = {row["hash"] for row in self._db.locations.values()}
        rows = [
            (hash_ in in_force, row["accepted_at"], hash_)
            for hash_, row in self._db.manifests.items()
            if row["accepted_at"] and hash_ in served | in_force
        ]
        return [self._db.published(hash_) for _, _, hash_ in sorted(rows)]


def _step(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "error": msgspec.to_builtins(row["error"]), "waits": row["waits"] and dict(row["waits"])}


def _worker(row: dict[str, Any]) -> dict[str, Any]:
    renamed = {"first_seen": row["first_seen_at"], "last_seen": row["last_seen_at"]}
    return {**{key: value for key, value in row.items() if not key.endswith("_seen_at")}, **renamed}


class SimStore:
    """See metadata.store.Store: the transactions of one term."""

    def __init__(self, database: Database, epoch: int) -> None:
        self._db, self.epoch = database, epoch

    @contextmanager
    def transaction(self) -> Iterator[SimTransaction]:
        """Commits at its end if the epoch is still its own. The boundaries `db.commit` and `db.committed` are before and after that."""
        log = _Log()
        try:
            self._db.boundary("db.begin")
            yield SimTransaction(self._db, log)
            self._db.boundary("db.commit")
            self._guard()
        except BaseException:
            log.undo()
            raise
        self._db.on_commit(log.touched())
        self._db.boundary("db.committed")

    def renew(self) -> None:
        """Keeps the lead."""
        self._db.boundary("db.begin")
        self._guard()

    def _guard(self) -> None:
        if self._db.epoch != self.epoch:
            raise StaleWriteError.of("HR-P301", "Another leads.", "Nothing.")
        self._db.renewed_at = self._db.now()
