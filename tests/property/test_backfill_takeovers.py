"""Backfills in the leader: whatever cycle is lost, by a crash before its commit, nothing is launched twice and nothing is left out."""

from __future__ import annotations

import copy
from itertools import count
from random import Random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from support.backfilling import NOW, catalog_over_teams, dep, tracks_of
from support.scheduling import asset, uuid

from hedgerow.partitions import daily, mapping, monthly
from hedgerow_scheduler.lifecycle.backfills import ENDED_BACKFILLS, BackfillState, PartitionState
from hedgerow_scheduler.lifecycle.changes import Changes, Effects
from hedgerow_scheduler.lifecycle.model import Run
from hedgerow_scheduler.lifecycle.states import ENDED, StepState
from hedgerow_scheduler.metadata.backfills import Known, StoredBackfill
from hedgerow_scheduler.metadata.commands import PendingCommand
from hedgerow_scheduler.partitions.states import from_chunks
from hedgerow_scheduler.planning.backfill_request import BackfillRequest, settings_of
from hedgerow_scheduler.planning.backfill_tracks import Track
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.service.backfills import Backfills
from hedgerow_scheduler.service.takeover import take_up_runs

DAYS = daily("2024-02-20")
WORLD = catalog_over_teams(
    asset("raw", partitions=DAYS),
    asset("clean", dep("raw"), dep("clean", mapping.window(-1, -1)), partitions=DAYS),
    asset("months", dep("clean"), partitions=monthly("2024-02")),
)
ID = uuid(7)


class Database:
    """What has been committed of one backfill and its runs; it is also the transaction that a leader reads from."""

    def __init__(self, **request: Any) -> None:
        asked = BackfillRequest(("raw+",), all_partitions=True, max_partitions_per_run=5, **request)
        self.row = StoredBackfill(
            id=ID, state=BackfillState.REQUESTED, request=asked, settings=settings_of(asked), passed=not asked.canary, author="",
            reason="", problem=None, created_at=NOW, started_at=None, ended_at=None, since=NOW, worked_ms=0,
        )  # fmt: skip
        self.tracks = tracks_of(WORLD, per_run=5)
        self.total = sum(len(track.sets.all()) for track in self.tracks)
        self.chunks = [track.sets.chunks() for track in self.tracks]
        self.runs: dict[str, Run] = {}

    def known(self) -> Known:
        tracks = tuple(
            Track(old.name, old.team, old.assets, old.partitions, old.per_run, from_chunks(PartitionState, chunks))
            for old, chunks in zip(self.tracks, self.chunks, strict=True)
        )
        return Known(self.row, tracks)

    def requested_backfills(self) -> list[Known]:
        return [self.known()] if self.row.state is BackfillState.REQUESTED else []

    def backfill(self, backfill_id: str) -> Known | None:
        return self.known()

    def commit(self, changes: Changes, live: dict[str, Run]) -> None:
        for change in changes.backfills.backfills:
            assert change.before == self.row.state
            fields = {name: getattr(change, name) for name in ("state", "settings", "passed", "problem", "ended_at")}
            self.row = msgspec.structs.replace(self.row, **fields)
        for chunk in changes.backfills.chunks:
            self.chunks[chunk.track][chunk.chunk] = chunk.body
        for run in [*changes.planned_runs, *changes.runs.values(), *live.values()]:
            self.runs[run.id] = copied(run)

    def launched(self) -> list[tuple[str, str | None]]:
        return [(step.computation, step.partition) for run in self.runs.values() for step in run.steps]


def copied(run: Run) -> Run:
    """A run as its rows tell."""
    fresh = Run(run.id, run.state, run.created_at, backfill_id=run.backfill_id)
    fresh.steps = [
        msgspec.structs.replace(copy.copy(step), run=fresh, ticket=None, holding=None, waits=None) for step in run.steps
    ]
    return fresh


class Leader:
    """One term."""

    def __init__(self, database: Database, ids: Any) -> None:
        self.database = database
        self.snapshot = Snapshot(WORLD)
        live = [copied(run) for run in database.runs.values() if any(step.state not in ENDED for step in run.steps)]
        take_up_runs(self.snapshot, live, {}, NOW)
        taken_up = [] if database.row.state is BackfillState.REQUESTED else [database.known()]
        known = [] if database.row.state in ENDED_BACKFILLS else taken_up
        self.backfills = Backfills(self.snapshot, known, lambda: uuid(next(ids)), NOW)

    def ready(self) -> list[Any]:
        return [step for run in self.snapshot.runs.values() for step in run.steps if step.state is StepState.READY]

    def commit(self) -> None:
        self.backfills.store()
        changes, self.snapshot.changes = self.snapshot.changes, Changes()
        self.snapshot.effects = Effects()
        self.database.commit(changes, self.snapshot.runs)


def live_through(database: Database, seed: int, outcomes: list[StepState]) -> None:
    rng, ids = Random(seed), count(100)
    leader = Leader(database, ids)
    for _ in range(2_000):
        leader.backfills.take_requested(database, NOW)  # type: ignore[arg-type]
        what = rng.choice(["turn", "turn", "command"])
        if what == "command":
            kind = rng.choice(["pause", "resume", "resume"])
            leader.backfills.apply(database, PendingCommand(1, f"{kind}_backfill", {"backfill_id": ID}, ""), NOW)  # type: ignore[arg-type]
        early = rng.random() < 0.5
        if early:
            leader.backfills.turn(NOW)
        for step in leader.ready()[: rng.randrange(10)]:
            to = rng.choice(outcomes)
            if to is StepState.CANCELLED:
                leader.snapshot.cancel_step(step, NOW, "by ann")
            elif step.state is StepState.READY:
                leader.snapshot.move(step, to, NOW)
        if not early:
            leader.backfills.turn(NOW)
        if rng.random() < 0.1:
            leader = Leader(database, ids)  # all of this cycle is lost
        else:
            leader.commit()
        if database.row.state in ENDED_BACKFILLS:
            return
        if rng.random() < 0.1:
            leader = Leader(database, ids)
    raise AssertionError("it does not come to its end")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0, 3]))
def test_nothing_is_launched_twice_or_left_out_whatever_is_lost(seed: int, canary: int) -> None:
    database = Database(canary=canary, abort_threshold=1.0 if canary else None)
    live_through(database, seed, [StepState.SUCCEEDED])
    assert database.row.state is BackfillState.SUCCEEDED
    launched = database.launched()
    assert len(launched) == len(set(launched)) == database.total


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_what_is_stored_says_of_each_partition_how_its_step_ended(seed: int) -> None:
    database = Database()
    live_through(database, seed, [StepState.SUCCEEDED] * 5 + [StepState.FAILED, StepState.SKIPPED, StepState.CANCELLED])
    launched = database.launched()
    assert len(launched) == len(set(launched))
    ends = {(step.computation, step.partition): step.state for run in database.runs.values() for step in run.steps}
    names = {StepState.SUCCEEDED: PartitionState.DONE}
    for track in database.known().tracks:
        for ordinal in track.sets.all():
            state = track.sets.state_of(ordinal)
            step = ends.get((track.name, track.space.key(ordinal)))
            if step is not None:
                assert state == names.get(step, step.value)
            else:
                assert state in (PartitionState.UPSTREAM_FAILED, PartitionState.SKIPPED)
