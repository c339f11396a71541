"""Folding: what the events of an attempt's life do to its step and its outputs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.folding import counted, dispatched
from support.scheduling import (
    LEASE,
    NOW,
    asset,
    chunks,
    failure,
    live,
    manifest,
    states,
    success,
    token_of,
)

from hedgerow.manifest.model import Retry
from hedgerow.protocol import events as ev
from hedgerow.protocol.references import Reference
from hedgerow_scheduler.lifecycle.model import Attempt
from hedgerow_scheduler.lifecycle.states import AttemptState, MaterializationState, RunState


def test_a_started_attempt_is_bound_to_its_token_under_a_lease() -> None:
    world, (attempt,) = dispatched()
    world.after(seconds=1)
    world.begin(attempt)
    assert (attempt.state, attempt.worker, attempt.token) == (AttemptState.RUNNING, "w1", token_of(attempt))
    assert attempt.lease_until == world.now + LEASE
    assert attempt.step.state.value == "running"
    assert attempt.step.started_at == world.now


def test_an_attempt_that_succeeds_makes_its_outputs_current_and_its_step_succeed() -> None:
    world, (attempt,) = dispatched("x")
    world.begin(attempt)
    world.finish(attempt)
    changes, _ = world.recorded()
    assert {key: output.state for (_, key), output in changes.outputs.items()} == {
        "x": MaterializationState.CURRENT, "y": MaterializationState.CURRENT,
    }  # fmt: skip
    assert (attempt.state, attempt.step.state.value) == (AttemptState.SUCCEEDED, "succeeded")
    assert live(world.snapshot) == []


def test_a_whole_life_may_come_in_one_entry() -> None:
    world, (attempt,) = dispatched()
    world.send("sales", ev.AttemptStarted(attempt.id, token_of(attempt)), *success(attempt))
    assert attempt.step.state.value == "succeeded"


def test_an_output_keeps_what_its_event_said_and_the_steps_own_partition() -> None:
    world, (attempt,) = dispatched()
    reference = Reference("s3://lake/a", "parquet", size_bytes=7)
    world.begin(attempt)
    world.send(
        "sales",
        ev.AssetMaterialized(attempt.id, "a", token_of(attempt), "never", reference, "d1", "c1", {"rows": 3}),
    )
    output = attempt.outputs["a"]
    assert (output.reference, output.data_version, output.code_version, output.metadata) == (
        reference, "d1", "c1", {"rows": 3},
    )  # fmt: skip
    assert (output.partition, output.state) == ("", MaterializationState.CANDIDATE)


def test_an_output_of_an_asset_that_the_step_does_not_make_is_passed_over() -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)
    world.send("sales", ev.AssetMaterialized(attempt.id, "o", token_of(attempt)))
    assert attempt.outputs == {}
    assert counted(world, "stale:other_asset") == 1


def test_a_failure_waits_for_its_retry_and_discards_what_was_written() -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)
    world.send("sales", ev.AssetMaterialized(attempt.id, "a", token_of(attempt)))
    world.fail(attempt)
    changes, _ = world.recorded()
    assert [output.state for output in changes.outputs.values()] == [MaterializationState.DISCARDED]
    assert (attempt.step.state.value, attempt.step.failures) == ("retry_wait", 1)
    assert attempt.step.not_before == NOW + timedelta(seconds=10)
    assert attempt.step.error is not None


def test_the_last_failure_fails_the_step_and_everything_below() -> None:
    world, _ = dispatched("a b")
    run = next(iter(world.snapshot.runs.values()))
    for _ in range(2):
        (attempt,) = live(world.snapshot)
        world.begin(attempt)
        world.fail(attempt)
        world.after(seconds=10)
        world.beat("sales", slots=9)
        world.cycle()
    assert states(run) == ["failed", "upstream_failed"]
    assert run.state is RunState.FAILED


@pytest.mark.parametrize(
    ("reason", "step", "attempt_state"),
    [
        ("timed_out", "retry_wait", AttemptState.TIMED_OUT),
        ("bad_order", "failed", AttemptState.FAILED),
        ("check_failed", "failed", AttemptState.FAILED),
        ("interrupted", "ready", AttemptState.INTERRUPTED),
        ("runner_lost", "retry_wait", AttemptState.LOST),
        ("cancelled", "cancelled", AttemptState.CANCELLED),
    ],
)
def test_each_way_to_fail_has_its_end(reason: ev.FailureReason, step: str, attempt_state: AttemptState) -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)
    world.fail(attempt, reason)
    assert (attempt.step.state.value, attempt.state) == (step, attempt_state)


def test_an_error_that_must_not_be_retried_is_final() -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)
    world.fail(attempt, retryable=False)
    assert attempt.step.state.value == "failed"


def test_an_interrupted_attempt_costs_nothing_and_is_dispatched_again_at_once() -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)
    world.fail(attempt, "interrupted")
    step = attempt.step
    assert (step.failures, step.losses, step.deaths) == (0, 0, 0)
    assert [again.step for again in world.cycle()] == [step]


def test_a_runner_that_dies_three_times_parks_the_step() -> None:
    world, (attempt,) = dispatched()
    step = attempt.step
    for _ in range(3):
        world.begin(attempt)
        world.fail(attempt, "runner_lost")
        attempt = (world.cycle() or [attempt])[0]
    assert (step.state.value, step.deaths, step.failures) == ("poisoned", 3, 0)


def test_a_skip_is_carried_to_everything_below() -> None:
    world, (attempt,) = dispatched("a b")
    run = attempt.step.run
    world.begin(attempt)
    world.send("sales", ev.AssetMaterialized(attempt.id, "a", token_of(attempt)))
    world.send("sales", ev.AttemptSkipped(attempt.id, "nothing new", token_of(attempt)))
    assert states(run) == ["skipped", "skipped"]
    assert run.state is RunState.SUCCEEDED
    error = run.steps[0].error
    assert error is not None
    assert "nothing new" in error.message
    assert attempt.outputs["a"].state is MaterializationState.DISCARDED


def test_retries_are_those_of_the_code_that_ran_not_of_code_deployed_meanwhile() -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)
    world.send("sales", *chunks(manifest("sales", asset("a"))), worker="w2")
    assert world.snapshot.catalog.computations["a"].retry == Retry()
    world.fail(attempt)
    assert attempt.step.state.value == "retry_wait"


# -- checks ------------------------------------------------------------------------------------------------------------


def verdict(attempt: Attempt, passed: bool, key: str = "x", **more: object) -> ev.CheckEvaluated:
    return ev.CheckEvaluated(attempt.id, key, "rows", passed, token_of(attempt), **more)  # type: ignore[arg-type]


def test_a_failed_blocking_check_rejects_its_candidate_and_only_that_and_fails_the_step() -> None:
    world, (attempt,) = dispatched("x")
    token = token_of(attempt)
    world.begin(attempt)
    world.send("sales", ev.AssetMaterialized(attempt.id, "x", token), verdict(attempt, False, blocking=True))
    world.send("sales", ev.AssetMaterialized(attempt.id, "y", token), failure(attempt, "check_failed"))
    changes, _ = world.recorded()
    assert {key: output.state.value for (_, key), output in changes.outputs.items()} == {
        "x": "rejected", "y": "current",
    }  # fmt: skip
    assert attempt.step.state.value == "failed"
    assert [record.verdict.passed for record in changes.checks] == [False]


def test_downstream_of_a_blocked_asset_fails_without_starting() -> None:
    world, (attempt,) = dispatched("a b")
    world.begin(attempt)
    world.send(
        "sales", ev.AssetMaterialized(attempt.id, "a", token_of(attempt)), verdict(attempt, False, "a", blocking=True)
    )
    world.fail(attempt, "check_failed")
    assert states(attempt.step.run) == ["failed", "upstream_failed"]


@pytest.mark.parametrize("more", [{"blocking": False}, {"blocking": True, "severity": "warn"}])
def test_a_check_that_does_not_block_leaves_its_candidate_alone(more: dict[str, object]) -> None:
    world, (attempt,) = dispatched("x")
    world.begin(attempt)
    world.send("sales", ev.AssetMaterialized(attempt.id, "x", token_of(attempt)), verdict(attempt, False, **more))
    world.send("sales", ev.AttemptSucceeded(attempt.id, token_of(attempt)))
    assert attempt.outputs["x"].state is MaterializationState.CURRENT
    assert attempt.step.state.value == "succeeded"


def test_a_verdict_on_an_asset_that_the_step_does_not_make_is_passed_over() -> None:
    world, (attempt,) = dispatched("x")
    world.begin(attempt)
    world.send("sales", verdict(attempt, False, "o", blocking=True))
    assert world.recorded()[0].checks == []
    assert attempt.rejected == set()
    assert counted(world, "stale:other_asset") == 1
