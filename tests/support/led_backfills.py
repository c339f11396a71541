"""Backfills in the leader, cycle by cycle: what each commits is all that the next leader knows."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from hedgerow.partitions import daily, mapping, monthly
from hedgerow_scheduler.lifecycle.backfills import ENDED_BACKFILLS, BackfillState, PartitionState
from hedgerow_scheduler.lifecycle.changes import Changes, Effects
from hedgerow_scheduler.lifecycle.model import Run, Step
from hedgerow_scheduler.lifecycle.states import ENDED, StepState
from hedgerow_scheduler.metadata.backfills import Known, StoredBackfill
from hedgerow_scheduler.metadata.commands import PendingCommand
from hedgerow_scheduler.partitions.states import from_chunks
from hedgerow_scheduler.planning.backfill_request import BackfillRequest, settings_of
from hedgerow_scheduler.planning.backfill_tracks import Track
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.service.backfills import Backfills
from hedgerow_scheduler.service.takeover import take_up_runs
from support.backfilling import NOW, catalog_over_teams, dep, tracks_of
from support.scheduling import asset, uuid

DAYS = daily("2024-02-20")
WORLD = catalog_over_teams(
    asset("raw", partitions=DAYS),
    asset("clean", dep("raw"), dep("clean", mapping.window(-1, -1)), partitions=DAYS),
    asset("months", dep("clean"), partitions=monthly("2024-02")),
)
ID = uuid(7)
PER_RUN = 5


class Database:
    """What has been committed of one backfill and its runs; it is also the transaction that a leader reads from."""

    def __init__(self, world: Catalog = WORLD, **request: Any) -> None:
        self.world = world
        asked = BackfillRequest(("raw+",), all_partitions=True, max_partitions_per_run=PER_RUN, **request)
        self.row = StoredBackfill(
            id=ID, state=BackfillState.REQUESTED, request=asked, settings=settings_of(asked), passed=not asked.canary, author="",
            reason="", problem=None, created_at=NOW, started_at=None, ended_at=None, since=NOW, worked_ms=0,
        )  # fmt: skip
        self.tracks = tracks_of(world, per_run=PER_RUN)
        self.total = sum(len(track.sets.all()) for track in self.tracks)
        self.chunks = [track.sets.chunks() for track in self.tracks]
        self.runs: dict[str, Run] = {}

    def known(self) -> Known:
        """The backfill as a leader reads it."""
        tracks = tuple(
            Track(old.name, old.team, old.assets, old.partitions, old.per_run, from_chunks(PartitionState, chunks))
            for old, chunks in zip(self.tracks, self.chunks, strict=True)
        )
        return Known(self.row, tracks)

    def requested_backfills(self) -> list[Known]:
        """As of a transaction."""
        return [self.known()] if self.row.state is BackfillState.REQUESTED else []

    def backfill(self, backfill_id: str) -> Known | None:
        """As of a transaction."""
        return self.known()

    def commit(self, changes: Changes, live: dict[str, Run]) -> None:
        """What a cycle has changed, and the runs as they are."""
        for change in changes.backfills.backfills:
            assert change.before == self.row.state
            fields = {name: getattr(change, name) for name in ("state", "settings", "passed", "problem", "ended_at")}
            self.row = msgspec.structs.replace(self.row, **fields)
        for chunk in changes.backfills.chunks:
            self.chunks[chunk.track][chunk.chunk] = chunk.body
        for run in [*changes.planned_runs, *changes.runs.values(), *live.values()]:
            self.runs[run.id] = copied(run)

    def launched(self) -> list[tuple[str, str | None]]:
        """The partitions of all steps there are."""
        return [(step.computation, step.partition) for run in self.runs.values() for step in run.steps]


def copied(run: Run) -> Run:
    """A run as its rows tell."""
    fresh = Run(run.id, run.state, run.created_at, backfill_id=run.backfill_id)
    fresh.steps = [
        msgspec.structs.replace(copy.copy(step), run=fresh, ticket=None, holding=None, waits=None) for step in run.steps
    ]
    return fresh


class Leader:
    """One term, from `now` on."""

    def __init__(self, database: Database, ids: Iterator[int], now: datetime = NOW) -> None:
        self.database, self.now = database, now
        self.snapshot = Snapshot(database.world)
        live = [copied(run) for run in database.runs.values() if any(step.state not in ENDED for step in run.steps)]
        take_up_runs(self.snapshot, live, {}, now)
        taken_up = [] if database.row.state is BackfillState.REQUESTED else [database.known()]
        known = [] if database.row.state in ENDED_BACKFILLS else taken_up
        self.backfills = Backfills(self.snapshot, known, lambda: uuid(next(ids)), now)

    def turn(self) -> None:
        """Takes up what is requested, and launches."""
        self.backfills.take_requested(self.database, self.now)  # type: ignore[arg-type]
        self.backfills.turn(self.now)

    def ask(self, kind: str, **more: Any) -> dict[str, Any] | None:
        """Does what a command says."""
        command = PendingCommand(1, f"{kind}_backfill", {"backfill_id": ID, **more}, "ann")
        return self.backfills.apply(self.database, command, self.now)  # type: ignore[arg-type]

    def ready(self) -> list[Step]:
        """The steps that could start."""
        return [step for run in self.snapshot.runs.values() for step in run.steps if step.state is StepState.READY]

    def commit(self) -> None:
        """The end of a cycle."""
        self.backfills.store()
        changes, self.snapshot.changes = self.snapshot.changes, Changes()
        self.snapshot.effects = Effects()
        self.database.commit(changes, self.snapshot.runs)
