"""The backlog: in which order ready steps come up, that parked ones come back, and that every second of waiting has its cause."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scheduling import NOW, asset, catalog_of, manifest, planned, run_of

from hedgerow_scheduler.lifecycle.model import Run, Step
from hedgerow_scheduler.lifecycle.states import StepState
from hedgerow_scheduler.lifecycle.waits import Cause
from hedgerow_scheduler.limits.backlog import Backlog, queue_of
from hedgerow_scheduler.limits.fairness import AGEING
from hedgerow_scheduler.limits.lines import Group
from hedgerow_scheduler.planning.snapshot import Snapshot

CATALOG = catalog_of(
    manifest("a", asset("low", priority=-1), asset("normal"), asset("high", priority=5), asset("other", queue="heavy"))
)
DEFAULT = ("a", "a", "default")
_numbers = count(1)


def empty() -> Backlog:
    backlog = Snapshot(CATALOG).backlog
    backlog.now = NOW
    return backlog


def ready(*selection: str) -> Run:
    number = next(_numbers)
    run = run_of(planned(CATALOG, *(selection or ("*",))), number, NOW + timedelta(seconds=number))
    for step in run.steps:
        step.state = StepState.READY
    return run


def step_of(name: str) -> Step:
    return ready(name).steps[0]


def groups(backlog: Backlog) -> list[Group]:
    return [group for line in backlog.lines.values() for group in line.groups()]


def drain(backlog: Backlog) -> list[Step]:
    """Everything that waits unparked, the best band first, in the order of each group."""
    found = []
    for group in sorted(groups(backlog), key=lambda group: -group.lane.band):
        while (first := group.first_line()) is not None:
            ticket = heapq.heappop(first[1].entries)[2]
            backlog.leave(ticket.step)
            found.append(ticket.step)
    return found


def test_steps_of_a_group_come_by_age_of_the_run_then_number() -> None:
    backlog = empty()
    old, new = ready("*"), ready("*")
    for run in (new, old):
        for step in reversed(run.steps):
            backlog.add(step)
    found = [(step.computation, step.run) for step in drain(backlog) if step.queue == "default"]
    assert found == [(name, run) for name in ("high", "normal", "low") for run in (old, new)]


def test_each_queue_is_a_line_of_its_own() -> None:
    backlog = empty()
    for step in ready().steps:
        backlog.add(step)
    assert {name: line.size for name, line in backlog.lines.items()} == {DEFAULT: 3, ("a", "a", "heavy"): 1}


def test_a_step_that_left_is_passed_over() -> None:
    backlog = empty()
    first, second = step_of("high"), step_of("high")
    backlog.add(first)
    backlog.add(second)
    backlog.leave(first)
    assert drain(backlog) == [second]


def test_a_step_parked_on_a_lock_comes_back_when_just_that_lock_is_free() -> None:
    backlog, step = empty(), step_of("normal")
    backlog.park_on_lock(step, ("normal", ""))
    backlog.unlocked(("high", ""))
    assert drain(backlog) == []
    backlog.unlocked(("normal", ""))
    assert drain(backlog) == [step]
    backlog.unlocked(("normal", ""))
    assert drain(backlog) == []


@pytest.mark.parametrize("release", [lambda b: b.asset_changed("raw"), lambda b: b.release_parked_on_assets()])
def test_a_step_parked_on_an_asset_comes_back_when_that_changes_or_the_definitions_do(
    release: Callable[[Backlog], None],
) -> None:
    backlog, step = empty(), step_of("normal")
    backlog.park_on_asset(step, "raw")
    backlog.asset_changed("something/else")
    assert drain(backlog) == []
    release(backlog)
    assert drain(backlog) == [step]


@pytest.mark.parametrize("release", [lambda b: b.code_changed(("a", "a")), lambda b: b.release_parked_on_assets()])
def test_a_step_parked_on_its_code_comes_back_when_other_code_is_served_or_the_definitions_change(
    release: Callable[[Backlog], None],
) -> None:
    backlog, step = empty(), step_of("normal")
    backlog.park_on_code(step)
    assert list(backlog) == [step]
    backlog.code_changed(("a", "other"))
    assert drain(backlog) == []
    release(backlog)
    assert drain(backlog) == [step]


def test_a_parked_step_that_ended_meanwhile_does_not_come_back() -> None:
    backlog, step = empty(), step_of("normal")
    backlog.park_on_lock(step, ("normal", ""))
    backlog.leave(step)
    step.state = StepState.CANCELLED
    backlog.unlocked(("normal", ""))
    assert list(backlog) == []


def test_all_entries_can_be_looked_at_parked_or_not() -> None:
    backlog = empty()
    one, two, three = (step_of("normal") for _ in range(3))
    backlog.add(one)
    backlog.park_on_lock(two, ("normal", ""))
    backlog.park_on_asset(three, "raw")
    assert {step.run.id for step in backlog} == {one.run.id, two.run.id, three.run.id}


def test_a_lane_that_is_passed_over_rises_by_a_band_each_time() -> None:
    backlog = empty()
    backlog.add(step_of("low"))
    (group,) = groups(backlog)
    assert [group.lane.aged(NOW + factor * AGEING) for factor in (0, 0.99, 1, 2.5)] == [0, 0, 1, 2]


def test_every_second_of_waiting_belongs_to_one_cause() -> None:
    backlog, early, late = empty(), step_of("normal"), step_of("normal")
    backlog.add(early)
    backlog.now += timedelta(seconds=2)
    (group,) = groups(backlog)
    group.lane.line.close(Cause.PAUSED, backlog.now)
    backlog.now += timedelta(seconds=3)
    backlog.add(late)
    backlog.now += timedelta(seconds=4)
    group.lane.line.close(None, backlog.now)
    backlog.park_on_lock(early, ("normal", ""))
    backlog.now += timedelta(seconds=5)
    for step in (early, late):
        backlog.leave(step)
    assert early.waits == {Cause.TURN: 2, Cause.PAUSED: 7, Cause.SAME_OUTPUT: 5}
    assert late.waits == {Cause.PAUSED: 4, Cause.TURN: 5}


@given(st.lists(st.tuples(st.sampled_from(["low", "normal", "high"]), st.booleans()), max_size=30))
def test_whatever_comes_in_comes_out_once_and_in_order(arrivals: list[tuple[str, bool]]) -> None:
    backlog = empty()
    steps = [step_of(name) for name, _ in arrivals]
    for step, (_, leaves) in zip(steps, arrivals, strict=True):
        backlog.add(step)
        if leaves:
            backlog.leave(step)
    staying = [step for step, (_, leaves) in zip(steps, arrivals, strict=True) if not leaves]
    assert sum(line.size for line in backlog.lines.values()) == len(staying)
    found = drain(backlog)
    assert sorted(map(id, found)) == sorted(map(id, staying))
    order = [(-step.priority, step.run.created_at) for step in found]
    assert order == sorted(order)
    assert {queue_of(step) for step in found} <= {DEFAULT}
    assert groups(backlog) == []
