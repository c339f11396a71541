"""Folding: which events count, and which come twice, too late, too early or from someone else."""

from __future__ import annotations

import pytest
from support.folding import counted, dispatched
from support.scheduling import (
    LEASE,
    envelope,
    states,
    success,
    token_of,
)

from hedgerow.protocol import events as ev
from hedgerow_scheduler.ingest import fold
from hedgerow_scheduler.lifecycle.states import AttemptState, RunState
from hedgerow_scheduler.recovery.leases import lose


def test_an_event_that_comes_twice_counts_once_and_is_acknowledged_again() -> None:
    world, (attempt,) = dispatched()
    (started,) = world.stream("sales").add(ev.AttemptStarted(attempt.id, token_of(attempt)))
    world.receive("sales", started)
    world.recorded()
    world.receive("sales", started, started)
    changes, effects = world.recorded()
    assert changes.is_empty()
    assert counted(world, "duplicate") == 2
    assert effects.acks == {("sales", "w1"): 1}


def test_after_a_gap_nothing_is_taken_until_it_is_filled() -> None:
    world, (attempt,) = dispatched()
    sent = world.stream("sales").add(ev.AttemptStarted(attempt.id, token_of(attempt)), *success(attempt))
    world.receive("sales", *sent[1:])
    assert attempt.state is AttemptState.DISPATCHED
    assert world.snapshot.sequences == {}
    assert world.snapshot.effects.resend == {("sales", "w1"): 0}
    world.receive("sales", *sent)
    assert attempt.step.state.value == "succeeded"
    assert world.snapshot.effects.acks == {("sales", "w1"): 3}


def test_after_a_gap_a_worker_is_not_asked_again_within_five_seconds() -> None:
    world, _ = dispatched()
    late = envelope(ev.WorkerStopped(), "w1", 5)
    asked = []
    for _ in range(11):
        world.receive("sales", late)
        asked.append(bool(world.recorded()[1].resend))
        world.after(seconds=1)
    assert [second for second, was in enumerate(asked) if was] == [0, 5, 10]
    assert counted(world, "gap") == 11


def test_the_gap_of_one_worker_does_not_hold_up_another() -> None:
    world, (attempt,) = dispatched()
    world.receive("sales", envelope(ev.WorkerStopped(), "w2", 5))
    world.begin(attempt)
    assert attempt.state is AttemptState.RUNNING


def test_workers_of_the_same_id_in_two_teams_are_two_workers() -> None:
    world, _ = dispatched()
    world.send("sales", ev.WorkerStopped())
    world.send("other", ev.WorkerStopped())
    assert world.snapshot.sequences == {("sales", "w1"): 1, ("other", "w1"): 1}


def test_every_accepted_event_is_kept_as_it_was_received() -> None:
    world, (attempt,) = dispatched()
    (sent,) = world.stream("sales").add(ev.AttemptStarted(attempt.id, token_of(attempt)))
    world.receive("sales", sent)
    world.beat("sales")
    (event,) = world.recorded()[0].events
    assert (event.team, event.worker, event.seq, event.body) == ("sales", "w1", 1, sent)


# -- what must not count -----------------------------------------------------------------------------------------------


def test_an_end_without_a_start_does_not_count() -> None:
    world, (attempt,) = dispatched()
    world.finish(attempt)
    assert attempt.step.state.value == "dispatched"
    assert counted(world, "stale:not_started") == 2


def test_another_token_does_not_count() -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)
    world.begin(attempt, worker="w2")
    world.finish(attempt, worker="w2")
    assert (attempt.worker, attempt.step.state.value) == ("w1", "running")
    assert counted(world, "stale:other_token") == 3


def test_another_team_can_not_speak_of_an_attempt() -> None:
    world, (attempt,) = dispatched()
    world.send("other", ev.AttemptStarted(attempt.id, "t"), worker="w9")
    assert attempt.state is AttemptState.DISPATCHED
    world.begin(attempt)
    world.send("other", *success(attempt), worker="w9")
    assert attempt.step.state.value == "running"
    assert counted(world, "stale:other_team", "other") == 3


def test_an_attempt_that_nobody_knows_does_not_count_but_is_kept() -> None:
    world, _ = dispatched()
    world.send("sales", ev.AttemptStarted("never", "t"))
    assert counted(world, "stale:unknown_attempt") == 1
    assert len(world.recorded()[0].events) == 1


def test_a_start_without_a_token_does_not_count() -> None:
    world, (attempt,) = dispatched()
    world.send("sales", ev.AttemptStarted(attempt.id, ""))
    world.beat("sales", holds=(ev.Held(attempt.id, ""),))
    assert attempt.state is AttemptState.DISPATCHED


