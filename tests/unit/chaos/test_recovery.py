"""Recovery times, of made-up histories."""

from __future__ import annotations

import pytest
from chaos.history import Attempt, Execution, Expectation, Fault, History, Step
from chaos.recovery import recovery_times


def history(*faults: Fault, executions: tuple[Execution, ...] = (), attempts: tuple[Attempt, ...] = ()) -> History:
    steps = (Step("run", 1, "asset", "p", (), "succeeded", "a2"),)
    return History({}, {}, steps, attempts, (), {}, (), executions, faults, Expectation({}, frozenset(), ()))


def ran(number: int, began: float, last: float, how: str = "end") -> Execution:
    return Execution("run", "asset", "p", number, 70 + number, 7 + number, began, last, how)


KILLED = Fault("worker_killed", "north-1", 5.0, 7.0, (8,), resumed=8.0)


def test_a_killed_worker_has_recovered_when_its_step_runs_again() -> None:
    found = recovery_times(history(KILLED, executions=(ran(1, 4.0, 4.9, ""), ran(2, 30.0, 31.0))))
    assert found == {"worker_killed": [pytest.approx(25.0)]}


def test_a_step_that_had_ended_before_the_kill_is_no_loss() -> None:
    assert recovery_times(history(KILLED, executions=(ran(1, 4.0, 4.9), ran(2, 30.0, 31.0)))) == {}


def test_what_another_fault_has_delayed_tells_nothing() -> None:
    other = Fault("postgres_killed", "postgres", 20.0, 22.0, resumed=24.0)
    found = recovery_times(history(KILLED, other, executions=(ran(1, 4.0, 4.9, ""), ran(2, 30.0, 31.0))))
    assert found == {"postgres_killed": [2.0]}


def test_a_killed_leader_has_recovered_at_the_next_dispatch() -> None:
    attempts = tuple(Attempt(f"a{at}", "run", 1, int(at), "succeeded", at, at, at) for at in (4.0, 8.5, 9.0))
    fault = Fault("leader_killed", "scheduler-1", 5.0, 6.0, (3,))
    assert recovery_times(history(fault, attempts=attempts)) == {"leader_killed": [3.5]}


def test_a_drain_takes_what_it_takes_beyond_the_steps_that_it_lets_end_and_until_orders_are_handed_back() -> None:
    fault = Fault("worker_drained", "north-1", 5.0, 8.0, (8,))
    refused = Attempt("a3", "run", 1, 3, "refused", 4.8, None, 5.5)
    found = recovery_times(history(fault, executions=(ran(1, 4.0, 7.0),), attempts=(refused,)))
    assert found == {"worker_drained": [1.0, 0.5]}
