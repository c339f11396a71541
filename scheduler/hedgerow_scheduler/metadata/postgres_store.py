"""A leader's store in PostgreSQL: every transaction ends with the guard of the leader's epoch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import psycopg
from sqlalchemy import Connection, Engine, select

from hedgerow import clock
from hedgerow_scheduler.automation.freshness import Wanted
from hedgerow_scheduler.automation.pauses import Pause
from hedgerow_scheduler.automation.reactions import Delivery
from hedgerow_scheduler.lifecycle.changes import Changes
from hedgerow_scheduler.lifecycle.judging import Judgeable
from hedgerow_scheduler.lifecycle.model import Run, Step, Worker
from hedgerow_scheduler.metadata import (
    automation,
    backfills,
    catalogs,
    commands,
    former_columns,
    freshness,
    inputs,
    judging,
    key_sets,
    leadership,
    limits,
    pauses,
    reactions,
    read_versions,
    runs,
    schedules,
    sensors,
    teams,
)
from hedgerow_scheduler.metadata import tables as t
from hedgerow_scheduler.metadata.leadership import Leadership
from hedgerow_scheduler.metadata.recording import gather
from hedgerow_scheduler.metadata.store import DedupeKey, State
from hedgerow_scheduler.metadata.writes import Writes
from hedgerow_scheduler.partitions.key_sets import KeySets
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.former_columns import Former
from hedgerow_scheduler.planning.rules import Override
from hedgerow_scheduler.planning.staleness import Pair, Status
from hedgerow_scheduler.planning.unchanged import Earlier

STAY_S = 0.5


class PostgresTransaction:
    """See metadata.store.Transaction. `renew` keeps the lead in a transaction of its own."""

    def __init__(self, connection: Connection, writes: Writes, renew: Callable[[], None] = lambda: None) -> None:
        self._connection, self._writes, self._renew = connection, writes, renew
        self._stayed_at = clock.monotonic()

    def now(self) -> datetime:
        """PostgreSQL's clock."""
        return leadership.read_time(self._connection)

    def state(self, start_timeout: timedelta) -> State:
        """Everything that lives."""
        connection = self._connection
        live = runs.read_live(connection, self.stay)
        by_id = {run.id: run for run in live}
        sets = KeySets(key_sets.read_keys(connection))
        catalog = catalogs.read_catalog(connection, sets)
        return State(
            catalog=catalog,
            overrides=limits.read_overrides(connection),
            levels={id: (row.tokens, row.at) for id, row in limits.read_buckets(connection).items()},
            owners=catalogs.read_owners(connection),
            accepted=catalogs.read_accepted(connection, sets, catalog),
            dispatch_seq=inputs.read_dispatch_seq(connection),
            sequences=_read_sequences(connection),
            workers=_read_workers(connection),
            broken=_read_broken(connection),
            runs=live,
            last_ends=runs.read_last_ends(connection),
            attempts=judging.with_judged(connection, runs.read_attempts(connection, by_id, start_timeout)),
            holds=runs.read_holds(connection, by_id),
            cursors=read_cursors(connection),
            schedules=schedules.read_schedules(connection),
            sensors=sensors.read_sensors(connection),
            deliveries=reactions.read_waiting(connection),
            memories=automation.read_memories(connection),
            key_sets=sets,
            lately=catalogs.read_lately(connection),
            backfills=backfills.read_live(connection),
            not_fresh=freshness.read_not_fresh(connection),
        )

    def stay(self) -> None:
        """Asks the session something, and keeps the lead; hardly anything when that was done a moment ago."""
        if clock.monotonic() - self._stayed_at < STAY_S:
            return
        self._writes.flush(self._connection)
        self._connection.exec_driver_sql("SELECT 1")
        self._renew()
        self._stayed_at = clock.monotonic()

    def teams(self) -> list[str]:
        """Every registered team."""
        return teams.read_names(self._connection)

    def overrides(self) -> tuple[Override, ...]:
        """What operators have set."""
        return limits.read_overrides(self._connection)

    def pauses(self) -> tuple[Pause, ...]:
        """What operators hold back."""
        return pauses.read_pauses(self._connection)

    def facts(self, keys: Collection[str], with_failures: Collection[str]) -> automation.StoredFacts:
        """What is recorded of these assets, with all that was written before in this transaction."""
        self._writes.flush(self._connection)
        return automation.read_facts(self._connection, keys, with_failures)

    def made(
        self, keys: Collection[str], windows: Mapping[str, Wanted]
    ) -> Mapping[str, Sequence[tuple[str, datetime]]]:
        """What is current, with all that was written before in this transaction."""
        self._writes.flush(self._connection)
        return freshness.read_made(self._connection, keys, windows)

    def requested_runs(self) -> list[runs.RequestedRun]:
        """The oldest runs that are to be planned."""
        return runs.read_requested(self._connection)

    def pending_commands(self) -> list[commands.PendingCommand]:
        """The oldest commands that are to be applied."""
        return commands.read_pending(self._connection)

    def run(self, run_id: str) -> Run | None:
        """A run with its steps."""
        return runs.read_run(self._connection, run_id, self.stay)

    def requested_backfills(self) -> list[backfills.Known]:
        """The oldest backfills that are to be taken up."""
        return backfills.read_requested(self._connection)

    def backfill(self, backfill_id: str) -> backfills.Known | None:
        """A backfill."""
        return backfills.read_backfill(self._connection, backfill_id)

    def earlier(self, pairs: Sequence[Pair]) -> Mapping[Pair, Earlier]:
        """What current materializations were made from."""
        self._writes.flush(self._connection)
        return read_versions.read_earlier(self._connection, pairs)

    def former(self, assets: Collection[str]) -> Mapping[str, Former]:
        """The columns of what was accepted last."""
        self._writes.flush(self._connection)
        return former_columns.read_former(self._connection, assets)

    def statuses(self, catalog: Catalog, pairs: Iterable[Pair], now: datetime) -> Mapping[Pair, Status]:
        """What pairs are."""
        return read_versions.read_statuses(self._connection, catalog, pairs, now)

    def launched_keys(self, keys: Collection[DedupeKey]) -> Mapping[DedupeKey, str]:
        """The runs of some dedupe keys, with all that was written before in this transaction."""
        self._writes.flush(self._connection)
        return sensors.read_keys(self._connection, keys)

    def given_up(self, team: str, name: str) -> Sequence[Delivery]:
        """The deliveries of a reaction that were given up."""
        return reactions.read_given_up(self._connection, team, name)

    def remove_expired(self, gone: Sequence[Override]) -> None:
        """Removes overrides whose time is over."""
        limits.remove_expired(self._connection, gone)

    def stored(self, pairs: Sequence[tuple[str, str]]) -> inputs.Stored:
        """What is current of (asset, partition) pairs."""
        self._writes.flush(self._connection)
        return inputs.read_stored(self._connection, pairs)

    def judgeable(self, steps: Sequence[Step]) -> Mapping[tuple[str, int], Judgeable]:
        """What steps that judge are to judge."""
        self._writes.flush(self._connection)
        return judging.read_judgeable(self._connection, steps)

    def write(self, changes: Changes, now: datetime, *, at_once: bool = False) -> None:
        """Makes up the statements; `at_once` sends them."""
        gather(self._writes, changes, now)
        if at_once:
            self._writes.send(self._connection)

    def rehearse(self) -> None:
        """Sends what was written, and has constraints checked that wait for the commit."""
        self._writes.flush(self._connection)
        self._connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")


