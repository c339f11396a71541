"""Backfills of what is judged by steps of their own: a partition is made when it has passed."""

from __future__ import annotations

from itertools import count

from support.led_backfills import DAYS, PER_RUN, Database, Leader
from support.scheduling import asset, catalog_of, manifest

from hedgerow.manifest.model import Check
from hedgerow_scheduler.lifecycle.backfills import PartitionState
from hedgerow_scheduler.lifecycle.states import StepState
from hedgerow_scheduler.planning.backfill_tracks import Track

FAILED, SUCCEEDED = StepState.FAILED, StepState.SUCCEEDED
WORLD = catalog_of(
    manifest(
        "sales",
        asset("raw", partitions=DAYS),
        asset("clean", "raw", partitions=DAYS),
        checks=(Check("sound", "raw", blocking=True, own_step=True),),
    )
)


def end(leader: Leader, computation: str, how: StepState, most: int = PER_RUN) -> int:
    """Ends what is ready of a computation, at most so many; how many."""
    ready = [step for step in leader.ready() if step.computation == computation][:most]
    for step in ready:
        leader.snapshot.move(step, how, leader.now)
    leader.turn()
    leader.commit()
    return len(ready)


def counts(leader: Leader, number: int) -> dict[str, int]:
    """How many partitions of a track stand where."""
    (live,) = leader.backfills._live.values()
    track: Track = live.backfill.tracks[number]
    return {state.value: found for state, found in track.sets.counts().items() if found}


def test_a_partition_is_done_when_it_has_passed_failed_when_it_has_not_and_out_again_when_that_is_retried() -> None:
    database = Database(WORLD, max_runs=1)
    leader = Leader(database, count(100))
    leader.turn()
    leader.commit()
    assert end(leader, "raw", SUCCEEDED) == PER_RUN
    assert counts(leader, 0)[PartitionState.LAUNCHED.value] == PER_RUN
    assert end(leader, "raw:checks", SUCCEEDED, most=3) == 3
    assert end(leader, "raw:checks", FAILED) == 2
    before = counts(leader, 0)
    assert (before[PartitionState.DONE.value], before[PartitionState.FAILED.value]) == (3, 2)
    assert counts(leader, 1)[PartitionState.UPSTREAM_FAILED.value] == 2
    run = next(run for run in database.runs.values() if any(step.state is FAILED for step in run.steps))
    leader.snapshot.retry_steps(run, set(range(len(run.steps))), leader.now)
    leader.turn()
    assert PartitionState.FAILED.value not in counts(leader, 0)
    while end(leader, "raw:checks", SUCCEEDED) == 0:
        end(leader, "clean", SUCCEEDED)
    assert counts(leader, 0)[PartitionState.DONE.value] == PER_RUN


def test_a_partition_whose_step_fails_is_failed_though_it_was_not_judged() -> None:
    leader = Leader(Database(WORLD, max_runs=1), count(100))
    leader.turn()
    leader.commit()
    assert end(leader, "raw", FAILED) == PER_RUN
    assert counts(leader, 0)[PartitionState.FAILED.value] == PER_RUN
