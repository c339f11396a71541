"""Leases: a silent worker loses its attempts, but only while it can't be the scheduler that does not hear; and cancellations."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scheduling import LEASE, NOW, World, asset, manifest, states, token_of

from hedgerow.manifest.model import Retry
from hedgerow.partitions.model import StaticPartitions
from hedgerow.protocol import events as ev
from hedgerow_scheduler.lifecycle.model import Attempt, Run
from hedgerow_scheduler.lifecycle.service_time import StepTime
from hedgerow_scheduler.lifecycle.states import AttemptState, StepState
from hedgerow_scheduler.recovery.leases import CANCEL_AGAIN, SILENCE, Contact, broker_lost_data, reap

MEMORY = LEASE * 3


def running() -> tuple[World, Run, Attempt]:
    world = World(manifest("sales", asset("a", retry=Retry(3, delay_ms=10_000, jitter=False))))
    world.beat("sales")
    run = world.start("a")
    (attempt,) = world.cycle()
    world.begin(attempt)
    world.recorded()
    return world, run, attempt


def heard(world: World, since_s: float = 3600) -> dict[str, Contact]:
    """A team whose stream was read without a pause for so long."""
    return {"sales": Contact(world.now - timedelta(seconds=since_s), world.now)}


def reaped(world: World, contacts: dict[str, Contact] | None = None) -> None:
    reap(world.snapshot, heard(world) if contacts is None else contacts, world.now, LEASE, MEMORY)


def test_an_attempt_is_lost_when_its_lease_is_over_and_not_before() -> None:
    world, run, attempt = running()
    world.after(seconds=20)
    reaped(world)
    assert states(run) == ["running"]
    world.after(milliseconds=1)
    reaped(world)
    assert (states(run), attempt.state) == (["retry_wait"], AttemptState.LOST)
    assert (run.steps[0].losses, run.steps[0].failures) == (1, 0)
    world.beat("sales")
    (second,) = world.cycle()
    assert second.number == 2


@pytest.mark.parametrize(
    ("since_s", "until_ago_s", "expires"),
    [(3600, 0, True), (3600, 5, True), (3600, 5.1, False), (20, 0, True), (19, 0, False), (0, 0, False)],
)
def test_a_lease_ends_only_while_the_stream_was_read_for_a_whole_lease_and_is_read_now(
    since_s: float, until_ago_s: float, expires: bool
) -> None:
    world, run, _ = running()
    world.after(minutes=10)
    contact = Contact(world.now - timedelta(seconds=since_s), world.now - timedelta(seconds=until_ago_s))
    reaped(world, {"sales": contact})
    assert (states(run) == ["retry_wait"]) == expires


@pytest.mark.parametrize(("read_after_s", "expires"), [(-0.1, False), (0, True), (0.1, True)])
def test_a_lease_ends_only_when_all_was_read_that_came_before_its_end(read_after_s: float, expires: bool) -> None:
    world, run, attempt = running()
    world.after(seconds=21)
    assert attempt.lease_until is not None
    until = attempt.lease_until + timedelta(seconds=read_after_s)
    reaped(world, {"sales": Contact(NOW - timedelta(hours=1), until)})
    assert (states(run) == ["retry_wait"]) == expires


def test_a_lease_never_ends_while_the_teams_stream_was_never_read() -> None:
    world, run, _ = running()
    world.after(hours=1)
    reaped(world, {})
    reaped(world, {"other": Contact(NOW, world.now)})
    assert states(run) == ["running"]


def test_a_pause_of_over_five_seconds_makes_patience_start_anew() -> None:
    contact = Contact(NOW, NOW)
    contact.read_to_end(NOW + SILENCE)
    assert contact.since == NOW
    later = NOW + SILENCE * 2 + timedelta(milliseconds=1)
    contact.read_to_end(later)
    assert (contact.since, contact.until) == (later, later)
    contact.broken(later + LEASE)
    assert not contact.allows_expiry(later + LEASE * 2 - timedelta(seconds=1), LEASE)


@given(st.lists(st.floats(0, 30), max_size=30), st.floats(0, 60))
def test_contact_allows_expiry_exactly_after_an_unbroken_lease_of_reading(gaps: list[float], wait: float) -> None:
    contact, now, unbroken = Contact(NOW, NOW), NOW, 0.0
    for gap in gaps:
        now += timedelta(seconds=gap)
        unbroken = unbroken + gap if timedelta(seconds=gap) <= SILENCE else 0.0
        contact.read_to_end(now)
    now += timedelta(seconds=wait)
    allowed = contact.allows_expiry(now, LEASE)
    if timedelta(seconds=wait) > SILENCE:
        assert not allowed
    elif abs(unbroken + wait - LEASE.total_seconds()) > 0.001:
        assert allowed == (unbroken + wait >= LEASE.total_seconds())


def test_a_step_that_was_lost_six_times_fails() -> None:
    world, run, attempt = running()
    for number in range(6):
        assert run.steps[0].losses == number
        world.after(minutes=1)
        reaped(world)
        world.beat("sales")
        attempt = (world.cycle() or [attempt])[0]
        world.begin(attempt)
    assert states(run) == ["failed"]
    error = run.steps[0].error
    assert error is not None
    assert error.code == "HR-Q025"


def test_after_the_broker_lost_data_nothing_ends_before_everyone_could_report() -> None:
    world, run, attempt = running()
    waiting = world.start("a")
    world.after(seconds=15)
    broker_lost_data(world.snapshot, "sales", world.now, LEASE)
    assert attempt.lease_until == world.now + 2 * LEASE
    world.after(seconds=39)
    reaped(world)
    assert (states(run), states(waiting)) == (["running"], ["ready"])


def test_after_the_broker_lost_data_an_order_may_be_started_for_longer_and_other_teams_are_left_alone() -> None:
    world = World(manifest("sales", asset("a")), manifest("ml", asset("m")))
    world.beat("sales")
    world.beat("ml", "w2")
    world.start("a m")
    by_team = {attempt.step.team: attempt for attempt in world.cycle()}
    before = by_team["ml"].start_before
    world.snapshot.revoke(by_team["sales"])
    broker_lost_data(world.snapshot, "sales", world.now, LEASE)
    assert by_team["sales"].start_before == world.now + 2 * LEASE
    assert not by_team["sales"].revoking
    assert by_team["ml"].start_before == before


def test_a_worker_that_is_silent_for_long_is_forgotten() -> None:
    world, _, _ = running()
    world.after(seconds=MEMORY.total_seconds())
    reaped(world)
    assert ("sales", "w1") in world.snapshot.workers
    world.after(milliseconds=1)
    reaped(world)
    assert ("sales", "w1") not in world.snapshot.workers
    assert world.recorded()[0].gone_workers == {("sales", "w1")}


# -- cancellation ------------------------------------------------------------------------------------------------------


def cancel(world: World, run: Run) -> None:
    for step in run.steps:
        world.snapshot.cancel_step(step, world.now, "on request")


def test_waiting_and_ready_steps_are_cancelled_at_once() -> None:
    world = World(manifest("sales", asset("a"), asset("b", "a")))
    run = world.start("*")
    cancel(world, run)
    assert states(run) == ["cancelled", "cancelled"]


def test_a_step_that_waits_for_its_retry_is_cancelled_at_once() -> None:
    world, run, attempt = running()
    world.fail(attempt)
    assert states(run) == ["retry_wait"]
    cancel(world, run)
    assert states(run) == ["cancelled"]


def test_a_running_step_is_cancelled_at_its_worker_which_is_told_every_two_seconds() -> None:
    world, run, attempt = running()
    cancel(world, run)
    assert world.recorded()[1].cancel == [attempt]
    told = []
    for _ in range(5):
        world.after(seconds=1)
        reaped(world)
        told.append(len(world.recorded()[1].cancel))
    assert told == [0, 1, 0, 1, 0]
    assert timedelta(seconds=2) == CANCEL_AGAIN
    world.fail(attempt, "cancelled")
    assert states(run) == ["cancelled"]


@pytest.mark.parametrize("reason", ["user_error", "timed_out", "runner_lost", "interrupted"])
def test_a_step_that_is_being_cancelled_is_not_tried_again_however_it_ends(reason: ev.FailureReason) -> None:
    world, run, attempt = running()
    cancel(world, run)
    world.fail(attempt, reason)
    assert states(run) == ["cancelled"]


def test_a_step_that_is_being_cancelled_may_still_succeed() -> None:
    world, run, attempt = running()
    cancel(world, run)
    world.finish(attempt)
    assert states(run) == ["succeeded"]


def test_a_step_that_is_being_cancelled_ends_when_its_worker_is_lost_and_stays_so() -> None:
    world, run, attempt = running()
    cancel(world, run)
    world.after(minutes=1)
    reaped(world)
    assert states(run) == ["cancelled"]
    world.finish(attempt)
    assert states(run) == ["cancelled"]


def test_a_cancellation_that_a_former_leader_had_begun_is_pressed_by_the_next() -> None:
    world, run, attempt = running()
    run.steps[0].cancelling = True
    reaped(world)
    assert world.recorded()[1].cancel == [attempt]


def test_a_step_taken_up_again_after_its_cancellation_is_not_cancelled_by_what_was_left_of_it() -> None:
    world, run, attempt = running()
    cancel(world, run)
    world.fail(attempt, "cancelled")
    assert world.snapshot.retry_steps(run, {0}, world.now) == 1
    (second,) = world.cycle()
    world.begin(second)
    world.after(seconds=10)
    reaped(world)
    assert world.recorded()[1].cancel == [attempt]  # that of before
    assert run.steps[0].state is StepState.RUNNING
    assert second.token == token_of(second)


def test_orders_that_wait_in_a_message_behind_a_step_that_lasts_are_taken_back() -> None:
    keys = StaticPartitions(tuple(f"p{number}" for number in range(40)))
    world = World(manifest("sales", asset("a", partitions=keys)), max_batch=8)
    world.snapshot.step_times[("sales", "sales", "default"), "a"] = quick = StepTime()
    for _ in range(10):
        quick.took(0.0001)
    world.beat("sales", slots=2)
    world.snapshot.service_times["sales", "sales", "default"].took(0.001)
    world.start("a", all_partitions=True)
    started = world.cycle()
    batch = [attempt for attempt in started if attempt.batch == started[0].batch]
    assert len(batch) == 8
    world.begin(batch[0])
    world.recorded()
    world.after(seconds=1)
    reaped(world)
    assert world.recorded()[1].revoke == []
    world.after(milliseconds=1)
    reaped(world)
    assert world.recorded()[1].revoke == batch[1:]
