"""The snapshot: what a step's move takes with it, how a run ends, is cancelled and is taken up again."""

from __future__ import annotations

import gc
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scheduling import NOW, World, asset, live, manifest, multi, planned, run_of, states, token_of

from hedgerow.manifest.model import Retry
from hedgerow.protocol import events as ev
from hedgerow_scheduler.lifecycle.model import Run, Step
from hedgerow_scheduler.lifecycle.states import ENDED, AttemptState, RunState, StepState
from hedgerow_scheduler.planning.snapshot import Snapshot

CHAIN = manifest("sales", asset("a"), asset("b", "a"), asset("c", "b"), asset("z"))
DIAMOND = manifest("sales", asset("top"), asset("left", "top"), asset("right", "top"), asset("bottom", "left", "right"))
S = StepState


def held(world: World) -> dict[tuple[str, str, str], int]:
    return {queue: count for queue, count in world.snapshot.held.items() if count}


def test_a_new_run_has_its_first_steps_ready_and_the_others_waiting() -> None:
    run = World(CHAIN).start("a b c")
    assert states(run) == ["ready", "waiting", "waiting"]
    assert [step.waiting_on for step in run.steps] == [0, 1, 1]
    assert run.state is RunState.RUNNING
    assert run.steps[0].ready_at == NOW


def test_the_planned_run_is_to_be_recorded_as_a_whole() -> None:
    world = World(CHAIN)
    run = world.start("a b")
    changes, _ = world.recorded()
    assert changes.planned_runs == [run]
    assert changes.is_empty() is False
    assert world.recorded()[0].is_empty()


def test_a_run_without_steps_succeeds_at_once() -> None:
    world = World(CHAIN)
    run = run_of(())
    world.snapshot.start_run(run, NOW)
    assert (run.state, run.ended_at) == (RunState.SUCCEEDED, NOW)
    assert world.snapshot.runs == {}


def test_a_chain_goes_on_link_by_link_until_the_run_has_succeeded() -> None:
    world = World(CHAIN)
    world.beat("sales")
    run = world.start("a b c")
    for expected in (["a"], ["b"], ["c"]):
        attempts = world.cycle()
        assert [attempt.step.computation for attempt in attempts] == expected
        assert held(world) == {("sales", "sales", "default"): 1}
        world.begin(*attempts)
        world.finish(*attempts)
    assert states(run) == ["succeeded"] * 3
    assert run.state is RunState.SUCCEEDED
    assert (world.snapshot.runs, live(world.snapshot), held(world), world.snapshot.locks) == ({}, [], {}, {})


def ended(world: World) -> Run:
    """A run of one step, brought to its end."""
    run = world.start("z")
    world.snapshot.move(run.steps[0], S.SUCCEEDED, world.now)
    return run


def test_runs_that_are_over_and_recorded_give_their_memory_back_without_a_search_for_cycles() -> None:
    world = World(CHAIN)
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(each, Step) for each in gc.get_objects())
        for _ in range(20):
            ended(world)
            world.recorded()
        assert sum(isinstance(each, Step) for each in gc.get_objects()) - before <= 1
    finally:
        gc.enable()


def test_a_run_that_is_over_and_not_yet_recorded_keeps_its_steps() -> None:
    world = World(CHAIN)
    runs = [ended(world), ended(world)]
    assert [states(run) for run in runs] == [["succeeded"]] * 2
    assert world.recorded()[0].planned_runs == runs


def test_a_step_waits_for_all_of_its_upstream() -> None:
    world = World(DIAMOND)
    world.beat("sales", slots=4)
    run = world.start("*")
    (top,) = world.cycle()
    world.begin(top)
    world.finish(top)
    left, right = world.cycle()
    world.begin(left, right)
    world.finish(left)
    assert world.cycle() == []
    world.finish(right)
    assert [attempt.step.computation for attempt in world.cycle()] == ["bottom"]
    assert run.steps[-1].state is S.DISPATCHED


def test_a_failure_reaches_everything_below_and_says_which_step_it_was() -> None:
    world = World(CHAIN)
    world.beat("sales")
    run = world.start("a b c z")
    a, _ = world.cycle()
    world.begin(a)
    world.fail(a)
    by_name = {step.computation: step for step in run.steps}
    assert [by_name[name].state.value for name in "abc"] == ["failed", "upstream_failed", "upstream_failed"]
    error = by_name["b"].error
    assert error is not None
    assert (error.code, "(a) ended as failed" in error.message) == ("HR-Q021", True)
    assert run.state is RunState.RUNNING  # z is still out


def test_a_skip_reaches_everything_below_and_is_no_failure() -> None:
    world = World(CHAIN)
    run = world.start("a b c")
    world.snapshot.move(run.steps[0], S.SKIPPED, NOW)
    assert states(run) == ["skipped"] * 3
    assert run.state is RunState.SUCCEEDED


def test_a_cancellation_reaches_everything_below() -> None:
    world = World(CHAIN)
    run = world.start("a b c")
    world.snapshot.cancel_step(run.steps[0], NOW, "by ann")
    assert states(run) == ["cancelled"] * 3
    assert run.state is RunState.CANCELLED
    error = run.steps[0].error
    assert error is not None
    assert (error.code, "by ann" in error.message) == ("HR-Q020", True)


