"""Runners of evaluations, with real processes: lent again while they are warm, and ended when nobody needs them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.processes import eventually
from support.worker_bench import fake_location

from hedgerow import clock
from hedgerow.errors import PlatformError
from hedgerow.protocol.runner import Loaded
from hedgerow_workers.control_runners import IDLE_S, KEPT_WARM, ControlRunners, LeavingError
from hedgerow_workers.loading import load
from hedgerow_workers.runners import Runner

STAYS = lambda: False  # noqa: E731


@pytest.fixture
def location(tmp_path: Path) -> Path:
    return fake_location(tmp_path / "sales")


@pytest.fixture
def runners(location: Path, tmp_path: Path) -> Iterator[ControlRunners]:
    def start(number: int) -> Runner:
        return Runner(location / "python", location, dict(os.environ), tmp_path, number)

    first = start(0)
    answer = load(first, location, 20.0, STAYS)
    first.end()
    assert isinstance(answer, Loaded)
    found = ControlRunners(start, location, 20.0, answer.hash)
    yield found
    found.close()


def test_one_that_comes_back_is_lent_again_and_only_a_few_are_kept(runners: ControlRunners) -> None:
    lent = [runners.acquire(STAYS) for _ in range(KEPT_WARM + 1)]
    for runner in lent:
        runners.release(runner, reuse=True)
    assert len(runners.pids()) == KEPT_WARM
    again = runners.acquire(STAYS)
    assert again in lent
    runners.release(again, reuse=False)
    assert again.pid not in runners.pids()
    assert not psutil.pid_exists(again.pid)


def test_those_that_nobody_needs_any_more_are_ended_though_nothing_else_is_evaluated(runners: ControlRunners) -> None:
    runner = runners.acquire(STAYS)
    runners.release(runner, reuse=True)
    runners.tend(clock.monotonic())
    assert runners.pids() == [runner.pid]
    runners.tend(clock.monotonic() + IDLE_S + 1)
    assert runners.pids() == []
    assert not psutil.pid_exists(runner.pid)


def test_one_that_is_lent_is_not_ended_however_long_it_takes(runners: ControlRunners) -> None:
    runner = runners.acquire(STAYS)
    runners.tend(clock.monotonic() + 10 * IDLE_S)
    assert runners.pids() == [runner.pid]


def test_one_that_died_while_it_idled_leaves_nothing_behind_and_is_not_lent(runners: ControlRunners) -> None:
    dead = runners.acquire(STAYS)
    runners.release(dead, reuse=True)
    os.kill(dead.pid, signal.SIGKILL)
    eventually(lambda: dead.exit_code() is not None, within=5)
    runners.tend(clock.monotonic())
    assert runners.pids() == []
    assert runners.acquire(STAYS) is not dead


def test_code_that_has_changed_on_disk_or_is_broken_is_not_evaluated(runners: ControlRunners, location: Path) -> None:
    (location / "extra").write_text("other")
    with pytest.raises(PlatformError, match="HR-P102"):
        runners.acquire(STAYS)
    (location / "broken").touch()
    with pytest.raises(PlatformError, match="HR-D000"):
        runners.acquire(STAYS)
    assert runners.pids() == []


def test_a_worker_that_leaves_starts_none(runners: ControlRunners) -> None:
    with pytest.raises(LeavingError):
        runners.acquire(lambda: True)
    assert runners.pids() == []
