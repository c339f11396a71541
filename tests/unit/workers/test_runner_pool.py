"""The pool of warm runners, with real processes: what it does when the code on disk breaks or changes, and when it drains."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.processes import eventually
from support.worker_bench import fake_location

from hedgerow.errors import Problem
from hedgerow_workers.runner_pool import PoolClosedError, RunnerPool, StopRequestedError
from hedgerow_workers.runners import Runner

Pools = Callable[..., RunnerPool]


@pytest.fixture
def location(tmp_path: Path) -> Path:
    return fake_location(tmp_path / "sales")


@pytest.fixture
def endings() -> list[str]:
    """Why the pools of the test asked the worker to end."""
    return []


@pytest.fixture
def start(location: Path, tmp_path: Path, endings: list[str]) -> Iterator[Pools]:
    pools: list[RunnerPool] = []

    def begin(size: int, retry_s: float = 0.1, **more: Any) -> RunnerPool:
        def runner(number: int) -> Runner:
            return Runner(location / "python", location, dict(os.environ), tmp_path, number)

        pool = RunnerPool(runner, location, size, 20.0, endings.append, lambda: None, lambda: None, (retry_s,), **more)
        pools.append(pool)
        pool.load_first()
        pool.start_rest()
        eventually(lambda: pool.warm == size, within=10)
        return pool

    yield begin
    for pool in pools:
        pool.close()


@contextmanager
def _said(caplog: pytest.LogCaptureFixture, *texts: str) -> Iterator[None]:
    """At the end of the block each text is in one line of the log, and nothing was an error."""
    with caplog.at_level("INFO", "hedgerow.worker"):
        yield
        for text in texts:
            eventually(lambda text=text: text in caplog.text, within=10, what=text)
    assert [sum(text in line for line in caplog.messages) for text in texts] == [1] * len(texts)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_warm_runners_serve_on_while_the_code_is_broken_and_more_are_started_once_it_is_mended(
    start: Pools, location: Path, endings: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    pool = start(3)
    broken = location / "broken"
    with _said(caplog, "HR-D000  It is broken.", "can be started again"):
        broken.touch()
        pool.release(pool.acquire(), reuse=False)
        eventually(lambda: pool.failing, within=5)
        first = pool.acquire()
        pool.release(pool.acquire(), reuse=False)
        eventually(lambda: pool._failures >= 3, within=5)
        pool.release(first, reuse=True)
        assert pool.warm == 1
        broken.unlink()
        eventually(lambda: pool.warm == 3, within=10)
    assert not pool.failing
    assert endings == []


def test_a_slot_that_needs_a_runner_does_not_wait_for_the_next_try(start: Pools, location: Path) -> None:
    pool = start(3, retry_s=600.0)
    (location / "broken").touch()
    pool.release(pool.acquire(), reuse=False)
    eventually(lambda: pool.failing, within=5)
    (location / "broken").unlink()
    lent = [pool.acquire() for _ in range(3)]
    assert not pool.failing
    for runner in lent:
        pool.release(runner, reuse=True)


def test_without_a_warm_runner_whoever_waits_is_sent_away_and_the_worker_ends(
    start: Pools, location: Path, endings: list[str]
) -> None:
    pool = start(1)
    (location / "broken").touch()
    pool.release(pool.acquire(), reuse=False)
    with pytest.raises(PoolClosedError):
        pool.acquire()
    eventually(lambda: endings == ["no runner is left, and none can be started"], within=5)


def test_a_runner_with_other_code_is_not_lent_and_ends_the_worker(
    start: Pools, location: Path, endings: list[str]
) -> None:
    pool = start(2)
    (location / "extra").write_text("changed")
    kept = pool.acquire()
    pool.release(pool.acquire(), reuse=False)
    eventually(lambda: endings == ["the code on disk has changed since this worker started"], within=5)
    with pytest.raises(PoolClosedError):
        pool.acquire()
    assert kept.exit_code() is None
    pool.release(kept, reuse=True)
    assert pool.acquire() is kept


def test_an_idle_runner_that_was_killed_is_replaced(start: Pools) -> None:
    pool = start(1)
    old = pool.acquire()
    pool.release(old, reuse=True)
    os.kill(old.pid, signal.SIGKILL)
    eventually(lambda: old.exit_code() is not None, within=5)
    new = pool.acquire()
    assert new is not old
    pool.release(new, reuse=True)


def test_a_pool_that_drains_starts_no_runner_and_logs_no_error(
    start: Pools, location: Path, endings: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    pool = start(1)
    (location / "python").write_text("#!/bin/sh\nexec sleep 600\n")  # a runner that is about to load for ever
    with _said(caplog):
        pool.release(pool.acquire(), reuse=False)
        eventually(lambda: len(pool.pids()) == 1, within=5, what="the replacement is being loaded")
        pool.drain()
        with pytest.raises(PoolClosedError):
            pool.acquire()
        eventually(lambda: not pool.pids() and not pool._thread.is_alive(), within=5)
    assert endings == []


def test_who_needs_no_runner_any_more_does_not_wait_for_one(start: Pools) -> None:
    pool = start(1)
    lent = pool.acquire()
    with pytest.raises(StopRequestedError):
        pool.acquire(fresh=True, stopped=lambda: True)
    pool.release(lent, reuse=True)


def _use(pool: RunnerPool, *, fresh: bool = False) -> Runner:
    """Lends a runner for a step and gives it back."""
    runner = pool.acquire(fresh=fresh)
    pool.release(runner, reuse=not fresh)
    return runner


def test_a_runner_that_has_done_its_steps_serves_until_another_is_ready(start: Pools, location: Path) -> None:
    replaced: list[str] = []
    pool = start(2, recycle_after=3, on_replaced=replaced.append)
    broken = location / "broken"
    broken.touch()
    worn = _use(pool)
    assert [_use(pool), _use(pool)] == [worn, worn]
    spare = pool.acquire()
    assert spare is not worn, "the worn one is the last choice"
    eventually(lambda: pool.failing, within=5)
    assert _use(pool) is worn, "and still a choice while it can't be replaced"
    pool.release(spare, reuse=True)
    assert replaced == []
    broken.unlink()
    eventually(lambda: replaced == ["recycled"], within=10)
    eventually(lambda: worn.exit_code() is not None, within=5)
    assert pool.warm == 2


def test_a_runner_is_replaced_while_it_is_lent_only_once_it_is_back(start: Pools) -> None:
    replaced: list[str] = []
    pool = start(2, on_replaced=replaced.append)
    lent = pool.acquire()
    pool.retire(lent, "memory")
    pool.retire(lent, "memory")
    assert (pool.warm, lent.exit_code(), replaced) == (2, None, [])
    pool.release(lent, reuse=True)
    eventually(lambda: replaced == ["memory"], within=10)
    eventually(lambda: pool.warm == 2 and lent.exit_code() is not None, within=5)


def test_an_idle_runner_that_is_worn_is_replaced_at_once(start: Pools) -> None:
    replaced: list[str] = []
    pool = start(2, on_replaced=replaced.append)
    worn = _use(pool)
    pool.retire(worn, "memory")
    eventually(lambda: replaced == ["memory"] and pool.warm == 2, within=10)
    assert worn not in pool.loaded()


def test_only_a_runner_that_is_lent_can_be_killed_and_it_is_not_lent_again(start: Pools) -> None:
    pool = start(1)
    runner = _use(pool)
    why = Problem("HR-X110", "Too much.", "Less.")
    assert not pool.kill(runner, why)
    assert pool.acquire() is runner
    assert pool.kill(runner, why)
    assert not pool.kill(runner, why)
    assert runner.doomed is why
    pool.release(runner, reuse=True)
    assert _use(pool) is not runner


def test_a_fresh_runner_is_ready_beforehand_for_whoever_asks_for_one_again(start: Pools) -> None:
    pool = start(2)
    used = _use(pool)
    seen = {used.pid}
    for _ in range(3):
        fresh = pool.acquire(fresh=True)
        assert fresh.pid not in seen
        seen.add(fresh.pid)
        eventually(lambda: any(not runner.steps for runner in pool.loaded()), within=10, what="the next one")
        assert _use(pool) is used, "steps that do not need a fresh one leave it alone"
        pool.release(fresh, reuse=False)
    assert pool.warm == 2