def test_the_end_of_a_very_long_chain_is_carried_down_without_recursion() -> None:
    length = 3000
    made = [asset("n0000")] + [asset(f"n{number:04}", f"n{number - 1:04}") for number in range(1, length)]
    world = World(manifest("sales", *made))
    run = world.start("*")
    world.snapshot.move(run.steps[0], S.FAILED, NOW)
    assert run.counts[S.UPSTREAM_FAILED] == length - 1
    assert run.state is RunState.FAILED


def test_an_arrow_that_is_not_in_the_table_is_a_defect_and_changes_nothing() -> None:
    world = World(CHAIN)
    run = world.start("a b c")
    world.recorded()
    with pytest.raises(AssertionError, match="no arrow ready -> running"):
        world.snapshot.move(run.steps[0], S.RUNNING, NOW)
    assert states(run) == ["ready", "waiting", "waiting"]
    assert world.recorded()[0].is_empty()


def test_a_multi_asset_step_locks_each_of_its_assets_in_its_partition() -> None:
    world = World(manifest("sales", multi(("x", "y"))))
    world.beat("sales")
    world.start("*")
    (attempt,) = world.cycle()
    assert world.snapshot.locks == {("x", ""): attempt.id, ("y", ""): attempt.id}
    world.begin(attempt)
    world.finish(attempt)
    assert world.snapshot.locks == {}


# -- retries and timers ------------------------------------------------------------------------------------------------


def test_a_retry_comes_when_its_time_has_come_and_not_before() -> None:
    world = World(manifest("sales", asset("a", retry=Retry(1, delay_ms=10_000, jitter=False))))
    world.beat("sales")
    run = world.start("a")
    (first,) = world.cycle()
    world.begin(first)
    world.fail(first)
    assert states(run) == ["retry_wait"]
    assert world.snapshot.next_timer() == NOW + timedelta(seconds=10)
    world.after(seconds=9.9)
    assert world.cycle() == []
    world.after(seconds=0.1)
    (second,) = world.cycle()
    assert (second.number, second.step is first.step, world.snapshot.next_timer()) == (2, True, None)


def test_a_timer_of_a_step_that_was_cancelled_meanwhile_does_nothing() -> None:
    world = World(manifest("sales", asset("a", retry=Retry(1, delay_ms=10_000, jitter=False)), asset("b")))
    world.beat("sales")
    run = world.start("a b")
    a, _ = world.cycle()
    world.begin(a)
    world.fail(a)
    world.snapshot.cancel_step(run.steps[0], world.now, "on request")
    world.after(minutes=1)
    assert world.cycle() == []
    assert states(run) == ["cancelled", "dispatched"]


# -- people ------------------------------------------------------------------------------------------------------------


def failed_chain() -> tuple[World, Run]:
    world = World(CHAIN)
    world.beat("sales")
    run = world.start("a b c")
    (a,) = world.cycle()
    world.begin(a)
    world.finish(a)
    (b,) = world.cycle()
    world.begin(b)
    world.fail(b)
    assert states(run) == ["succeeded", "failed", "upstream_failed"]
    assert run.state is RunState.FAILED
    return world, run


def test_a_retry_takes_up_what_failed_and_what_failed_for_it_but_not_what_succeeded() -> None:
    world, run = failed_chain()
    assert world.snapshot.retry_steps(run, {1}, world.now) == 2
    assert states(run) == ["succeeded", "ready", "waiting"]
    assert (run.state, run.ended_at) == (RunState.RUNNING, None)
    (b,) = world.cycle()
    assert (b.step.computation, b.number) == ("b", 2)
    world.begin(b)
    world.finish(b)
    (c,) = world.cycle()
    world.begin(c)
    world.finish(c)
    assert run.state is RunState.SUCCEEDED
    assert run.id not in world.snapshot.runs


def test_a_retry_of_a_step_below_takes_up_the_failure_above_it_as_well() -> None:
    world, run = failed_chain()
    assert world.snapshot.retry_steps(run, {2}, world.now) == 2
    assert states(run) == ["succeeded", "ready", "waiting"]


def test_a_retry_gives_the_budgets_anew() -> None:
    world, run = failed_chain()
    step = run.steps[1]
    step.failures, step.losses, step.deaths = 3, 5, 2
    world.snapshot.retry_steps(run, {1}, world.now)
    assert (step.failures, step.losses, step.deaths, step.attempt) == (0, 0, 0, 1)


def test_a_retry_with_nothing_to_take_up_leaves_an_ended_run_ended() -> None:
    world = World(CHAIN)
    run = world.start("a")
    run.cancel_requested = True
    world.snapshot.move(run.steps[0], S.SUCCEEDED, NOW)
    assert run.state is RunState.CANCELLED
    world.recorded()
    assert world.snapshot.retry_steps(run, {0}, world.now) == 0
    assert run.state is RunState.CANCELLED
    assert world.snapshot.runs == {}
    assert world.recorded()[0].is_empty()


