"""A world whose cycles are recorded in a real database, as the leader records them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, text

from hedgerow.manifest.model import Retry
from hedgerow_scheduler.lifecycle.changes import Changes, Effects
from hedgerow_scheduler.lifecycle.model import Attempt, Run
from hedgerow_scheduler.metadata import commands, leadership, runs
from hedgerow_scheduler.metadata.postgres_store import PostgresTransaction
from hedgerow_scheduler.metadata.recording import record
from hedgerow_scheduler.metadata.writes import Writes
from hedgerow_scheduler.planning.request import RunRequest
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.service.requests import take_commands, take_requested_runs
from hedgerow_scheduler.service.run_commands import Begun
from hedgerow_scheduler.service.takeover import snapshot_of
from support.scheduling import (
    LEASE,
    START_TIMEOUT,
    World,
    asset,
    manifest,
    multi,
)

SALES = manifest(
    "sales",
    asset("a", retry=Retry(1, delay_ms=60_000, jitter=False)),
    asset("b", "a"),
    multi(("x", "y")),
    asset("p", config_schema={"type": "object"}),
    asset("q"),
)


class Recorded(World):
    """A world whose cycles are recorded, as the leader records them."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.begun: dict[int, Begun] = {}
        with engine.begin() as connection:
            self.now = leadership.read_time(connection)

    def cycle_recorded(self) -> list[Attempt]:
        """A whole cycle, recorded in one transaction."""
        with self.engine.begin() as connection:
            transaction = PostgresTransaction(connection, Writes())
            take_requested_runs(transaction, self.snapshot, self.now)
            take_commands(transaction, self.snapshot, self.now, self.begun)
            fresh = self.cycle()
            self.record(connection)
        return fresh

    def record(self, connection: Connection) -> None:
        """What changed."""
        self.snapshot.effects = Effects()
        changes, self.snapshot.changes = self.snapshot.changes, Changes()
        record(connection, changes, self.now)

    def request(self, *selection: str, **more: Any) -> Run:
        """A run as the API asks for it."""
        with self.engine.begin() as connection:
            run_id, _ = runs.request_run(connection, RunRequest(selection, **more), {}, "ann")
        self.cycle_recorded()
        return self.snapshot.runs[run_id]

    def command(self, kind: str, run: Run, **body: Any) -> None:
        """A command as the API writes it."""
        with self.engine.begin() as connection:
            commands.write(connection, kind, {"run_id": run.id, **body}, "ann")
        self.cycle_recorded()

    def read_again(self) -> Snapshot:
        """What the next leader would read."""
        with self.engine.begin() as connection:
            state = PostgresTransaction(connection, Writes()).state(START_TIMEOUT)
            return snapshot_of(state, self.now, LEASE)


def rows(engine: Engine, statement: str) -> list[tuple[Any, ...]]:
    with engine.begin() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def tamper(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))
