"""The judge of chaos, on made-up histories: what must be flagged is, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chaos.checker import Violation, check
from chaos.history import Attempt, Event, Execution, Expectation, Fault, History, Output, Rule, Step

RUN = "run-1"
EXPECTED = Expectation(
    ends={"doomed": "failed"},
    stop=frozenset({"alone"}),
    rules=(
        Rule("pool", frozenset({"alone"}), slots=1),
        Rule("rated", frozenset({"first"}), rate=2.0, burst=2.0),
    ),
)


def attempt(
    step: int, number: int, began: float, ended: float | None, state: str = "succeeded", **more: object
) -> Attempt:
    return Attempt(f"a{step}-{number}", RUN, step, number, state, began, began + 0.1, ended, **more)  # type: ignore[arg-type]


def ran(asset: str, number: int, began: float, last: float, how: str = "end", **more: object) -> Execution:
    given: dict[str, object] = {"runner": 70 + number, "worker": 7 + number, **more}
    return Execution(RUN, asset, "p", number, began=began, last=last, how=how, **given)  # type: ignore[arg-type]


def output(step: int, number: int, asset: str, state: str = "current") -> Output:
    return Output(f"a{step}-{number}", asset, "p", RUN, step, 10 * step + number, state)


# `first` succeeded at once. `alone`, after it, was lost with its worker and ran again.
GOOD = History(
    launched={RUN: frozenset({"first", "alone"})},
    runs={RUN: "succeeded"},
    steps=(
        Step(RUN, 1, "first", "p", (), "succeeded", "a1-1"),
        Step(RUN, 2, "alone", "p", (1,), "succeeded", "a2-2", losses=1),
    ),
    attempts=(
        attempt(1, 1, 0.0, 2.0),
        attempt(2, 1, 2.0, 30.0, "lost", error="Worker 'w1' was not heard of for longer than its lease."),
        attempt(2, 2, 30.0, 33.0),
    ),
    outputs=(output(1, 1, "first"), output(2, 2, "alone")),
    pointers={("first", "p"): "a1-1", ("alone", "p"): "a2-2"},
    events=(Event("north", "w1", 1, "e1"), Event("north", "w1", 2, "e2"), Event("north", "w2", 1, "e3")),
    executions=(
        ran("first", 1, 0.5, 1.5),
        ran("alone", 1, 2.5, 4.0, "", read=(("first", RUN, 1),)),
        ran("alone", 2, 30.5, 32.5, read=(("first", RUN, 1),)),
    ),
    faults=(Fault("worker_killed", "north-1", 4.05, 6.0, (8,)),),
    expected=EXPECTED,
)


def found(history: History) -> list[Violation]:
    return check(history).violations


def test_a_history_in_which_all_is_well_is_not_flagged() -> None:
    verdict = check(GOOD)
    assert (verdict.violations, verdict.excused) == ([], [])


def with_step(number: int, **changes: object) -> History:
    steps = tuple(replace(step, **changes) if step.number == number else step for step in GOOD.steps)  # type: ignore[arg-type]
    return replace(GOOD, steps=steps)


def with_execution(number: int, **changes: object) -> History:
    executions = list(GOOD.executions)
    executions[number] = replace(executions[number], **changes)  # type: ignore[arg-type]
    return replace(GOOD, executions=tuple(executions))


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(replace(GOOD, runs={}), id="an acknowledged run is not recorded"),
        pytest.param(replace(GOOD, runs={RUN: "running"}), id="a run has not ended"),
        pytest.param(replace(GOOD, launched={RUN: frozenset({"first", "alone", "third"})}), id="a step is missing"),
        pytest.param(with_step(2, state="ready"), id="a step has not ended"),
        pytest.param(with_step(2, state="failed"), id="a step failed that should not have"),
        pytest.param(with_execution(0, how=""), id="a recorded success that never came to its end"),
        pytest.param(replace(GOOD, executions=GOOD.executions[:2]), id="a recorded success that never ran"),
        pytest.param(with_step(1, failures=1), id="a loss was charged to the team's retries"),
    ],
)
def test_what_is_lost_is_flagged(history: History) -> None:
    assert {violation.kind for violation in found(history)} >= {"lost"}


def test_a_step_that_is_bound_to_fail_must_have_failed() -> None:
    steps = (*GOOD.steps, Step(RUN, 3, "doomed", "p", (1,), "failed", "a3-1", failures=1))
    attempts = (*GOOD.attempts, attempt(3, 1, 2.0, 3.0, "failed"))
    assert found(replace(GOOD, steps=steps, attempts=attempts)) == []
    wrong = (*GOOD.steps, replace(steps[-1], state="succeeded"))
    assert [each.kind for each in found(replace(GOOD, steps=wrong, attempts=attempts))] == ["lost"]


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(
            replace(GOOD, attempts=(GOOD.attempts[0], replace(GOOD.attempts[1], state="succeeded"), GOOD.attempts[2])),
            id="two attempts of a step succeeded",
        ),
        pytest.param(
            replace(GOOD, outputs=(*GOOD.outputs, output(2, 1, "alone", "superseded"))),
            id="an output of a lost attempt",
        ),
        pytest.param(replace(GOOD, outputs=(*GOOD.outputs, output(2, 3, "alone"))), id="two current outputs"),
        pytest.param(replace(GOOD, pointers={**GOOD.pointers, ("alone", "p"): "a2-1"}), id="the pointer is elsewhere"),
        pytest.param(replace(GOOD, outputs=(*GOOD.outputs, output(2, 1, "alone", "candidate"))), id="never settled"),
        pytest.param(with_step(1, attempt_id="a1-0"), id="another attempt than the step's own succeeded"),
        pytest.param(replace(GOOD, events=(*GOOD.events, Event("north", "w3", 1, "e1"))), id="an event came twice"),
        pytest.param(replace(GOOD, events=(*GOOD.events, Event("north", "w1", 2, "e9"))), id="a number came twice"),
    ],
)
def test_what_is_recorded_twice_is_flagged(history: History) -> None:
    assert {violation.kind for violation in found(history)} >= {"recorded_twice"}


def overlapping(*faults: Fault) -> History:
    """`alone` was still at work, in worker 8, when it began again in worker 9."""
    return replace(with_execution(1, last=31.5), faults=faults)


def test_a_step_marked_stop_that_runs_twice_at_once_is_flagged() -> None:
    (violation,) = found(overlapping())
    assert (violation.kind, violation.step) == ("concurrent_twice", (RUN, "alone"))


def test_a_longest_execution_is_compared_with_all_that_begin_during_it() -> None:
    late = ran("alone", 3, 36.0, 36.1)
    history = with_execution(1, last=40.0)
    history = replace(history, executions=(*history.executions, late))
    assert sum(violation.kind == "concurrent_twice" for violation in found(history)) == 2


def test_only_steps_marked_stop_must_not_run_twice_at_once() -> None:
    assert found(replace(overlapping(), expected=replace(EXPECTED, stop=frozenset()))) == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault("worker_frozen_long", "north-1", 5.0, 30.7, (8,)),
        Fault("machine_frozen", "north-1", 5.0, 29.0, (8, 78)),
        Fault("valkey_flushed", "valkey", 20.0, 20.0),
    ],
)
def test_a_frozen_worker_and_a_forgetful_broker_are_excuses_that_are_counted(fault: Fault) -> None:
    verdict = check(overlapping(fault))
    assert verdict.violations == []
    assert [(each.cause, round(each.overlap_s, 3)) for each in verdict.excused] == [(fault.kind, 1.0)]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("worker_frozen_long", "north-2", 5.0, 30.7, (99,)),
        Fault("worker_frozen_long", "north-1", 31.0, 60.0, (8,)),
        Fault("worker_frozen_long", "north-1", 5.0, 15.0, (8,)),
        Fault("worker_isolated", "north-1", 5.0, 30.7, (8,)),
        Fault("valkey_killed", "valkey", 20.0, 20.0, (8,)),
    ],
    ids=["another worker", "afterwards", "long before", "it should have stopped", "nothing was forgotten"],
)
def test_other_faults_are_no_excuses(fault: Fault) -> None:
    assert [violation.kind for violation in found(overlapping(fault))] == ["concurrent_twice"]


def test_more_attempts_out_than_slots_are_flagged() -> None:
    steps = (*GOOD.steps, Step(RUN, 3, "alone", "q", (), "succeeded", "a3-1"))
    attempts = (*GOOD.attempts, attempt(3, 1, 32.9, 34.0))
    executions = (*GOOD.executions, replace(ran("alone", 1, 33.0, 33.5), partition="q"))
    history = replace(GOOD, steps=steps, attempts=attempts, executions=executions)
    assert "limit_exceeded" in {violation.kind for violation in found(history)}
    after = replace(history, attempts=(*GOOD.attempts, attempt(3, 1, 33.0, 34.0)))
    assert "limit_exceeded" not in {violation.kind for violation in found(after)}


def test_a_batch_holds_one_slot_until_the_last_of_it_has_ended() -> None:
    steps = [Step(RUN, number, "alone", f"p{number}", (), "succeeded", f"a{number}-1") for number in (1, 2, 3)]
    together = [attempt(1, 1, 0.0, 1.0, batch=5), attempt(2, 1, 0.0, 3.0, batch=5)]
    history = replace(
        GOOD,
        launched={},
        steps=tuple(steps),
        outputs=(),
        pointers={},
        executions=(),
        attempts=(*together, attempt(3, 1, 3.0, 4.0)),
    )
    assert "limit_exceeded" not in {violation.kind for violation in found(history)}
    sooner = replace(history, attempts=(*together, attempt(3, 1, 2.0, 4.0)))
    assert "limit_exceeded" in {violation.kind for violation in found(sooner)}


def test_an_end_told_after_the_lease_had_expired_says_nothing_of_when_the_slot_was_free() -> None:
    late = replace(GOOD.attempts[1], state="interrupted", ended_at=31.0, error="It lost contact.")
    assert found(replace(GOOD, attempts=(GOOD.attempts[0], late, GOOD.attempts[2]))) == []


@pytest.mark.parametrize(
    ("times", "exceeded"),
    [
        ((0.0, 0.0, 0.5, 1.0, 1.5), False),
        ((0.0, 0.0, 0.4), True),
        ((0.0, 5.0, 5.0, 5.5, 5.9), True),
        ((0.0, 0.5, 1.0, 1.5, 2.0), False),
    ],
)
def test_more_starts_in_a_window_than_the_rate_allows_are_flagged(times: tuple[float, ...], exceeded: bool) -> None:
    steps = [Step(RUN, number, "first", f"p{number}", (), "succeeded", f"a{number}-1") for number in range(len(times))]
    attempts = [attempt(number, 1, at, at + 0.1) for number, at in enumerate(times)]
    history = replace(
        GOOD, launched={}, steps=tuple(steps), attempts=tuple(attempts), outputs=(), pointers={}, executions=()
    )
    assert ("limit_exceeded" in {violation.kind for violation in found(history)}) is exceeded


def test_an_attempt_that_two_runners_have_executed_is_flagged_unless_its_claim_was_forgotten() -> None:
    again = replace(GOOD.executions[0], runner=99, began=1.6, last=1.9)
    history = replace(GOOD, executions=(*GOOD.executions, again))
    assert [violation.kind for violation in found(history)] == ["claimed_twice"]
    forgotten = Fault("valkey_flushed", "valkey", 1.0, 1.1)
    assert found(replace(history, faults=(*GOOD.faults, forgotten))) == []


def test_a_step_that_began_before_the_one_above_had_ended_is_flagged() -> None:
    assert "out_of_order" in {violation.kind for violation in found(with_execution(1, began=1.0))}


def test_what_no_accepted_attempt_has_made_must_not_be_read() -> None:
    history = with_execution(2, read=(("first", RUN, 2),))
    assert [violation.kind for violation in found(history)] == ["out_of_order"]
