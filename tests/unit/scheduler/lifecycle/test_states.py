"""The table of states: exactly its arrows can be taken, and the state of a run follows from its steps."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scheduling import NOW, asset, catalog_of, manifest, planned, run_of

from hedgerow_scheduler.lifecycle.states import (
    ENDED,
    HELD,
    LIVE,
    RETRYABLE,
    STEP_ARROWS,
    RunState,
    StepState,
    may_move,
    run_state_of,
)
from hedgerow_scheduler.planning.snapshot import Snapshot

CATALOG = catalog_of(manifest("sales", asset("a"), asset("b")))
S = StepState


@pytest.mark.parametrize(("before", "after"), list(product(StepState, StepState)), ids=lambda state: str(state.value))
def test_a_step_takes_an_arrow_exactly_when_the_table_has_it(before: StepState, after: StepState) -> None:
    snapshot = Snapshot(CATALOG)
    run = run_of(planned(CATALOG, "*"))
    snapshot.start_run(run, NOW)
    step, other = run.steps
    step.state = before
    run.counts[S.READY] -= 1
    run.counts[before] += 1
    step.attempt_id = "attempt"
    if before in HELD:
        snapshot.held[("sales", "sales", "default")] = 1
        snapshot.lock(step, "attempt")
    if (before, after) not in STEP_ARROWS:
        assert not may_move(before, after)
        with pytest.raises(AssertionError, match=f"no arrow {before} -> {after}"):
            snapshot.move(step, after, NOW)
        assert step.state is before
        return
    assert may_move(before, after)
    snapshot.move(step, after, NOW)
    assert step.state is after
    assert dict(+run.counts) == ({after: 1, S.READY: 1} if after is not S.READY else {S.READY: 2})
    assert snapshot.held[("sales", "sales", "default")] == (1 if after in HELD else 0)
    assert (step.ended_at == NOW) == (after in ENDED)
    assert other.state is S.READY
    assert list(snapshot.changes.steps.values()) == [step]


def test_every_state_is_either_ended_or_live() -> None:
    assert frozenset(StepState) == ENDED | LIVE
    assert not ENDED & LIVE
    assert HELD < LIVE
    assert RETRYABLE < ENDED


def test_no_state_has_an_arrow_to_itself_and_each_arrow_says_who_moves_it() -> None:
    assert all(before is not after for before, after in STEP_ARROWS)
    movers = {"planning", "fold", "admission", "recovery", "command"}
    assert {text.partition(":")[0] for text in STEP_ARROWS.values()} <= movers


def test_every_state_can_be_reached_from_waiting_and_every_live_one_can_end() -> None:
    def reachable(start: StepState) -> set[StepState]:
        found, edge = {start}, [start]
        while edge:
            here = edge.pop()
            fresh = {after for before, after in STEP_ARROWS if before is here} - found
            found |= fresh
            edge.extend(fresh)
        return found

    assert reachable(S.WAITING) == set(StepState)
    assert all(S.SUCCEEDED in reachable(state) for state in LIVE)


def test_what_succeeded_or_was_skipped_stays_so() -> None:
    assert not [after for before, after in STEP_ARROWS if before in (S.SUCCEEDED, S.SKIPPED)]


def test_what_can_be_retried_leads_back_to_ready_and_waiting_only() -> None:
    for state in RETRYABLE:
        assert {after for before, after in STEP_ARROWS if before is state} == {S.READY, S.WAITING}


def test_every_live_state_without_an_attempt_can_be_cancelled_at_once() -> None:
    assert all(may_move(state, S.CANCELLED) for state in LIVE)


@pytest.mark.parametrize(
    ("states", "cancel", "expected"),
    [
        ({}, False, RunState.SUCCEEDED),
        ({}, True, RunState.CANCELLED),
        ({S.SUCCEEDED: 3}, False, RunState.SUCCEEDED),
        ({S.SUCCEEDED: 3, S.SKIPPED: 1}, False, RunState.SUCCEEDED),
        ({S.SUCCEEDED: 3, S.WAITING: 1}, False, RunState.RUNNING),
        ({S.FAILED: 3, S.RETRY_WAIT: 1}, False, RunState.RUNNING),
        ({S.CANCELLED: 3, S.RUNNING: 1}, True, RunState.RUNNING),
        ({S.SUCCEEDED: 1, S.FAILED: 1}, False, RunState.FAILED),
        ({S.SUCCEEDED: 1, S.POISONED: 1}, False, RunState.FAILED),
        ({S.SUCCEEDED: 1, S.UPSTREAM_FAILED: 1}, False, RunState.FAILED),
        ({S.CANCELLED: 1, S.FAILED: 1}, True, RunState.FAILED),
        ({S.CANCELLED: 1, S.SUCCEEDED: 1}, False, RunState.CANCELLED),
        ({S.SUCCEEDED: 1}, True, RunState.CANCELLED),
        ({S.SUCCEEDED: 1, S.READY: 0}, False, RunState.SUCCEEDED),
    ],
)
def test_the_state_of_a_run_follows_from_its_steps(
    states: dict[StepState, int], cancel: bool, expected: RunState
) -> None:
    assert run_state_of(states, cancel) is expected


@given(st.dictionaries(st.sampled_from(StepState), st.integers(0, 3)), st.booleans())
def test_a_run_is_running_exactly_while_a_step_lives_and_never_hides_a_failure(
    states: dict[StepState, int], cancel: bool
) -> None:
    state = run_state_of(states, cancel)
    some = {each for each, count in states.items() if count}
    assert (state is RunState.RUNNING) == bool(some & LIVE)
    if not some & LIVE:
        assert (state is RunState.FAILED) == bool(some & {S.FAILED, S.POISONED, S.UPSTREAM_FAILED})