def test_a_refused_order_is_taken_back_by_its_claim_and_by_nothing_else() -> None:
    world, (attempt,) = dispatched()
    world.fail(attempt, "refused")
    world.fail(attempt, "refused")
    assert attempt.state is AttemptState.DISPATCHED
    assert world.snapshot.effects.revoke == [attempt]
    world.begin(attempt)
    world.fail(attempt, "refused")
    assert attempt.state is AttemptState.RUNNING


# -- lost attempts -----------------------------------------------------------------------------------------------------


def test_the_outcome_of_a_lost_attempt_counts_as_long_as_nothing_replaced_it() -> None:
    world, (attempt,) = dispatched("a b")
    world.begin(attempt)
    lose(world.snapshot, attempt, world.now)
    assert attempt.step.state.value == "retry_wait"
    world.finish(attempt)
    assert states(attempt.step.run) == ["succeeded", "ready"]
    assert [fresh.step.computation for fresh in world.cycle()] == ["b"]


def test_the_outcome_of_a_lost_attempt_counts_even_when_its_retry_is_ready() -> None:
    world, (attempt,) = dispatched("a")
    run = attempt.step.run
    world.begin(attempt)
    lose(world.snapshot, attempt, world.now)
    world.snapshot.fire_timers(world.now)
    assert states(run) == ["ready"]
    world.finish(attempt)
    assert (states(run), run.state, world.cycle()) == (["succeeded"], RunState.SUCCEEDED, [])


def test_the_outcome_of_a_replaced_attempt_does_not_count() -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)
    lose(world.snapshot, attempt, world.now)
    (second,) = world.cycle()
    world.finish(attempt)
    assert attempt.step.state.value == "dispatched"
    world.begin(second, worker="w2")
    world.finish(second, worker="w2")
    assert attempt.step.state.value == "succeeded"


def test_a_failure_of_a_lost_attempt_changes_nothing_while_its_replacement_is_due() -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)
    lose(world.snapshot, attempt, world.now)
    world.fail(attempt, "user_error")
    assert (attempt.step.state.value, attempt.step.failures) == ("retry_wait", 0)


@pytest.mark.parametrize("end", ["finish", "fail", "skip", "crash"])
@pytest.mark.parametrize("gave_up", ["cancelled", "failed"])
def test_the_outcome_of_a_lost_attempt_is_passed_over_once_its_step_has_ended(end: str, gave_up: str) -> None:
    world, attempts = dispatched("a z")
    attempt = next(attempt for attempt in attempts if attempt.step.computation == "a")
    world.begin(attempt)
    if gave_up == "failed":
        attempt.step.losses = 5
    lose(world.snapshot, attempt, world.now)
    if gave_up == "cancelled":
        world.snapshot.cancel_step(attempt.step, world.now, "on request")
    assert attempt.step.state.value == gave_up
    if end == "finish":
        world.finish(attempt)
    elif end == "skip":
        world.send("sales", ev.AttemptSkipped(attempt.id, "", token_of(attempt)))
    else:
        world.fail(attempt, "runner_lost" if end == "crash" else "user_error")
    assert attempt.step.state.value == gave_up


def test_a_heartbeat_names_no_more_queues_and_slots_than_a_worker_has() -> None:
    world, _ = dispatched()
    queues = tuple(f"q{number}" for number in range(1_001))
    world.beat("sales", "w2", queues=queues)
    world.beat("sales", "w3", slots=10_001)
    assert {"w2", "w3"}.isdisjoint(worker for _, worker in world.snapshot.workers)
    assert counted(world, "quarantined") == 2
    world.beat("sales", "w2", slots=10_000, queues=queues[1:])
    assert ("sales", "w2") in world.snapshot.workers


def test_a_team_has_no_more_workers_than_are_counted_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "MAX_WORKERS", 3)
    world, (attempt,) = dispatched()
    for name in ("w2", "w3", "w4", "w5"):
        world.beat("sales", name)
    world.beat("other", "w8")
    world.beat("sales", "w3", slots=7)
    assert {worker for team, worker in world.snapshot.workers if team == "sales"} == {"w1", "w2", "w3"}
    assert world.snapshot.workers["sales", "w3"].slots == 7
    assert [aside.reason for aside in world.recorded()[0].quarantined] == ["the team has 3 workers already"] * 2
    world.after(seconds=5)
    world.begin(attempt, worker="w9")
    world.after(seconds=5)
    world.beat(
        "sales", "w9", holds=(ev.Held(attempt.id, token_of(attempt, "w9")),)
    )  # what it runs is renewed all the same
    assert attempt.lease_until == world.now + LEASE
    world.send("sales", ev.WorkerStopped(), worker="w2")
    world.after(seconds=1)
    world.beat("sales", "w4")
    assert ("sales", "w4") in world.snapshot.workers


def test_a_workers_queues_stay_one_object_while_they_stay_the_same() -> None:
    world, _ = dispatched()
    worker = world.snapshot.workers["sales", "w1"]
    before = worker.queues
    world.beat("sales", "w1", queues=("default",))
    assert worker.queues is before  # so that capacities are compared by identity
