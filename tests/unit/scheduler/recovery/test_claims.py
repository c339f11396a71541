"""Claims: what the scheduler makes of the answer when it wants to take back an order that nobody has started."""

from __future__ import annotations

from support.scheduling import LEASE, World, asset, manifest, states, token_of

from hedgerow.errors import Problem
from hedgerow_scheduler.lifecycle.model import Attempt, Run
from hedgerow_scheduler.lifecycle.states import AttemptState
from hedgerow_scheduler.recovery.claims import claim_answered, claim_unanswered
from hedgerow_scheduler.recovery.leases import Contact, broker_lost_data, reap


def out() -> tuple[World, Run, Attempt]:
    world = World(manifest("sales", asset("a")))
    world.beat("sales")
    run = world.start("a")
    (attempt,) = world.cycle()
    return world, run, attempt


def listened(world: World) -> dict[str, Contact]:
    """The team's stream was just read to its end."""
    return {"sales": Contact(world.now, world.now)}


def answered(world: World, attempt: Attempt, holder: str | None) -> None:
    """The answer to having asked for the claim."""
    attempt.revoking = True
    claim_answered(world.snapshot, attempt.id, holder, world.now, LEASE)


def test_an_attempt_whose_claim_is_taken_is_over_and_costs_nothing() -> None:
    world, run, attempt = out()
    answered(world, attempt, None)
    step = run.steps[0]
    assert (attempt.state, step.state.value) == (AttemptState.REFUSED, "ready")
    assert (step.failures, step.losses, step.deaths, world.snapshot.locks) == (0, 0, 0, {})
    (second,) = world.cycle()
    assert (second.number, second.step is step) == (2, True)


def test_an_attempt_whose_claim_a_worker_holds_runs_under_that_token() -> None:
    world, run, attempt = out()
    world.after(seconds=31)
    answered(world, attempt, token_of(attempt))
    assert (attempt.state, attempt.worker, attempt.token) == (AttemptState.RUNNING, "w1", token_of(attempt))
    assert attempt.lease_until == world.now + LEASE
    world.begin(attempt)
    world.finish(attempt)
    assert states(run) == ["succeeded"]


def test_a_late_answer_about_an_attempt_that_runs_or_is_over_changes_nothing() -> None:
    world, run, attempt = out()
    world.begin(attempt)
    answered(world, attempt, None)
    assert states(run) == ["running"]
    world.finish(attempt)
    answered(world, attempt, None)
    answered(world, attempt, "w7:x")
    claim_unanswered(world.snapshot, attempt.id)
    assert states(run) == ["succeeded"]


def test_the_claim_is_asked_for_once_and_again_only_after_no_answer() -> None:
    world, _, attempt = out()
    world.after(seconds=31)
    for _ in range(3):
        reap(world.snapshot, listened(world), world.now, LEASE, LEASE)
    assert world.recorded()[1].revoke == [attempt]
    claim_unanswered(world.snapshot, attempt.id)
    reap(world.snapshot, listened(world), world.now, LEASE, LEASE)
    assert world.recorded()[1].revoke == [attempt]


def test_an_order_is_not_taken_back_before_its_time() -> None:
    world, _, _ = out()
    world.after(seconds=30)
    reap(world.snapshot, listened(world), world.now, LEASE, LEASE)
    assert world.recorded()[1].revoke == []


def test_what_is_being_cancelled_ends_when_its_claim_is_taken() -> None:
    world, run, attempt = out()
    world.snapshot.cancel_step(run.steps[0], world.now, "on request")
    assert world.recorded()[1].revoke == [attempt]
    assert states(run) == ["dispatched"]
    answered(world, attempt, None)
    assert states(run) == ["cancelled"]
    assert world.cycle() == []


def test_what_is_being_cancelled_and_was_started_meanwhile_is_cancelled_at_its_worker() -> None:
    world, run, attempt = out()
    world.snapshot.cancel_step(run.steps[0], world.now, "on request")
    world.recorded()
    answered(world, attempt, token_of(attempt))
    assert world.recorded()[1].cancel == [attempt]
    world.fail(attempt, "cancelled")
    assert states(run) == ["cancelled"]


def test_nothing_is_taken_back_before_the_stream_was_read_to_its_end() -> None:
    world, _, _ = out()
    world.after(seconds=31)
    silent = listened(world)
    world.after(seconds=6)
    for contacts in ({}, silent):
        reap(world.snapshot, contacts, world.now, LEASE, LEASE)
        assert world.recorded()[1].revoke == []


def test_an_answer_from_before_the_broker_lost_data_means_nothing() -> None:
    world, run, attempt = out()
    world.snapshot.revoke(attempt)
    broker_lost_data(world.snapshot, "sales", world.now, LEASE)
    claim_answered(world.snapshot, attempt.id, None, world.now, LEASE)
    assert (attempt.state, states(run)) == (AttemptState.DISPATCHED, ["dispatched"])


def test_an_order_that_a_worker_refuses_is_tried_again_slower_each_time_and_says_why() -> None:
    world, run, attempt = out()
    why = Problem("HR-X101", "The order came too late.", "Set the worker's clock.")
    waits = []
    for _ in range(7):
        attempt.error = why
        answered(world, attempt, None)
        step = run.steps[0]
        assert (step.state.value, step.error, step.failures) == ("retry_wait", why, 0)
        assert step.not_before is not None
        waits.append((step.not_before - world.now).total_seconds())
        world.now = step.not_before
        world.beat("sales")
        world.snapshot.fire_timers(world.now)
        (attempt,) = world.cycle()
    assert waits == [1, 2, 4, 8, 16, 30, 30]
