"""Sending a runner more than its pipe holds: it arrives whole, and one that does not read is not waited for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from support.worker_bench import fake_location

from hedgerow.protocol.runner import Evaluate, Loaded
from hedgerow_workers.loading import load
from hedgerow_workers.runners import Runner, RunnerEndedError

LARGE = Evaluate("1", "sensor", "files", msgspec.Raw(msgspec.json.encode("x" * 1_000_000)), "")
Start = Callable[..., Runner]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Runner] = []

    def begin(interpreter: str = "") -> Runner:
        location = fake_location(tmp_path / "sales")
        if interpreter:
            (location / "python").write_text(f"#!/bin/sh\n{interpreter}\n")
        started.append(Runner(location / "python", location, dict(os.environ), tmp_path, len(started)))
        return started[-1]

    yield begin
    for runner in started:
        runner.end()


def test_what_is_larger_than_the_pipe_arrives_whole(start: Start, tmp_path: Path) -> None:
    runner = start()
    runner.send_within(LARGE, 20)
    assert isinstance(load(runner, tmp_path / "sales", 20, lambda: False), Loaded)


def test_a_runner_that_does_not_read_is_given_up(start: Start) -> None:
    with pytest.raises(TimeoutError):
        start("exec sleep 600").send_within(LARGE, 0.1)


def test_a_runner_that_ends_meanwhile_has_ended(start: Start) -> None:
    with pytest.raises(RunnerEndedError):
        start("exit 3").send_within(LARGE, 20)
