"""A real worker that leaves, asked or not, and what becomes of its steps, runners and events."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis
from support.locations import write_location
from support.processes import alive, descendants, eventually, running
from support.worker_bench import (
    DEPLOYMENT,
    TEAM,
    FakeScheduler,
    fake_location,
    free_port,
    log_of,
    running_worker,
    worker_environment,
)

from hedgerow.protocol import control, names

pytestmark = [pytest.mark.servers, pytest.mark.processes]

REAL = """
    import time
    import hedgerow as hr

    @hr.asset
    def noop() -> None:
        pass

    @hr.asset
    def forever() -> None:
        while True:
            time.sleep(60)
"""


@pytest.fixture
def location(tmp_path: Path) -> Path:
    return fake_location(tmp_path / "sales")


@pytest.fixture
def scheduler(broker_url: str) -> FakeScheduler:
    return FakeScheduler(broker_url)


def test_a_worker_told_to_stop_finishes_its_steps_and_delivers_every_event(
    scheduler: FakeScheduler, location: Path, broker_url: str
) -> None:
    with running_worker(location, broker_url) as worker:
        manifest = scheduler.await_manifest()
        order = scheduler.run(manifest, "slow")
        scheduler.await_event("attempt_started", order.attempt_id)
        worker.send_signal(signal.SIGTERM)
        late = scheduler.run(manifest, "noop")
        scheduler.await_event("attempt_succeeded", order.attempt_id)
        scheduler.await_event("worker_stopped")
        eventually(lambda: scheduler.read() or worker.poll() is not None)

    assert worker.returncode == 0
    assert "attempt_succeeded" not in scheduler.kinds_of(late.attempt_id)
    assert list((location / ".hedgerow" / "outbox" / TEAM).iterdir()) == []


def test_a_step_that_outlasts_the_grace_is_reported_as_interrupted(
    scheduler: FakeScheduler, location: Path, broker_url: str
) -> None:
    with running_worker(location, broker_url, environ={"HEDGEROW_GRACE_S": "2"}) as worker:
        order = scheduler.run(scheduler.await_manifest(), "forever")
        scheduler.await_event("attempt_started", order.attempt_id)
        worker.send_signal(signal.SIGTERM)
        failed = scheduler.await_end(order.attempt_id, within=6)
        eventually(lambda: scheduler.read() or worker.poll() is not None)

    assert (failed.reason, failed.error.code) == ("interrupted", "HR-X104")
    assert worker.returncode == 0


def test_a_second_signal_makes_it_quicker(scheduler: FakeScheduler, location: Path, broker_url: str) -> None:
    with running_worker(location, broker_url, environ={"HEDGEROW_GRACE_S": "600"}) as worker:
        order = scheduler.run(scheduler.await_manifest(), "forever")
        scheduler.await_event("attempt_started", order.attempt_id)
        worker.send_signal(signal.SIGINT)
        eventually(lambda: scheduler.read() or scheduler.heartbeats[-1][1].state == "draining")
        assert worker.poll() is None
        worker.send_signal(signal.SIGINT)
        assert scheduler.await_end(order.attempt_id, within=6).reason == "interrupted"
        eventually(lambda: scheduler.read() or worker.poll() is not None, within=6)


def test_the_scheduler_can_ask_one_worker_to_drain(scheduler: FakeScheduler, location: Path, broker_url: str) -> None:
    with running_worker(location, broker_url) as worker:
        scheduler.await_manifest()
        scheduler.say(control.DrainWorker("another"))
        scheduler.say(control.DrainWorker(scheduler.events[0][0].worker))
        eventually(lambda: scheduler.read() or worker.poll() is not None)

    assert worker.returncode == 0
    assert scheduler.find("worker_stopped")[0].why == "the scheduler asked for it"


def test_code_that_cannot_be_loaded_is_reported_and_printed(
    scheduler: FakeScheduler, location: Path, broker_url: str
) -> None:
    (location / "broken").touch()
    with running_worker(location, broker_url) as worker:
        failed = scheduler.await_event("location_failed")
        eventually(lambda: scheduler.read() or worker.poll() is not None)

    assert [problem.message for problem in failed.problems] == ["It is broken."]
    assert worker.returncode == 1
    assert "HR-D000  It is broken." in log_of(location)


def test_an_interpreter_without_hedgerow_is_reported_with_what_it_said(
    scheduler: FakeScheduler, location: Path, broker_url: str
) -> None:
    (location / "python").write_text("#!/bin/sh\necho No module named hedgerow >&2\nexit 1\n")
    with running_worker(location, broker_url) as worker:
        problem = scheduler.await_event("location_failed").problems[0]
        eventually(lambda: scheduler.read() or worker.poll() is not None)

    assert problem.code == "HR-P101"
    assert "No module named hedgerow" in problem.message


def test_a_worker_never_runs_mixed_code(scheduler: FakeScheduler, location: Path, broker_url: str) -> None:
    with running_worker(location, broker_url, slots=1) as worker:
        manifest = scheduler.await_manifest()
        eventually(lambda: len((location / "loads").read_text().splitlines()) == 2)
        (location / "extra").write_text("changed")
        first = scheduler.run(manifest, "die")
        assert scheduler.await_end(first.attempt_id).reason == "runner_lost"
        eventually(lambda: scheduler.read() or worker.poll() is not None)

    assert worker.returncode == 75
    assert "HR-P102" in log_of(location)


def test_other_code_on_disk_ends_no_step_that_runs(scheduler: FakeScheduler, location: Path, broker_url: str) -> None:
    with running_worker(location, broker_url, environ={"HEDGEROW_GRACE_S": "0.5"}) as worker:
        manifest = scheduler.await_manifest()
        eventually(lambda: len((location / "loads").read_text().splitlines()) == 3)
        slow = scheduler.run(manifest, "slow")
        scheduler.await_event("attempt_started", slow.attempt_id)
        (location / "extra").write_text("changed")
        scheduler.run(manifest, "die")
        eventually(lambda: "HR-P102" in log_of(location), within=2)
        assert scheduler.await_end(slow.attempt_id).duration_ms == 0.1
        eventually(lambda: scheduler.read() or worker.poll() is not None)

    assert worker.returncode == 75
    assert scheduler.find("worker_stopped")


def test_a_worker_whose_code_on_disk_is_broken_serves_on_until_its_last_runner_is_gone(
    scheduler: FakeScheduler, location: Path, broker_url: str
) -> None:
    with running_worker(location, broker_url, slots=1) as worker:
        manifest = scheduler.await_manifest()
        eventually(lambda: len((location / "loads").read_text().splitlines()) == 2)
        (location / "broken").touch()
        first = [scheduler.order(manifest, name) for name in ("die", "noop")]
        scheduler.send(*first)
        assert [scheduler.await_end(order.attempt_id).__class__.__name__ for order in first] == [
            "AttemptFailed",
            "AttemptSucceeded",
        ]
        eventually(lambda: "HR-D000  It is broken." in log_of(location))
        assert worker.poll() is None
        last = [scheduler.order(manifest, name) for name in ("die", "noop")]
        scheduler.send(*last)
        lost, handed_back = [scheduler.await_end(order.attempt_id) for order in last]
        eventually(lambda: scheduler.read() or worker.poll() is not None)

    assert (lost.reason, handed_back.reason) == ("runner_lost", "interrupted")
    assert worker.returncode == 75
    assert "ERROR" not in log_of(location)


def test_a_killed_worker_leaves_no_runner_and_the_next_one_delivers_its_events(
    scheduler: FakeScheduler, tmp_path: Path, broker_url: str
) -> None:
    location = write_location(tmp_path / "real", TEAM, REAL)
    scheduler.acknowledging = False
    with running_worker(location, broker_url) as worker:
        manifest = scheduler.await_manifest()
        order = scheduler.run(manifest, "forever")
        scheduler.await_event("attempt_started", order.attempt_id)
        first = scheduler.events[0][0].worker
        runners = descendants(worker.pid)
        assert runners
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        eventually(lambda: not alive(runners), within=5, what="the runners end")

    # The broker lost all that the dead worker had sent.
    scheduler.redis.flushall()
    fresh = FakeScheduler(broker_url)
    with running_worker(location, broker_url):
        started = fresh.await_event("attempt_started", order.attempt_id)
        eventually(lambda: fresh.read() or len(list((location / ".hedgerow" / "outbox" / TEAM).iterdir())) == 1)
    assert started.token.startswith(first)
    assert {envelope.worker for envelope, _ in fresh.events} >= {first}


def test_a_worker_whose_parent_is_gone_ends(scheduler: FakeScheduler, location: Path, broker_url: str) -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from hedgerow_workers.cli import main; sys.exit(main(sys.argv[1:]))",
            location,
        ],
        env={**worker_environment(location, broker_url), "HEDGEROW_LIFELINE_FD": str(reading)},
        pass_fds=[reading],
        start_new_session=True,
    )
    try:
        order = scheduler.run(scheduler.await_manifest(), "forever")
        scheduler.await_event("attempt_started", order.attempt_id)
        below = descendants(process.pid)
        os.close(writing)
        eventually(lambda: scheduler.read() or process.poll() is not None, within=6)
        eventually(lambda: not alive(below), within=5)
    finally:
        process.kill()
        os.close(reading)


def test_celery_itself_can_start_the_worker(scheduler: FakeScheduler, location: Path, broker_url: str) -> None:
    command = [
        sys.executable, "-m", "celery", "-q", "-A", "hedgerow_workers.app", "worker",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    ]  # fmt: skip
    environ = {**worker_environment(location, broker_url), "HEDGEROW_LOCATION": str(location)}
    with running(command, log=location / "worker.log", environ=environ) as worker:
        order = scheduler.run(scheduler.await_manifest(), "noop")
        assert scheduler.await_event("attempt_succeeded", order.attempt_id)
        worker.send_signal(signal.SIGTERM)
        eventually(lambda: scheduler.read() or worker.poll() is not None)
    assert worker.returncode == 0


def test_the_tools_of_celery_can_be_switched_on(scheduler: FakeScheduler, location: Path, broker_url: str) -> None:
    with running_worker(location, broker_url, environ={"HEDGEROW_WORKER_CELERY_TOOLS": "1"}):
        order = scheduler.run(scheduler.await_manifest(), "noop")
        assert scheduler.await_event("attempt_succeeded", order.attempt_id)


@contextmanager
def _own_broker(home: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    from hedgerow_scheduler.embedded.binaries import valkey_server

    home.mkdir(exist_ok=True)
    command = [
        valkey_server(),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--appendonly",
        "yes",
        "--save",
        "",
        "--dir",
        home,
    ]
    with running(command, log=home / "log") as process:
        eventually(lambda: redis.Redis(port=port).ping())
        yield process


def test_a_worker_outlives_its_broker_and_loses_no_event(location: Path, tmp_path: Path) -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    scheduler = FakeScheduler(url)
    with (
        _own_broker(tmp_path / "broker", port) as broker,
        running_worker(location, url, environ={"HEDGEROW_LEASE_S": "60"}),
    ):
        manifest = scheduler.await_manifest()
        slow = scheduler.run(manifest, "slow")
        scheduler.await_event("attempt_started", slow.attempt_id)
        broker.kill()
        broker.wait()
        # It ends while there is no broker.
        eventually(lambda: log_of(location).count("does not answer"), within=5)
        with _own_broker(tmp_path / "broker", port):
            assert scheduler.await_event("attempt_succeeded", slow.attempt_id)
            order = scheduler.run(manifest, "noop")
            assert scheduler.await_event("attempt_succeeded", order.attempt_id)


def test_a_step_that_must_not_run_on_is_stopped_when_contact_is_lost(location: Path, tmp_path: Path) -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    scheduler = FakeScheduler(url)
    with _own_broker(tmp_path / "broker", port) as broker, running_worker(location, url):
        manifest = scheduler.await_manifest()
        stopping = scheduler.run(manifest, "forever", on_lost_contact="stop")
        going_on = scheduler.run(manifest, "forever")
        for order in (stopping, going_on):
            scheduler.await_event("attempt_started", order.attempt_id)
        broker.kill()
        broker.wait()
        eventually(lambda: "stopped attempt" in log_of(location), within=6)
        with _own_broker(tmp_path / "broker", port):
            failed = scheduler.await_end(stopping.attempt_id)
            assert (failed.reason, failed.error.code) == ("interrupted", "HR-X108")
            assert scheduler.kinds_of(going_on.attempt_id) == ["attempt_started"]


def test_events_are_sent_again_when_nobody_acknowledges_them_or_when_asked(
    scheduler: FakeScheduler, location: Path, broker_url: str
) -> None:
    stream = names.events_stream(DEPLOYMENT, TEAM)
    scheduler.acknowledging = False
    with running_worker(location, broker_url):
        order = scheduler.run(scheduler.await_manifest(), "noop")
        scheduler.await_event("attempt_succeeded", order.attempt_id)
        for again in ("asked", "waited"):
            scheduler.redis.delete(stream)
            fresh = FakeScheduler(broker_url)
            if again == "asked":
                fresh.acknowledging = False
                fresh.say(control.ResendEvents("*", 0))
            assert fresh.await_event("attempt_succeeded", order.attempt_id, within=15)


@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_FSIZE"), reason="the limit of another process can be set on Linux only")
def test_a_worker_with_a_full_disk_takes_no_orders_until_there_is_room(
    scheduler: FakeScheduler, location: Path, broker_url: str
) -> None:
    with running_worker(location, broker_url) as worker:
        manifest = scheduler.await_manifest()
        running_one = scheduler.run(manifest, "slow")
        scheduler.await_event("attempt_started", running_one.attempt_id)
        process = psutil.Process(worker.pid)
        before = process.rlimit(psutil.RLIMIT_FSIZE)
        file = next((location / ".hedgerow" / "outbox" / TEAM).glob("*/*.events"))
        used = len(file.read_bytes().rstrip(b"\0"))
        process.rlimit(psutil.RLIMIT_FSIZE, (used, before[1]))
        eventually(lambda: "HR-P103" in log_of(location))
        waiting = scheduler.run(manifest, "noop")
        assert scheduler.kinds_of(running_one.attempt_id) == ["attempt_started"]
        process.rlimit(psutil.RLIMIT_FSIZE, before)
        assert scheduler.await_event("attempt_succeeded", running_one.attempt_id)
        assert scheduler.await_event("attempt_succeeded", waiting.attempt_id)


def test_a_consumer_that_asks_for_nothing_any_more_ends_the_worker(
    scheduler: FakeScheduler, location: Path, broker_url: str
) -> None:
    # Celery is made to forget to ask, which is what a wedge looks like from outside.
    wedge = (
        "import sys, threading; from hedgerow_workers.fetching import Fetching; from hedgerow_workers.cli import main;"
        "threading.Timer(4, lambda: setattr(Fetching, '_ask', lambda *_: None)).start();"
        "sys.exit(main(sys.argv[1:]))"
    )
    environ = {**worker_environment(location, broker_url), "HEDGEROW_WORKER_WATCHDOG_S": "2"}
    with running([sys.executable, "-c", wedge, location], log=location / "worker.log", environ=environ) as worker:
        scheduler.await_manifest()
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            assert worker.poll() is None
            time.sleep(0.1)
        eventually(lambda: scheduler.read() or worker.poll() is not None, within=15)
    assert worker.returncode == 70
    assert "HR-P107" in log_of(location)
    assert scheduler.find("worker_stopped")


def test_a_worker_of_which_a_thread_has_failed_does_not_look_alive(
    scheduler: FakeScheduler, location: Path, broker_url: str
) -> None:
    defect = (
        "import sys; from hedgerow_workers.cli import main; from hedgerow_workers.outbox import Outbox;"
        "setattr(Outbox, '_read_acks', lambda *_: 1 / 0); sys.exit(main(sys.argv[1:]))"
    )
    environ = worker_environment(location, broker_url)
    with running([sys.executable, "-c", defect, location], log=location / "worker.log", environ=environ) as worker:
        eventually(lambda: worker.poll() is not None, within=20)
    assert worker.returncode == 70
    assert "thread outbox of the worker failed" in log_of(location)


def test_a_worker_can_be_stopped_while_it_loads(scheduler: FakeScheduler, location: Path, broker_url: str) -> None:
    (location / "python").write_text("#!/bin/sh\nexec sleep 600\n")
    with running_worker(location, broker_url) as worker:
        eventually(lambda: scheduler.read() or [each for _, each in scheduler.heartbeats if each.state == "starting"])
        worker.terminate()
        eventually(lambda: scheduler.read() or worker.poll() is not None, within=6)
    assert worker.returncode == 0
    assert scheduler.find("location_failed") == []
