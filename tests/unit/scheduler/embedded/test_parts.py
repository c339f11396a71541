"""The states of a supervised part."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from hedgerow_scheduler.embedded.parts import (
    BROKEN_RETRY_S,
    CODE_CHANGED,
    FIRST_DELAY_S,
    HURRY_S,
    STEADY_S,
    TABLE,
    Changed,
    Due,
    Ended,
    Event,
    Kill,
    Part,
    Ready,
    Refused,
    Spawn,
    State,
    Stop,
    Terminate,
    transition,
)

WORKER = Part("worker sales", reloads=True)


def after(part: Part, *events: tuple[Event, float]) -> Part:
    """The part after `events`, each with its time."""
    for event, now in events:
        part, _ = transition(part, event, now)
    return part


SERVING = after(WORKER, (Due(), 0), (Ready(1), 1))
RELOADING = after(SERVING, (Changed(), 2))


def test_a_part_starts_and_serves() -> None:
    part, actions = transition(WORKER, Due(), 0)
    assert (part.state, actions) == (State.STARTING, (Spawn(1),))
    assert after(part, (Ready(1), 1)).state is State.READY


def test_one_that_does_not_serve_in_time_is_killed_and_counts_as_a_failure() -> None:
    part = after(WORKER, (Due(), 0))
    assert transition(part, Due(), part.start_s - 1) == (part, ())
    part, actions = transition(part, Due(), part.start_s)
    assert actions == (Kill(1),)
    part = after(part, (Ended(1, -9), part.start_s + 1))
    assert (part.state, part.failures) == (State.WAITING, 1)
    assert "SIGKILL" in part.detail


def test_one_that_dies_starts_again_later_and_ever_later_until_it_was_steady() -> None:
    part, waits = replace(WORKER, reloads=False), []
    now = 0.0
    for _ in range(4):
        part = after(part, (Due(), now), (Ready(part.incarnation + 1), now))
        part = after(part, (Ended(part.incarnation, 1), now))
        waits.append(part.retry_at - now)
        assert transition(part, Due(), part.retry_at - 0.01)[1] == ()
        now = part.retry_at
    assert waits == [FIRST_DELAY_S * 2**n for n in range(4)]
    part = after(part, (Due(), now), (Ready(part.incarnation + 1), now))
    part = after(part, (Ended(part.incarnation, -9), now + STEADY_S))
    assert part.retry_at == now + STEADY_S + FIRST_DELAY_S


def test_code_that_cannot_be_loaded_breaks_the_part_until_it_changes() -> None:
    part = after(WORKER, (Due(), 0), (Ended(1, 1, "HR-D001  No."), 1))
    assert (part.state, part.detail) == (State.BROKEN, "HR-D001  No.")
    assert transition(part, Due(), 2) == (part, ())
    moved, actions = transition(part, Changed(), 3)
    assert (moved.state, actions) == (State.STARTING, (Spawn(2),))
    assert transition(part, Due(), 1 + BROKEN_RETRY_S)[1] == (Spawn(2),)


def test_a_change_starts_a_new_process_and_the_old_one_drains_once_it_serves() -> None:
    part, actions = transition(SERVING, Changed(), 2)
    assert (part.state, part.current, actions) == (State.RELOADING, 1, (Spawn(2),))
    part, actions = transition(part, Ready(2), 3)
    assert (part.state, part.current, actions) == (State.READY, 2, (Terminate(1),))
    assert transition(part, Due(), 3 + part.drain_s)[1] == (Kill(1),)
    assert after(part, (Ended(1, 0), 4)) == replace(part, leaving=())


def test_a_change_that_cannot_be_loaded_leaves_the_old_code_in_force_and_says_so() -> None:
    part = after(RELOADING, (Ended(2, 1, "HR-D001  No."), 3))
    assert (part.state, part.current, part.candidate) == (State.READY, 1, None)
    assert "old code" in part.detail
    assert "HR-D001" in part.detail
    healed = after(part, (Changed(), 4), (Ready(3), 5))
    assert (healed.current, healed.detail) == (3, "")


def test_a_change_that_the_platform_refuses_leaves_the_old_code_in_force_and_ends_the_new_process() -> None:
    part, actions = transition(RELOADING, Refused(2, "HR-Q010  No."), 3)
    assert (part.state, part.current, part.candidate, actions) == (State.READY, 1, None, (Terminate(2),))
    assert "old code" in part.detail
    assert "HR-Q010" in part.detail
    assert after(part, (Ended(2, 0), 4)) == replace(part, leaving=())


def test_code_that_the_platform_refuses_at_the_start_breaks_the_part_until_it_changes() -> None:
    part, actions = transition(after(WORKER, (Due(), 0)), Refused(1, "HR-Q011  No."), 1)
    assert (part.state, part.detail, actions) == (State.BROKEN, "HR-Q011  No.", (Terminate(1),))
    part = after(part, (Ended(1, 0), 2))
    assert (part.state, part.leaving) == (State.BROKEN, ())
    assert transition(part, Changed(), 3)[0].state is State.STARTING


def test_a_change_during_a_reload_starts_anew_with_the_newest_code() -> None:
    part, actions = transition(RELOADING, Changed(), 3)
    assert actions == (Terminate(2), Spawn(3))
    assert (part.current, part.candidate) == (1, 3)
    assert after(part, (Ready(2), 4)) == part


def test_when_the_old_process_dies_during_a_reload_the_new_one_goes_on() -> None:
    part = after(RELOADING, (Ended(1, -9), 3))
    assert (part.state, part.current) == (State.STARTING, 2)
    assert after(part, (Ready(2), 4)).state is State.READY


def test_a_worker_that_found_other_code_on_disk_is_started_again_at_once() -> None:
    part = after(SERVING, (Ended(1, CODE_CHANGED), 5))
    assert transition(part, Due(), 5)[1] == (Spawn(2),)
    assert part.failures == 0


def test_a_stop_ends_all_its_processes_and_a_second_one_sooner() -> None:
    part, actions = transition(RELOADING, Stop(), 10)
    assert actions == (Terminate(1), Terminate(2))
    assert transition(part, Due(), 10 + part.grace_s - 1)[1] == ()
    hurried, actions = transition(part, Stop(), 11)
    assert actions == (Terminate(1), Terminate(2))
    assert transition(hurried, Due(), 11 + HURRY_S)[1] == (Kill(1), Kill(2))
    part = after(part, (Ended(1, 0), 12))
    assert part.state is State.STOPPING
    assert after(part, (Ended(2, -9), 13)).state is State.STOPPED


@pytest.mark.parametrize("state", [State.WAITING, State.BROKEN])
def test_a_stop_of_a_part_without_a_process_is_over_at_once(state: State) -> None:
    assert after(replace(WORKER, state=state), (Stop(), 1)).state is State.STOPPED


def test_whatever_happens_no_process_is_forgotten_and_a_stop_ends_them_all() -> None:
    """Every sequence of four events from every state, with the bookkeeping of a supervisor that obeys."""
    kinds = {kind for _, kind in TABLE}
    for events in itertools.product(sorted(kinds, key=lambda kind: kind.__name__), repeat=4):
        part, running, now = WORKER, set[int](), 0.0
        for kind in (Due, *events, Stop):
            now += 100.0
            event: Event
            if kind is Ready:
                event = Ready(part.candidate or part.current or 0)
            elif kind is Refused:
                event = Refused(part.candidate or part.current or 0)
            elif kind is Ended:
                if not running:
                    continue
                number = min(running)
                running.discard(number)
                event = Ended(number, 1)
            else:
                event = kind()
            part, actions = transition(part, event, now)
            for action in actions:
                if isinstance(action, Spawn):
                    running.add(action.incarnation)
                else:
                    assert action.incarnation in running
            known = {part.current, part.candidate, *(number for number, _ in part.leaving)} - {None}
            assert known == running, (events, part)
        for number in sorted(running):
            part, _ = transition(part, Ended(number, 0), now)
        assert part.state is State.STOPPED
