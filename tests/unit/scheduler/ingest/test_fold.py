"""Folding: what each event does, which are passed over, and that nothing a team sends stops the rest."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from support.scheduling import (
    LEASE,
    NOW,
    World,
    asset,
    envelope,
    failure,
    live,
    manifest,
    multi,
    states,
    success,
    token_of,
)

from hedgerow.errors import Problem
from hedgerow.manifest.model import Retry
from hedgerow.protocol import events as ev
from hedgerow.protocol.envelope import encode_batch
from hedgerow.protocol.references import Reference
from hedgerow_scheduler.ingest.fold import Entry
from hedgerow_scheduler.lifecycle.model import Attempt
from hedgerow_scheduler.lifecycle.states import AttemptState, MaterializationState, RunState
from hedgerow_scheduler.recovery.leases import lose

SALES = manifest(
    "sales", asset("a", retry=Retry(1, delay_ms=10_000, jitter=False)), asset("b", "a"), multi(("x", "y")), asset("z")
)
WORST = manifest("other", asset("o"))


def dispatched(*selection: str) -> tuple[World, list[Attempt]]:
    world = World(SALES, WORST)
    world.beat("sales", slots=9)
    world.beat("other", "w9", slots=9)
    world.start(*(selection or ("a",)))
    attempts = world.cycle()
    world.recorded()
    return world, attempts


def counted(world: World, what: str, team: str = "sales") -> int:
    return world.fold.counted[team, what]


# -- the life of an attempt --------------------------------------------------------------------------------------------


def test_a_started_attempt_is_bound_to_its_token_under_a_lease() -> None:
    world, (attempt,) = dispatched()
    world.after(seconds=1)
    world.begin(attempt)
    assert (attempt.state, attempt.worker, attempt.token) == (AttemptState.RUNNING, "w1", token_of(attempt))
    assert attempt.lease_until == world.now + LEASE
    assert attempt.step.state.value == "running"
    assert attempt.step.started_at == world.now


def test_an_attempt_that_succeeds_makes_its_outputs_current_and_its_step_succeed() -> None:
    world, (attempt,) = dispatched("x")
    world.begin(attempt)
    world.finish(attempt)
    changes, _ = world.recorded()
    assert {key: output.state for (_, key), output in changes.outputs.items()} == {
        "x": MaterializationState.CURRENT, "y": MaterializationState.CURRENT,
    }  # fmt: skip
    assert (attempt.state, attempt.step.state.value) == (AttemptState.SUCCEEDED, "succeeded")
    assert live(world.snapshot) == []


def test_a_whole_life_may_come_in_one_entry() -> None:
    world, (attempt,) = dispatched()
    world.send("sales", ev.AttemptStarted(attempt.id, token_of(attempt)), *success(attempt))
    assert attempt.step.state.value == "succeeded"


def test_an_output_keeps_what_its_event_said_and_the_steps_own_partition() -> None:
    world, (attempt,) = dispatched()
    reference = Reference("s3://lake/a", "parquet", size_bytes=7)
    world.begin(attempt)
    world.send(
        "sales",
        ev.AssetMaterialized(attempt.id, "a", token_of(attempt), "never", reference, "d1", "c1", {"rows": 3}),
    )
    output = attempt.outputs["a"]
    assert (output.reference, output.data_version, output.code_version, output.metadata) == (
        reference, "d1", "c1", {"rows": 3},
    )  # fmt: skip
    assert (output.partition, output.state) == ("", MaterializationState.CANDIDATE)


def test_an_output_of_an_asset_that_the_step_does_not_make_is_passed_over() -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)
    world.send("sales", ev.AssetMaterialized(attempt.id, "o", token_of(attempt)))
    assert attempt.outputs == {}


def test_a_failure_waits_for_its_retry_and_discards_what_was_written() -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)
    world.send("sales", ev.AssetMaterialized(attempt.id, "a", token_of(attempt)))
    world.fail(attempt)
    changes, _ = world.recorded()
    assert [output.state for output in changes.outputs.values()] == [MaterializationState.DISCARDED]
    assert (attempt.step.state.value, attempt.step.failures) == ("retry_wait", 1)
    assert attempt.step.not_before == NOW + timedelta(seconds=10)
    assert attempt.step.error is not None


def test_the_last_failure_fails_the_step_and_everything_below() -> None:
    world, _ = dispatched("a b")
    run = next(iter(world.snapshot.runs.values()))
    for _ in range(2):
        (attempt,) = live(world.snapshot)
        world.begin(attempt)
        world.fail(attempt)
        world.after(seconds=10)
        world.beat("sales", slots=9)
        world.cycle()
    assert states(run) == ["failed", "upstream_failed"]
    assert run.state is RunState.FAILED


@pytest.mark.parametrize(
    ("reason", "step", "attempt_state"),
    [
        ("timed_out", "retry_wait", AttemptState.TIMED_OUT),
        ("bad_order", "failed", AttemptState.FAILED),
        ("check_failed", "failed", AttemptState.FAILED),
        ("interrupted", "ready", AttemptState.INTERRUPTED),
        ("runner_lost", "retry_wait", AttemptState.LOST),
        ("cancelled", "cancelled", AttemptState.CANCELLED),
    ],
)
def test_each_way_to_fail_has_its_end(reason: ev.FailureReason, step: str, attempt_state: AttemptState) -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)
    world.fail(attempt, reason)
    assert (attempt.step.state.value, attempt.state) == (step, attempt_state)


def test_an_error_that_must_not_be_retried_is_final() -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)
    world.fail(attempt, retryable=False)
    assert attempt.step.state.value == "failed"


def test_an_interrupted_attempt_costs_nothing_and_is_dispatched_again_at_once() -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)
    world.fail(attempt, "interrupted")
    step = attempt.step
    assert (step.failures, step.losses, step.deaths) == (0, 0, 0)
    assert [again.step for again in world.cycle()] == [step]


def test_a_runner_that_dies_three_times_parks_the_step() -> None:
    world, (attempt,) = dispatched()
    step = attempt.step
    for _ in range(3):
        world.begin(attempt)
        world.fail(attempt, "runner_lost")
        attempt = (world.cycle() or [attempt])[0]
    assert (step.state.value, step.deaths, step.failures) == ("poisoned", 3, 0)


def test_a_skip_is_carried_to_everything_below() -> None:
    world, (attempt,) = dispatched("a b")
    run = attempt.step.run
    world.begin(attempt)
    world.send("sales", ev.AssetMaterialized(attempt.id, "a", token_of(attempt)))
    world.send("sales", ev.AttemptSkipped(attempt.id, "nothing new", token_of(attempt)))
    assert states(run) == ["skipped", "skipped"]
    assert run.state is RunState.SUCCEEDED
    error = run.steps[0].error
    assert error is not None
    assert "nothing new" in error.message
    assert attempt.outputs["a"].state is MaterializationState.DISCARDED


# -- checks ------------------------------------------------------------------------------------------------------------


def verdict(attempt: Attempt, passed: bool, key: str = "x", **more: object) -> ev.CheckEvaluated:
    return ev.CheckEvaluated(attempt.id, key, "rows", passed, token_of(attempt), **more)  # type: ignore[arg-type]


def test_a_failed_blocking_check_rejects_its_candidate_and_only_that_and_fails_the_step() -> None:
    world, (attempt,) = dispatched("x")
    token = token_of(attempt)
    world.begin(attempt)
    world.send("sales", ev.AssetMaterialized(attempt.id, "x", token), verdict(attempt, False, blocking=True))
    world.send("sales", ev.AssetMaterialized(attempt.id, "y", token), failure(attempt, "check_failed"))
    changes, _ = world.recorded()
    assert {key: output.state.value for (_, key), output in changes.outputs.items()} == {
        "x": "rejected", "y": "current",
    }  # fmt: skip
    assert attempt.step.state.value == "failed"
    assert [record.verdict.passed for record in changes.checks] == [False]


def test_downstream_of_a_blocked_asset_fails_without_starting() -> None:
    world, (attempt,) = dispatched("a b")
    world.begin(attempt)
    world.send(
        "sales", ev.AssetMaterialized(attempt.id, "a", token_of(attempt)), verdict(attempt, False, "a", blocking=True)
    )
    world.fail(attempt, "check_failed")
    assert states(attempt.step.run) == ["failed", "upstream_failed"]


@pytest.mark.parametrize("more", [{"blocking": False}, {"blocking": True, "severity": "warn"}])
def test_a_check_that_does_not_block_leaves_its_candidate_alone(more: dict[str, object]) -> None:
    world, (attempt,) = dispatched("x")
    world.begin(attempt)
    world.send("sales", ev.AssetMaterialized(attempt.id, "x", token_of(attempt)), verdict(attempt, False, **more))
    world.send("sales", ev.AttemptSucceeded(attempt.id, token_of(attempt)))
    assert attempt.outputs["x"].state is MaterializationState.CURRENT
    assert attempt.step.state.value == "succeeded"


def test_a_verdict_on_an_asset_that_the_step_does_not_make_is_passed_over() -> None:
    world, (attempt,) = dispatched("x")
    world.begin(attempt)
    world.send("sales", verdict(attempt, False, "o", blocking=True))
    assert world.recorded()[0].checks == []
    assert attempt.rejected == set()


# -- numbers -----------------------------------------------------------------------------------------------------------


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
    assert (event.team, event.worker, event.seq, event.kind, event.attempt_id, event.body) == (
        "sales", "w1", 1, "attempt_started", attempt.id, sent,
    )  # fmt: skip


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
    (event,) = world.recorded()[0].events
    assert event.attempt_id is None


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


# -- heartbeats and workers --------------------------------------------------------------------------------------------


def test_a_heartbeat_renews_the_lease_of_what_it_holds_under_the_right_token_only() -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)
    world.after(seconds=5)
    world.beat("sales", holds=(ev.Held(attempt.id, "w1:wrong"),))
    assert attempt.lease_until == NOW + LEASE
    world.beat("other", "w9", holds=(ev.Held(attempt.id, token_of(attempt)),))
    assert attempt.lease_until == NOW + LEASE
    world.beat("sales", holds=(ev.Held(attempt.id, token_of(attempt)),))
    assert attempt.lease_until == world.now + LEASE


def test_a_heartbeat_may_be_the_first_to_say_that_an_attempt_runs() -> None:
    world, (attempt,) = dispatched()
    world.beat("sales", holds=(ev.Held(attempt.id, token_of(attempt)),))
    assert (attempt.state, attempt.token) == (AttemptState.RUNNING, token_of(attempt))
    world.begin(attempt)
    world.finish(attempt)
    assert attempt.step.state.value == "succeeded"


def test_a_heartbeat_does_not_bring_a_lost_attempt_back() -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)
    lose(world.snapshot, attempt, world.now)
    world.beat("sales", holds=(ev.Held(attempt.id, token_of(attempt)),))
    assert (attempt.state, attempt.lease_until) == (AttemptState.LOST, None)


def test_a_worker_is_as_its_last_heartbeat_says_until_it_stops() -> None:
    world, _ = dispatched()
    world.after(seconds=3)
    world.beat("sales", "w2", slots=4, busy=1, state="draining", host="h", pid=7)
    worker = world.snapshot.workers["sales", "w2"]
    assert (worker.slots, worker.busy, worker.state, worker.host, worker.pid) == (4, 1, "draining", "h", 7)
    assert (worker.first_seen, worker.last_seen) == (world.now, world.now)
    world.send("sales", ev.WorkerStopped("drained"), worker="w2")
    assert ("sales", "w2") not in world.snapshot.workers
    assert world.recorded()[0].gone_workers == {("sales", "w2")}


# -- what can't be understood ------------------------------------------------------------------------------------------

GOOD = envelope(ev.WorkerStopped(), "w1", 1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\xff",
        b"{}",
        b"[",
        b"nonsense",
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 50_000,
        encode_batch([GOOD, b'{"id":"\\ud800","kind":"a","v":1,"body":{}}']),
        encode_batch([GOOD, b'{"id":"a","kind":"a","v":1,"body":' + b"[" * 5000 + b"]" * 5000 + b"}"]),
    ],
    ids=[
        "empty",
        "binary",
        "no list",
        "cut off",
        "text",
        "deep",
        "deep and closed",
        "deep maps",
        "half a sign",
        "deep body",
    ],
)
def test_an_entry_that_is_no_batch_is_put_aside(body: bytes) -> None:
    world, _ = dispatched()
    world.fold.entry(Entry("sales", "7-0", body), world.now)
    changes, _ = world.recorded()
    (aside,) = changes.quarantined
    assert changes.sequences == {}
    assert (aside.team, aside.entry_id, aside.body) == ("sales", "7-0", body)
    assert counted(world, "quarantined") == 1


@pytest.mark.parametrize(
    "bad",
    [
        b"7",
        b'"text"',
        b"{}",
        b"[[]]",
        b'{"id":"a","kind":"worker_stopped","v":1,"body":{},"worker":"w1","seq":"1"}',
        b'{"id":"a","kind":"worker_stopped","v":1,"body":{},"worker":"","seq":1}',
        b'{"id":"a","kind":"worker_stopped","v":1,"body":{},"worker":"w\\u0000","seq":1}',
        b'{"id":"a","kind":"worker_stopped","v":1,"body":{},"worker":"' + b"w" * 3000 + b'","seq":1}',
        b'{"id":"a","kind":"worker_stopped","v":1,"body":{},"worker":"w1","seq":0}',
    ],
)
def test_what_is_no_envelope_is_put_aside_and_its_neighbours_are_folded(bad: bytes) -> None:
    world, _ = dispatched()
    world.fold.entry(Entry("sales", "7-0", encode_batch([bad, GOOD])), world.now)
    assert len(world.recorded()[0].quarantined) == 1
    assert world.snapshot.sequences["sales", "w1"] == 1


def test_an_unknown_kind_is_put_aside_but_its_number_counts() -> None:
    world, _ = dispatched()
    odd = b'{"id":"a","kind":"sang","v":1,"body":{},"worker":"w1","seq":1}'
    world.receive("sales", odd, envelope(ev.WorkerStopped(), "w1", 2))
    changes, _ = world.recorded()
    assert "unknown kind 'sang'" in changes.quarantined[0].reason
    assert changes.sequences == {("sales", "w1"): 2}


@pytest.mark.parametrize(
    "body",
    [
        ev.WorkerHeartbeat("sales", "m", ("default",), slots=-1),
        ev.WorkerHeartbeat("sales", "m", ("default",), slots=1 << 40),
        ev.WorkerHeartbeat("sales", "m", ("default",), slots=1, busy=1 << 40),
        ev.WorkerHeartbeat("sales", "m", ("default",), slots=1, pid=1 << 40),
        ev.WorkerHeartbeat("Sales\x00", "m", ("default",), slots=1),
        ev.WorkerHeartbeat("sales", "m", ("de\x00fault",), slots=1),
        ev.LocationFailed("sales", "no name", ()),
        ev.ManifestPublished("sales", "\x00", "h", 1),
        ev.CheckEvaluated("a", "x", "c" * 3000, True),
        ev.CheckEvaluated("a", "x", "", True),
    ],
)
def test_names_and_numbers_out_of_bounds_are_put_aside(body: ev.Event) -> None:
    world, _ = dispatched()
    seq = 0 if isinstance(body, ev.WorkerHeartbeat) else 1
    world.receive("sales", envelope(body, "w2", seq))
    changes, _ = world.recorded()
    assert len(changes.quarantined) == 1
    assert changes.workers == {}
    assert changes.locations == []


@pytest.mark.parametrize(
    "text",
    [
        '{"attempt_id": 5}',
        "[]",
        "null",
        '{"attempt_id":"a","token":"t","extra":"\\ud800"}',
    ],
)
def test_a_body_that_does_not_fit_its_kind_is_put_aside(text: str) -> None:
    world, _ = dispatched()
    world.receive("sales", f'{{"id":"a","kind":"attempt_started","v":1,"body":{text},"worker":"w1","seq":1}}'.encode())
    assert len(world.recorded()[0].quarantined) == 1


def test_an_event_that_is_too_large_is_put_aside() -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)
    world.send("sales", ev.AssetMaterialized(attempt.id, "a", token_of(attempt), metadata={"m": "x" * 300_000}))
    assert "256 KiB" in world.recorded()[0].quarantined[0].reason


def test_metadata_may_be_nested_within_reason_and_no_deeper() -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)

    def nested(levels: int) -> dict[str, object]:
        found: dict[str, object] = {}
        for _ in range(levels):
            found = {"a": found}
        return found

    world.send("sales", ev.AssetMaterialized(attempt.id, "a", token_of(attempt), metadata=nested(250)))
    assert world.recorded()[0].quarantined == []
    world.send("sales", ev.AssetMaterialized(attempt.id, "a", token_of(attempt), metadata=nested(400)))
    assert "nested too deeply" in world.recorded()[0].quarantined[0].reason


def test_brackets_within_a_text_are_no_nesting() -> None:
    world, (attempt,) = dispatched()
    world.begin(attempt)
    error = Problem("HR-X001", 'It said "' + "[{" * 2000 + '" \\', "Mend it.")
    world.send("sales", ev.AttemptFailed(attempt.id, "user_error", error, token_of(attempt)))
    assert attempt.step.state.value == "retry_wait"


def test_unknown_fields_of_a_newer_worker_are_passed_over() -> None:
    world, (attempt,) = dispatched()
    body = msgspec.json.encode({"attempt_id": attempt.id, "token": token_of(attempt), "mood": "good"}).decode()
    world.receive(
        "sales", f'{{"id":"a","kind":"attempt_started","v":9,"new":1,"body":{body},"worker":"w1","seq":1}}'.encode()
    )
    assert attempt.state is AttemptState.RUNNING
