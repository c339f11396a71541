"""Backfills in the leader: whatever cycle is lost, by a crash before its commit, nothing is launched twice and nothing is left out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from support.backfilling import NOW
from support.led_backfills import Database, Leader

from hedgerow_scheduler.lifecycle.backfills import ENDED_BACKFILLS, BackfillState, PartitionState
from hedgerow_scheduler.lifecycle.states import StepState


def live_through(
    database: Database, seed: int, outcomes: list[StepState], commands: Sequence[str] = ("pause", "resume", "resume")
) -> None:
    rng, ids = Random(seed), count(seed % 1_000_000 * 1_000)
    leader = Leader(database, ids)
    for _ in range(2_000):
        if rng.random() < 0.3:
            leader.ask(rng.choice(commands))
        early = rng.random() < 0.5
        if early:
            leader.turn()
        for step in leader.ready()[: rng.randrange(10)]:
            to = rng.choice(outcomes)
            if to is StepState.CANCELLED:
                leader.snapshot.cancel_step(step, NOW, "by ann")
            elif step.state is StepState.READY:
                leader.snapshot.move(step, to, NOW)
        if not early:
            leader.turn()
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


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_however_often_it_is_retried_each_partition_is_made_once(seed: int) -> None:
    database = Database()
    failing = [StepState.SUCCEEDED] * 5 + [StepState.FAILED, StepState.CANCELLED]
    live_through(database, seed, failing, ["pause", "resume", "resume", "retry", "retry"])
    for again in range(1, 50):
        if database.row.state is BackfillState.SUCCEEDED:
            break
        leader = Leader(database, count(10**12 + again * 1_000))
        assert leader.ask("retry")
        leader.commit()
        live_through(database, seed + again, failing if again < 3 else [StepState.SUCCEEDED], ["resume", "retry"])
    made = [
        (step.computation, step.partition)
        for run in database.runs.values()
        for step in run.steps
        if step.state is StepState.SUCCEEDED
    ]
    assert len(made) == len(set(made)) == database.total


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["30/m", "3/s", "20/s"]))
def test_no_window_holds_more_launches_than_the_rate_and_its_burst(seed: int, rate: str) -> None:
    rng, database, ids = Random(seed), Database(rate=rate), count(100)
    per_s = {"30/m": 0.5, "3/s": 3.0, "20/s": 20.0}[rate]
    leader = Leader(database, ids)
    launches: list[tuple[float, int]] = []
    for _ in range(200):
        before = len(database.launched())
        leader.turn()
        for step in leader.ready():
            leader.snapshot.move(step, StepState.SUCCEEDED, leader.now)
        leader.commit()
        launches.append(((leader.now - NOW).total_seconds(), len(database.launched()) - before))
        now = leader.now + timedelta(seconds=rng.choice([0.01, 0.3, 1.0, 7.0]))
        if rng.random() < 0.05:
            leader = Leader(database, ids, now)
        leader.now = now
        if database.row.state is BackfillState.SUCCEEDED:
            break
    for start, (begin, _) in enumerate(launches):
        total = 0
        for end, launched in launches[start:]:
            total += launched
            assert total <= max(1.0, per_s) + per_s * (end - begin) + 1e-6