class PostgresStore:
    """See metadata.store.Store."""

    def __init__(self, engine: Engine, lead: Leadership) -> None:
        self._engine, self._lead = engine, lead

    @contextmanager
    def transaction(self) -> Iterator[PostgresTransaction]:
        """One transaction; all that was not sent before goes out together at its end. DeposedError when another leads meanwhile."""
        try:
            with self._engine.connect() as connection, connection.begin(), Writes() as writes:
                yield PostgresTransaction(connection, writes, self.renew)
                leadership.add_guard(writes, self._lead)
                writes.flush(connection)
        except psycopg.IntegrityError as error:
            # A leader that was frozen or cut off meets the rows of its successor before its own guard: no defect.
            with self._engine.connect() as connection:
                if leadership.is_held(connection, self._lead):
                    raise
            raise leadership.deposed(self._lead) from error

    def renew(self) -> None:
        """Keeps the lead."""
        with self._engine.begin() as connection:
            leadership.guard(connection, self._lead)


def read_cursors(connection: Connection) -> dict[str, tuple[str, str]]:
    """How far each team's stream was folded: (position, epoch)."""
    cursors = t.cursors.c
    rows = connection.execute(select(cursors.team, cursors.position, cursors.epoch))
    return {row.team: (row.position, row.epoch) for row in rows}


def _read_sequences(connection: Connection) -> dict[tuple[str, str], int]:
    sequences = t.worker_sequences.c
    rows = connection.execute(select(sequences.team, sequences.worker, sequences.acked))
    return {(row.team, row.worker): row.acked for row in rows}


def _read_workers(connection: Connection) -> list[Worker]:
    return [
        Worker(
            row.team, row.id, row.location, row.manifest_hash, tuple(row.queues), row.slots, row.busy, row.state,
            row.first_seen_at, row.last_seen_at, row.host, row.pid,
        )
        for row in connection.execute(select(t.workers))
    ]  # fmt: skip


def _read_broken(connection: Connection) -> set[tuple[str, str]]:
    locations = t.locations.c
    found = select(locations.team, locations.location).where(locations.problems.is_not(None))
    return {(row.team, row.location) for row in connection.execute(found)}
