"""The backlog: in which order ready steps come up, and that parked ones come back."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from support.scheduling import NOW, asset, catalog_of, manifest, planned, run_of

from hedgerow_scheduler.lifecycle.model import Run, Step
from hedgerow_scheduler.lifecycle.states import StepState
from hedgerow_scheduler.planning.backlog import Backlog, queue_of

CATALOG = catalog_of(
    manifest("a", asset("low", priority=-1), asset("normal"), asset("high", priority=5), asset("other", queue="heavy"))
)
DEFAULT = ("a", "a", "default")


def ready(number: int = 1, *selection: str) -> Run:
    run = run_of(planned(CATALOG, *(selection or ("*",))), number, NOW + timedelta(seconds=number))
    for step in run.steps:
        step.state = StepState.READY
    return run


def drain(backlog: Backlog, queue: tuple[str, str, str] = DEFAULT) -> list[Step]:
    found = []
    while (step := backlog.take(queue)) is not None:
        found.append(step)
    return found


def test_steps_come_by_priority_then_age_of_the_run_then_number() -> None:
    backlog = Backlog()
    for run in (ready(2), ready(1)):
        for step in reversed(run.steps):
            backlog.add(step)
    assert [(step.computation, step.run.id[-1]) for step in drain(backlog)] == [
        ("high", "1"), ("high", "2"), ("normal", "1"), ("normal", "2"), ("low", "1"), ("low", "2"),
    ]  # fmt: skip


def test_each_queue_is_a_line_of_its_own() -> None:
    backlog = Backlog()
    for step in ready().steps:
        backlog.add(step)
    assert set(backlog.queues()) == {DEFAULT, ("a", "a", "heavy")}
    assert [step.computation for step in drain(backlog, ("a", "a", "heavy"))] == ["other"]
    assert set(backlog.queues()) == {DEFAULT}


def test_a_step_that_is_no_longer_ready_is_passed_over() -> None:
    backlog = Backlog()
    first, second = ready(1, "high").steps[0], ready(2, "high").steps[0]
    backlog.add(first)
    backlog.add(second)
    first.state = StepState.CANCELLED
    assert drain(backlog) == [second]


def test_a_step_parked_on_a_lock_comes_back_when_just_that_lock_is_free() -> None:
    backlog = Backlog()
    step = ready(1, "normal").steps[0]
    backlog.park_on_lock(step, ("normal", ""))
    backlog.unlocked(("high", ""))
    assert drain(backlog) == []
    backlog.unlocked(("normal", ""))
    assert drain(backlog) == [step]
    backlog.unlocked(("normal", ""))
    assert drain(backlog) == []


def test_a_step_parked_on_an_asset_comes_back_when_that_changes_or_the_definitions_do() -> None:
    for release in (lambda b: b.asset_changed("raw"), lambda b: b.release_parked_on_assets()):
        backlog = Backlog()
        step = ready(1, "normal").steps[0]
        backlog.park_on_asset(step, "raw")
        backlog.asset_changed("something/else")
        assert drain(backlog) == []
        release(backlog)
        assert drain(backlog) == [step]


def test_a_step_parked_on_its_code_comes_back_when_other_code_is_served_or_the_definitions_change() -> None:
    for release in (lambda b: b.code_changed(("a", "a")), lambda b: b.release_parked_on_assets()):
        backlog = Backlog()
        step = ready(1, "normal").steps[0]
        backlog.park_on_code(step)
        assert list(backlog) == [step]
        backlog.code_changed(("a", "other"))
        assert drain(backlog) == []
        release(backlog)
        assert drain(backlog) == [step]


def test_a_parked_step_that_ended_meanwhile_does_not_come_back() -> None:
    backlog = Backlog()
    step = ready(1, "normal").steps[0]
    backlog.park_on_lock(step, ("normal", ""))
    step.state = StepState.CANCELLED
    backlog.unlocked(("normal", ""))
    assert list(backlog) == []


def test_all_entries_can_be_looked_at_parked_or_not() -> None:
    backlog = Backlog()
    one, two, three = (ready(number, "normal").steps[0] for number in (1, 2, 3))
    backlog.add(one)
    backlog.park_on_lock(two, ("normal", ""))
    backlog.park_on_asset(three, "raw")
    assert {step.run.id for step in backlog} == {one.run.id, two.run.id, three.run.id}


@given(st.lists(st.tuples(st.sampled_from(["low", "normal", "high"]), st.integers(0, 9)), max_size=30))
def test_whatever_comes_in_comes_out_once_and_in_order(arrivals: list[tuple[str, int]]) -> None:
    backlog = Backlog()
    steps = [ready(age, name).steps[0] for name, age in arrivals]
    for step in steps:
        backlog.add(step)
    found = drain(backlog)
    assert sorted(map(id, found)) == sorted(map(id, steps))
    order = [(-step.priority, step.run.created_at) for step in found]
    assert order == sorted(order)
    assert {queue_of(step) for step in found} <= {DEFAULT}