def test_a_retry_leaves_what_stands_below_a_skipped_step_as_it_ended() -> None:
    world = World(manifest("sales", asset("a"), asset("b", "a"), asset("c", "b"), asset("d")))
    world.beat("sales")
    run = world.start("*")
    a, d = world.cycle()
    for step in run.steps:
        world.snapshot.cancel_step(step, world.now, "on request")
    world.begin(a, d)
    world.fail(d, "cancelled")
    world.send("sales", ev.AttemptSkipped(a.id, "nothing new", token_of(a)))
    by_name = {step.computation: step for step in run.steps}
    assert {name: step.state.value for name, step in by_name.items()} == {
        "a": "skipped", "b": "cancelled", "c": "cancelled", "d": "cancelled",
    }  # fmt: skip
    assert world.snapshot.retry_steps(run, {step.number for step in run.steps}, world.now) == 1
    assert (by_name["c"].state, by_name["d"].state) == (S.CANCELLED, S.READY)


def test_a_retry_in_a_run_that_goes_on_leaves_the_other_steps_alone() -> None:
    world = World(manifest("sales", asset("a"), asset("b")))
    world.beat("sales")
    run = world.start("*")
    a, _ = world.cycle()
    world.begin(a)
    world.fail(a)
    assert world.snapshot.retry_steps(run, {0, 1}, world.now) == 1
    assert states(run) == ["ready", "dispatched"]
    assert world.snapshot.runs == {run.id: run}


def test_an_ended_step_can_not_be_cancelled() -> None:
    world, run = failed_chain()
    for step in run.steps:
        world.snapshot.cancel_step(step, world.now, "late")
    assert states(run) == ["succeeded", "failed", "upstream_failed"]


# -- anything ----------------------------------------------------------------------------------------------------------


def consistent(snapshot: Snapshot, runs: list[Run]) -> None:
    """What must hold whatever happened."""
    held_now: dict[tuple[str, str, str], int] = {}
    for run in runs:
        counts: dict[StepState, int] = {}
        for step in run.steps:
            counts[step.state] = counts.get(step.state, 0) + 1
            if step.state in (S.DISPATCHED, S.RUNNING):
                held_now[step.team, step.location, step.queue] = (
                    held_now.get((step.team, step.location, step.queue), 0) + 1
                )
                assert all(snapshot.locks[lock] == step.attempt_id for lock in step.locks())
            if step.state is S.WAITING:
                unfinished = [number for number in step.upstream if run.steps[number].state is not S.SUCCEEDED]
                assert step.waiting_on == len(unfinished) > 0
            if step.state in ENDED:
                assert step.ended_at is not None
        assert dict(+run.counts) == counts
        assert (run.id in snapshot.runs) == (run.state is RunState.RUNNING)
        assert (run.state is RunState.RUNNING) == any(step.state not in ENDED for step in run.steps)
    assert dict(+snapshot.held) == held_now
    assert len(snapshot.locks) == sum(
        len(step.locks()) for run in runs for step in run.steps if step.state in (S.DISPATCHED, S.RUNNING)
    )
    out = {a.step.name for a in snapshot.attempts.values() if a.state is not AttemptState.LOST}
    assert out == {step.name for run in runs for step in run.steps if step.state in (S.DISPATCHED, S.RUNNING)}


ACTIONS = st.sampled_from(
    ["launch", "cycle", "begin", "finish", "fail", "crash", "interrupt", "cancel", "cancel all", "retry", "wait"]
)


@given(st.lists(st.tuples(ACTIONS, st.integers(0, 1000)), max_size=40))
def test_counts_limits_locks_and_run_states_agree_after_any_history(history: list[tuple[str, int]]) -> None:
    world = World(
        manifest("sales", asset("a"), asset("b", "a", retry=Retry(1)), asset("c", "a"), multi(("d", "e"), "b", "c"))
    )
    world.beat("sales", slots=3)
    runs = [world.start("*")]
    for action, choice in history:
        snapshot = world.snapshot
        out = live(snapshot)
        attempt = out[choice % len(out)] if out else None
        run = runs[choice % len(runs)]
        step = run.steps[choice % len(run.steps)]
        if action == "launch":
            runs.append(world.start("*"))
        elif action == "cycle":
            world.beat("sales", slots=3)
            world.cycle()
        elif action == "wait":
            world.after(seconds=5)
        elif action == "cancel":
            snapshot.cancel_step(step, world.now, "on request")
        elif action == "cancel all":
            for each in run.steps:
                snapshot.cancel_step(each, world.now, "on request")
        elif action == "retry":
            snapshot.retry_steps(run, {step.number}, world.now)
        elif attempt is not None:
            world.begin(attempt)
            if action == "finish":
                world.finish(attempt)
            elif action != "begin":
                world.fail(attempt, {"fail": "user_error", "crash": "runner_lost", "interrupt": "interrupted"}[action])
        consistent(snapshot, runs)


def test_steps_are_named_by_run_and_number() -> None:
    (step,) = run_of(planned(World(CHAIN).snapshot.catalog, "a"), 7).steps
    assert step.name == "00000000-0000-0000-0000-000000000007/0"
