"""Folding: workers, and that nothing that can't be understood stops the rest."""

from __future__ import annotations

import msgspec
import pytest
from support.folding import counted, dispatched
from support.scheduling import (
    LEASE,
    NOW,
    envelope,
    token_of,
)

from hedgerow.errors import Problem
from hedgerow.protocol import events as ev
from hedgerow.protocol.envelope import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, encode_batch
from hedgerow_scheduler.ingest.fold import MAX_KEPT_BYTES, MAX_REASON, Entry
from hedgerow_scheduler.lifecycle.states import AttemptState
from hedgerow_scheduler.recovery.leases import lose


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
    assert (aside.team, aside.entry_id, aside.body) == ("sales", "7-0", body[:MAX_KEPT_BYTES])
    assert (len(body) > MAX_KEPT_BYTES) == ("are kept" in aside.reason)
    assert counted(world, "quarantined") == 1


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (encode_batch([GOOD] * (MAX_BATCH_EVENTS + 1)), "it holds 1,001 events, at most 1,000 are taken"),
        (encode_batch([b"1"] * 500_000), "it holds 500,000 events"),
        (encode_batch([b'"' + b"x" * MAX_BATCH_BYTES + b'"']), "it is over 1,024 KiB"),
    ],
)
def test_an_entry_with_more_than_a_worker_sends_at_once_is_put_aside_as_one(body: bytes, why: str) -> None:
    world, _ = dispatched()
    world.fold.entry(Entry("sales", "7-0", body), world.now)
    (aside,) = world.recorded()[0].quarantined
    assert why in aside.reason


def test_a_reason_is_no_longer_than_one_reads() -> None:
    world, _ = dispatched()
    kind = "k" * 200_000
    world.receive("sales", f'{{"id":"a","kind":"{kind}","v":1,"body":{{}},"worker":"w1","seq":1}}'.encode())
    (aside,) = world.recorded()[0].quarantined
    assert aside.reason.startswith("unknown kind 'kkk")
    assert len(aside.reason) <= MAX_REASON
    assert "are kept" in aside.reason


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
        b'{"id":"a","kind":"worker_stopped","v":1,"body":{},"worker":"w1","seq":-1}',
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
        ev.WorkerHeartbeat("sales", "m" * 1000, ("default",), slots=1),
        ev.WorkerHeartbeat("sales", "m", ("default",), slots=1, host="h" * 1000),
        ev.LocationFailed("sales", "no name", ()),
        ev.LocationFailed("other", "sales", ()),
        ev.ManifestPublished("other", "sales", "h", 1),
        ev.ManifestPublished("sales", "\x00", "h", 1),
        ev.ManifestPublished("sales", "sales", "h", -1),
        ev.ManifestPublished("sales", "sales", "h" * 1000, 1),
        ev.ManifestChunk("h", 0, 0, "text"),
        ev.ManifestChunk("h", -1, 1, "text"),
        ev.ManifestChunk("h", 1, 1, "text"),
        ev.ManifestChunk("h", 0, 1_000_000, "text"),
        ev.AttemptStarted("a", ""),
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
    assert changes.events == []
    assert world.recorded()[1].send_manifest == {}
    assert counted(world, "ingested") == 1  # the heartbeat before


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
