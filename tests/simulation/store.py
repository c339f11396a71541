"""A leader's store over the tables of a simulated database: transactions that can fail at every boundary."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec

from hedgerow_scheduler.automation.freshness import Wanted
from hedgerow_scheduler.automation.pauses import Pause
from hedgerow_scheduler.automation.reactions import Delivery
from hedgerow_scheduler.automation.schedules import Standing
from hedgerow_scheduler.automation.sensors import SensorStanding
from hedgerow_scheduler.lifecycle.changes import Changes
from hedgerow_scheduler.lifecycle.judging import Judgeable
from hedgerow_scheduler.lifecycle.model import Attempt, Run, Step, Worker
from hedgerow_scheduler.metadata import recording, runs
from hedgerow_scheduler.metadata.automation import MadeRow, StoredFacts
from hedgerow_scheduler.metadata.backfills import Known
from hedgerow_scheduler.metadata.commands import PendingCommand
from hedgerow_scheduler.metadata.inputs import Stored
from hedgerow_scheduler.metadata.store import DedupeKey, State
from hedgerow_scheduler.metadata.writes import StaleWriteError
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest
from hedgerow_scheduler.planning.former_columns import Former
from hedgerow_scheduler.planning.request import RunRequest
from hedgerow_scheduler.planning.rules import Override
from hedgerow_scheduler.planning.staleness import Made, Pair, Status, closure, judge
from hedgerow_scheduler.planning.unchanged import Earlier
from simulation import judged
from simulation.database import Database, Log
from simulation.writes import SimWrites

_OUT = ("dispatched", "running")


class SimTransaction:
    """See metadata.store.Transaction."""

    def __init__(self, database: Database, log: Log, renew: Callable[[], None]) -> None:
        self._db, self._writes, self._renew = database, SimWrites(database, log), renew
        self.has_read_all = False
        """Whether it is that of a takeover."""

    def stay(self) -> None:
        """The leader is at work."""
        self._renew()

    def rehearse(self) -> None:
        """Fails as the commit would."""
        self._db.boundary("db.taken")

    def now(self) -> datetime:
        """The clock of the world."""
        self._db.boundary("db.read")
        return self._db.now()

    def state(self, start_timeout: timedelta) -> State:
        """Everything that lives."""
        db, self.has_read_all = self._db, True
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
            schedules=[Standing(**_of(Standing, row)) for row in db.schedules.values()],
            deliveries=[Delivery(**_of(Delivery, row)) for row in _waiting(db)],
            not_fresh=[(*key, row["status"]) for key, row in db.freshness.items()],
            memories={key: row["body"] for key, row in db.memories.items()},
            sensors=[SensorStanding(**row) for row in db.sensors.values()],
        )

    def teams(self) -> list[str]:
        """Every team."""
        return self._db.teams

    def overrides(self) -> tuple[Override, ...]:
        """What operators have set."""
        now = self._db.now()
        found = sorted(self._db.overrides.items())
        return tuple(each for _, each in found if each.expires_at is None or each.expires_at > now)

    def pauses(self) -> tuple[Pause, ...]:
        """What operators hold back."""
        return self._db.pauses

    def facts(self, keys: Collection[str], with_failures: Collection[str]) -> StoredFacts:
        """What is current of assets, and which checks of it failed; no condition here asks what failed last."""
        assert not with_failures
        db = self._db
        pairs = {pair: pointer["attempt_id"] for pair, pointer in db.pointers.items() if pair[0] in keys}
        outputs = [db.outputs[attempt_id, *pair] for pair, attempt_id in pairs.items()]
        failed = judged.failed_checks(db, set(pairs.values()))
        return StoredFacts(
            tuple(MadeRow(row["asset"], row["partition"], row["code_version"], row["data_version"]) for row in outputs),
            tuple(
                sorted(
                    (*pair, check)
                    for pair, attempt_id in pairs.items()
                    for check in failed.get((attempt_id, pair[0]), ())
                )
            ),
        )

    def made(
        self, keys: Collection[str], windows: Mapping[str, Wanted]
    ) -> Mapping[str, Sequence[tuple[str, datetime]]]:
        """What is current of assets, and when it was made; no asset here is partitioned by time."""
        assert not windows
        db, found = self._db, dict[str, list[tuple[str, datetime]]]()
        for pair, pointer in db.pointers.items():
            if pair[0] in keys:
                found.setdefault(pair[0], []).append((pair[1], db.outputs[pointer["attempt_id"], *pair]["created_at"]))
        for key in keys:
            if key in db.observations:
                found.setdefault(key, []).append(("", db.observations[key]["at"]))
        return {key: sorted(made, key=lambda one: one[1]) for key, made in found.items()}

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

    def requested_backfills(self) -> list[Known]:
        """Nobody asks for a backfill here."""
        return []

    def backfill(self, backfill_id: str) -> Known | None:
        """Nor has anyone."""
        return None

    def earlier(self, pairs: Sequence[Pair]) -> Mapping[Pair, Earlier]:
        """What current materializations were made from."""
        found, db = {}, self._db
        for pair in db.versions(pairs):
            output = db.outputs[db.pointers[pair]["attempt_id"], *pair]
            attempt, run = db.attempts[output["attempt_id"]], db.runs[output["run_id"]]
            config = run["request"].get("config", {})
            found[pair] = Earlier(output["code_version"], attempt["inputs"], config, attempt["dispatched_at"])
        return found

    def former(self, assets: Collection[str]) -> Mapping[str, Former]:
        """No check asks for columns here."""
        return {}

    def statuses(self, catalog: Catalog, pairs: Iterable[Pair], now: datetime) -> Mapping[Pair, Status]:
        """What pairs are."""
        nodes = closure(catalog, pairs, now)
        made, db = {}, self._db
        for pair, version in db.versions(node.pair for node in nodes).items():
            attempt = db.attempts[db.pointers[pair]["attempt_id"]]
            code_version = db.outputs[attempt["id"], *pair]["code_version"]
            made[pair] = Made(version, code_version, attempt["dispatch_seq"], attempt["inputs"])
        return judge(nodes, made, {})

    def launched_keys(self, keys: Collection[DedupeKey]) -> Mapping[DedupeKey, str]:
        """The runs of some dedupe keys."""
        return {key: self._db.sensor_keys[key]["run_id"] for key in keys if key in self._db.sensor_keys}

    def given_up(self, team: str, name: str) -> Sequence[Delivery]:
        """None: nobody listens here."""
        return ()

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
                if row["reference"] is not None and row["state"] != "rejected":
                    current[pair] = row["reference"]
            least = pointer["dispatch_seq"] if pointer else 0
            for row in self._db.outputs_of(pair):
                if row["state"] in ("candidate", "unchecked", "rejected") and row["dispatch_seq"] >= least:
                    held_back.add(pair)
        return Stored(current, frozenset(held_back), self._db.versions(pairs))

    def judgeable(self, steps: Sequence[Step]) -> Mapping[tuple[str, int], Judgeable]:
        """What steps that judge are to judge."""
        return judged.judgeable(self._db, steps)

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
                found[attempt_id].outputs[asset] = judged.output_of(row)
        judged.with_verdicts(self._db, found.values())
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


def _of(struct: type[msgspec.Struct], row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in struct.__struct_fields__}


def _waiting(db: Database) -> list[dict[str, Any]]:
    waiting = [row for row in db.deliveries.values() if row["state"] == "waiting"]
    return sorted(waiting, key=lambda row: (row["created_at"], row["id"]))


def _worker(row: dict[str, Any]) -> dict[str, Any]:
    renamed = {"first_seen": row["first_seen_at"], "last_seen": row["last_seen_at"]}
    return {**{key: value for key, value in row.items() if not key.endswith("_seen_at")}, **renamed}


class SimStore:
    """See metadata.store.Store: the transactions of one term."""

    def __init__(self, database: Database, epoch: int) -> None:
        self._db, self.epoch = database, epoch

    @contextmanager
    def transaction(self) -> Iterator[SimTransaction]:
        """Commits at its end if the epoch is still its own. The boundaries `db.commit` and `db.committed` are before and after that, and
        `db.taken` where what a cycle wants to record may be refused.
        """
        log = Log()
        try:
            self._db.boundary("db.begin")
            transaction = SimTransaction(self._db, log, self.renew)
            yield transaction
            self._db.boundary("db.commit")
            self._guard()
            if not transaction.has_read_all:
                self._db.boundary("db.taken")
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
