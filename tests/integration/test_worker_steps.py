"""A real worker with a real broker: what it does with orders, one after the other."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.processes import alive, descendants, eventually
from support.worker_bench import DEPLOYMENT, TEAM, FakeScheduler, fake_location, free_port, log_of, running_worker

from hedgerow import clock
from hedgerow.manifest import model
from hedgerow.protocol import control, names
from hedgerow.protocol.orders import StepOrder

pytestmark = [pytest.mark.servers, pytest.mark.processes]


@pytest.fixture
def location(tmp_path: Path) -> Path:
    return fake_location(tmp_path / "sales")


@pytest.fixture
def scheduler(broker_url: str) -> FakeScheduler:
    return FakeScheduler(broker_url)


@pytest.fixture
def manifest(scheduler: FakeScheduler, location: Path, broker_url: str) -> Iterator[str]:
    with running_worker(location, broker_url):
        yield scheduler.await_manifest()


def test_a_step_is_claimed_run_and_reported_under_one_token(scheduler: FakeScheduler, manifest: str) -> None:
    order = scheduler.run(manifest, "noop")
    scheduler.await_event("attempt_succeeded", order.attempt_id)

    assert scheduler.kinds_of(order.attempt_id) == ["attempt_started", "asset_materialized", "attempt_succeeded"]
    claim = scheduler.redis.get(names.claim_key(DEPLOYMENT, TEAM, order.attempt_id)).decode()
    bodies = [body for _, body in scheduler.events if getattr(body, "attempt_id", "") == order.attempt_id]
    assert {body.token for body in bodies} == {claim}
    assert bodies[1].code_version == "v1"
    assert claim.partition(":")[0] == scheduler.events[0][0].worker


def test_two_deliveries_of_one_order_run_once(scheduler: FakeScheduler, manifest: str, tmp_path: Path) -> None:
    order = scheduler.order(manifest, "touch", partition=str(tmp_path / "runs"), run_tags={"sleep": "0.3"})
    scheduler.send(order)
    scheduler.send(order)
    last = scheduler.run(manifest, "noop")
    scheduler.await_end(last.attempt_id)
    scheduler.await_end(order.attempt_id)

    assert (tmp_path / "runs").read_text().splitlines() == [order.attempt_id]
    assert scheduler.kinds_of(order.attempt_id).count("attempt_succeeded") == 1


def test_an_order_whose_claim_was_revoked_is_dropped_in_silence(scheduler: FakeScheduler, manifest: str) -> None:
    order = scheduler.order(manifest, "noop")
    scheduler.redis.set(names.claim_key(DEPLOYMENT, TEAM, order.attempt_id), "revoked")
    scheduler.send(order)
    last = scheduler.run(manifest, "noop")
    scheduler.await_end(last.attempt_id)

    assert scheduler.kinds_of(order.attempt_id) == []


def test_a_late_order_is_refused_without_a_claim(scheduler: FakeScheduler, manifest: str) -> None:
    order = scheduler.run(manifest, "noop", start_before_ms=clock.now_ms() - 1)
    failed = scheduler.await_end(order.attempt_id)

    assert (failed.reason, failed.error.code, failed.token) == ("refused", "HR-X101", "")
    assert scheduler.redis.get(names.claim_key(DEPLOYMENT, TEAM, order.attempt_id)) is None


def test_an_order_for_another_audience_is_refused(scheduler: FakeScheduler, manifest: str) -> None:
    order = scheduler.order(manifest, "noop", team="finance")
    scheduler.send(order)
    other = scheduler.order("f" * 64, "noop")
    scheduler.send(other, manifest=manifest)

    assert scheduler.await_end(order.attempt_id).error.code == "HR-X103"
    assert scheduler.await_end(other.attempt_id).reason == "refused"


def test_orders_of_one_message_run_one_after_the_other(scheduler: FakeScheduler, manifest: str, tmp_path: Path) -> None:
    orders = [scheduler.order(manifest, "touch", partition=str(tmp_path / "runs")) for _ in range(5)]
    scheduler.send(*orders)
    for order in orders:
        scheduler.await_event("attempt_succeeded", order.attempt_id)

    assert (tmp_path / "runs").read_text().split() == [order.attempt_id for order in orders]


def test_orders_behind_one_whose_runner_dies_run_once_each_in_another_runner(
    scheduler: FakeScheduler, manifest: str, tmp_path: Path
) -> None:
    def orders(count: int, deadly: int = -1) -> list[StepOrder]:
        runs = str(tmp_path / "runs")
        tags = [{"die": "now"} if number == deadly else {} for number in range(count)]
        return [scheduler.order(manifest, "touch", partition=runs, run_tags=each) for each in tags]

    warm, given = orders(12), orders(12, deadly=4)
    scheduler.send(*warm)
    scheduler.send(*given)
    ends = [scheduler.await_end(order.attempt_id) for order in given]

    assert [getattr(end, "reason", "") for end in ends] == [""] * 4 + ["runner_lost"] + [""] * 7
    for order in warm:
        scheduler.await_end(order.attempt_id)
    ran = (tmp_path / "runs").read_text().split()
    assert sorted(ran) == sorted(order.attempt_id for order in [*warm, *given])
    assert [each for each in ran if each in {order.attempt_id for order in given}] == [
        each.attempt_id for each in given
    ]


def test_an_order_behind_a_long_one_is_not_claimed_yet_and_can_be_taken_back(
    scheduler: FakeScheduler, manifest: str
) -> None:
    long, behind, last = (scheduler.order(manifest, name) for name in ("slow", "noop", "noop"))
    scheduler.send(long, behind, last)
    scheduler.await_event("attempt_started", long.attempt_id)
    assert scheduler.redis.set(names.claim_key(DEPLOYMENT, TEAM, behind.attempt_id), "revoked", nx=True)
    scheduler.await_end(last.attempt_id)

    assert scheduler.kinds_of(behind.attempt_id) == []
    assert scheduler.kinds_of(long.attempt_id)[-1] == "attempt_succeeded"


def test_what_is_refused_among_the_orders_of_a_message_harms_none_of_the_others(
    scheduler: FakeScheduler, manifest: str
) -> None:
    orders = [scheduler.order(manifest, "noop") for _ in range(12)]
    orders[3] = scheduler.order(manifest, "noop", start_before_ms=clock.now_ms() - 1)
    orders[5] = scheduler.order(manifest, "noop", team="finance")
    orders[7] = scheduler.order(manifest, "noop", isolation="process")
    scheduler.redis.set(names.claim_key(DEPLOYMENT, TEAM, orders[9].attempt_id), "revoked")
    scheduler.send(*orders)
    ends = [scheduler.await_end(order.attempt_id) for order in orders if order is not orders[9]]

    assert [end.error.code for end in ends if hasattr(end, "error")] == ["HR-X101", "HR-X103"]
    assert scheduler.kinds_of(orders[9].attempt_id) == []


def test_a_runner_that_dies_is_reported_with_its_signal_and_last_words(
    scheduler: FakeScheduler, manifest: str, location: Path
) -> None:
    order = scheduler.run(manifest, "die")
    failed = scheduler.await_end(order.attempt_id)

    assert (failed.reason, failed.error.code) == ("runner_lost", "HR-X107")
    assert "SIGKILL" in failed.error.message
    assert failed.error.traceback == "my last words"
    assert Path(failed.log).read_text() == "my last words\n"
    assert Path(failed.log) == location / "storage" / "_logs" / TEAM / "run-1" / f"{order.attempt_id}.log"
    assert scheduler.await_end(scheduler.run(manifest, "noop").attempt_id).duration_ms == 0.1


def test_a_runner_killed_from_outside_is_replaced(scheduler: FakeScheduler, location: Path, broker_url: str) -> None:
    with running_worker(location, broker_url, slots=1) as worker:
        manifest = scheduler.await_manifest()
        order = scheduler.run(manifest, "forever")
        scheduler.await_event("attempt_started", order.attempt_id)
        killed = descendants(worker.pid)
        for runner in killed:
            runner.send_signal(signal.SIGKILL)
        eventually(lambda: not alive(killed))
        failed = scheduler.await_end(order.attempt_id)
        assert failed.reason == "runner_lost"
        assert scheduler.await_event("attempt_succeeded", scheduler.run(manifest, "noop").attempt_id)


def test_a_worker_that_was_without_runners_for_a_moment_takes_orders_again_at_once(
    scheduler: FakeScheduler, location: Path, broker_url: str
) -> None:
    interpreter = location / "python"
    with running_worker(location, broker_url, slots=1) as worker:
        manifest = scheduler.await_manifest()
        eventually(lambda: len((location / "loads").read_text().splitlines()) == 2)
        order = scheduler.run(manifest, "forever")
        scheduler.await_event("attempt_started", order.attempt_id)
        works = interpreter.read_text()
        interpreter.write_text("#!/bin/sh\nexit 1\n")
        for runner in descendants(worker.pid):
            runner.send_signal(signal.SIGKILL)
        eventually(lambda: "0 warm ones" in log_of(location), within=5)
        interpreter.write_text(works)
        order = scheduler.run(manifest, "noop")
        assert scheduler.await_event("attempt_succeeded", order.attempt_id, within=4)


def test_a_cancelled_step_ends_at_once(scheduler: FakeScheduler, manifest: str) -> None:
    order = scheduler.run(manifest, "forever")
    scheduler.await_event("attempt_started", order.attempt_id)
    scheduler.say(control.CancelAttempt(order.attempt_id, "Someone asked for it."))
    failed = scheduler.await_end(order.attempt_id, within=3.0)

    assert (failed.reason, failed.error.message) == ("cancelled", "Someone asked for it.")


def test_a_step_past_its_timeout_is_ended_even_if_it_ignores_sigterm(scheduler: FakeScheduler, manifest: str) -> None:
    order = scheduler.run(manifest, "deaf", timeout_ms=300)
    failed = scheduler.await_end(order.attempt_id, within=12.0)

    assert (failed.reason, failed.error.code) == ("timed_out", "HR-X105")
    assert "0.3 s" in failed.error.message
    assert scheduler.await_event("attempt_succeeded", scheduler.run(manifest, "noop").attempt_id)


def test_events_that_are_too_large_or_no_events_fail_the_step(scheduler: FakeScheduler, manifest: str) -> None:
    large = scheduler.await_end(scheduler.run(manifest, "large").attempt_id)
    wrong = scheduler.await_end(scheduler.run(manifest, "wrong").attempt_id)

    assert (large.reason, large.error.code, large.retryable) == ("user_error", "HR-X106", False)
    assert (wrong.reason, wrong.error.code) == ("runner_lost", "HR-P104")


def test_what_a_step_prints_is_followed_live_and_kept(scheduler: FakeScheduler, manifest: str) -> None:
    order = scheduler.run(manifest, "print", run_tags={"sleep": "1.5"})
    stream = names.log_stream(DEPLOYMENT, TEAM, order.attempt_id)
    live = eventually(lambda: scheduler.redis.xrange(stream), within=5.0, what="a live log")
    assert live[0][1][b"b"] == b"first line\n"
    assert scheduler.find("attempt_succeeded", order.attempt_id) == []

    done = scheduler.await_end(order.attempt_id)
    assert Path(done.log).read_text() == "first line\nsecond line\n"
    assert scheduler.await_end(scheduler.run(manifest, "noop").attempt_id).log == ""


def test_a_log_that_storage_does_not_take_is_counted_and_costs_the_step_nothing(
    scheduler: FakeScheduler, manifest: str, location: Path
) -> None:
    (location / "storage").mkdir(exist_ok=True)
    (location / "storage" / "_logs").write_text("in the way")
    order = scheduler.run(manifest, "print")
    assert scheduler.await_event("attempt_succeeded", order.attempt_id).log == "dropped:storage:2:23"


def test_a_fresh_runner_is_used_for_a_process_of_its_own(scheduler: FakeScheduler, manifest: str) -> None:
    for _ in range(3):
        order = scheduler.run(manifest, "noop", isolation="process")
        assert scheduler.await_event("attempt_succeeded", order.attempt_id)


def test_heartbeats_name_what_is_held(scheduler: FakeScheduler, manifest: str) -> None:
    order = scheduler.run(manifest, "slow")
    started = scheduler.await_event("attempt_started", order.attempt_id)

    def holding() -> bool:
        scheduler.read()
        return any(
            [(held.attempt_id, held.token) for held in body.holds] == [(order.attempt_id, started.token)]
            for _, body in scheduler.heartbeats
        )

    eventually(holding, within=5.0)
    scheduler.await_end(order.attempt_id)
    count = len(scheduler.heartbeats)
    eventually(lambda: scheduler.read() or len(scheduler.heartbeats) > count + 2)
    assert scheduler.heartbeats[-1][1].holds == ()
    assert scheduler.heartbeats[-1][1].slots == 2


def test_a_slot_with_several_orders_is_one_busy_slot(scheduler: FakeScheduler, manifest: str, tmp_path: Path) -> None:
    def done(count: int, **tags: str) -> None:
        orders = [scheduler.order(manifest, "touch", partition=str(tmp_path / "runs")) for _ in range(count - 1)]
        first = scheduler.order(manifest, "touch", partition=str(tmp_path / "runs"), run_tags=tags)
        scheduler.send(first, *orders)
        scheduler.await_end((orders or [first])[-1].attempt_id)

    def held_several_at_a_heartbeat() -> bool:
        done(40)  # the worker learns that they are short, and takes several at once
        done(12, sleep="1.2")
        return max(len(body.holds) for _, body in scheduler.heartbeats) >= 5

    eventually(held_several_at_a_heartbeat, within=60)
    assert {body.busy for _, body in scheduler.heartbeats} == {0, 1}


def test_the_manifest_is_sent_when_asked_for(scheduler: FakeScheduler, manifest: str) -> None:
    scheduler.say(control.SendManifest(manifest))
    chunk = scheduler.await_event("manifest_chunk")

    assert (chunk.index, chunk.count) == (0, 1)
    assert model.manifest_hash(chunk.text.encode()) == manifest


def test_the_runners_see_nothing_of_the_platform(scheduler: FakeScheduler, location: Path, broker_url: str) -> None:
    environ = {"SECRET_TOKEN": "x", "LC_TIME": "C"}
    with running_worker(location, broker_url, environ=environ) as worker:
        scheduler.await_manifest()
        runner = eventually(lambda: descendants(worker.pid))[0]
        seen = eventually(lambda: psutil.Process(runner.pid).environ())

    assert {name for name in seen if name.startswith("HEDGEROW_")} <= {"HEDGEROW_ORDERS_FD", "HEDGEROW_EVENTS_FD"}
    assert "SECRET_TOKEN" not in seen
    assert seen["LC_TIME"] == "C"


def test_metrics_and_health_are_served(scheduler: FakeScheduler, location: Path, broker_url: str) -> None:
    port = free_port()
    with running_worker(location, broker_url, arguments=("--metrics-port", str(port), "--log-format", "json")):
        manifest = scheduler.await_manifest()
        scheduler.await_end(scheduler.run(manifest, "die").attempt_id)
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        health = urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz").read()

    assert "hedgerow_worker_up 1.0" in text
    assert "hedgerow_worker_runner_exits_total 1.0" in text
    assert 'role="worker"' in text
    assert health == b"ok\n"
    assert json.loads(log_of(location).splitlines()[0])["team"] == TEAM
