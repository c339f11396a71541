"""The ground truth: what steps say of themselves is read back as executions."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
from chaos.sink import Sink, module

from hedgerow import Context


@pytest.fixture
def code(tmp_path: Path) -> types.ModuleType:
    """The module that teams' code writes with."""
    found = types.ModuleType("sink_of_a_team")
    exec(module(tmp_path / "sink.jsonl"), found.__dict__)
    return found


def context(asset: str, attempt: int = 1) -> Context:
    return Context(asset_keys=(asset,), partition_key="lane1", run_id="run", attempt=attempt)


def test_an_execution_tells_when_it_began_and_how_it_ended(tmp_path: Path, code: types.ModuleType) -> None:
    code.work(context("one"), 0.25, [("above", {"run": "run", "attempt": 3})])
    with pytest.raises(RuntimeError):
        code.work(context("two"), 0, fail=True)
    first, second = Sink(tmp_path / "sink.jsonl").executions()
    assert (first.asset, first.how, first.read) == ("one", "end", (("above", "run", 3),))
    assert first.last - first.began >= 0.25
    assert (second.asset, second.how) == ("two", "raised")


def test_what_ends_the_process_is_noted_too(
    tmp_path: Path, code: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told_to_stop(_: float) -> None:
        sys.exit(143)

    monkeypatch.setattr(code.time, "sleep", told_to_stop)
    with pytest.raises(SystemExit):
        code.work(context("one"), 1)
    (execution,) = Sink(tmp_path / "sink.jsonl").executions()
    assert execution.how == "stopped"


def test_a_sink_is_read_as_it_grows_and_a_line_that_is_not_whole_waits(tmp_path: Path, code: types.ModuleType) -> None:
    file = tmp_path / "sink.jsonl"
    sink = Sink(file)
    assert sink.executions() == []
    code.work(context("one"), 0)
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    assert [each.how for each in sink.at_work()] == [""]
    file.write_bytes(whole)
    assert [each.how for each in sink.executions()] == ["end"]
