"""Logs of attempts on their way to storage, and what is said when it does not take them."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import pytest
from support.processes import eventually

from hedgerow.protocol.logs import Gap
from hedgerow.protocol.orders import StepOrder
from hedgerow_workers import logs
from hedgerow_workers.logs import Kept, LogStore

ORDER = StepOrder("d", "sales", "sales", "q", "run", "step", "attempt", 1, "m", "c", ("c",))


class Dropped(Counter[str]):
    """Lines by why they were dropped."""

    def __call__(self, why: str, lines: int) -> None:
        self[why] += lines


@pytest.fixture
def dropped() -> Dropped:
    return Dropped()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    path = tmp_path / "spool.log"
    path.write_text("hello\nworld\n")
    return path


def kept_at(tmp_path: Path) -> Path:
    return tmp_path / "storage" / "_logs" / "sales" / "run" / "attempt.log"


def test_a_log_is_kept_under_its_attempt_and_the_spool_is_empty_afterwards(
    tmp_path: Path, spool: Path, dropped: Dropped
) -> None:
    store = LogStore(f"file://{tmp_path}/storage", dropped)
    assert store.keep(ORDER, tmp_path / "none") == Kept("")

    assert store.keep(ORDER, spool) == Kept(f"file://{tmp_path}/storage/_logs/sales/run/attempt.log")
    assert kept_at(tmp_path).read_text() == "hello\nworld\n"
    assert spool.stat().st_size == 0
    assert store.keep(ORDER, spool) == Kept("")
    assert dropped == {}


def test_logs_go_to_storage_that_is_not_local(spool: Path) -> None:
    import fsspec

    kept = LogStore("memory://bucket").keep(ORDER, spool, Gap("unwritten", 1, 10))
    with fsspec.open(kept.log, "rb") as file:
        assert file.read() == b"hello\nworld\n" + Gap("unwritten", 1, 10).marker


def test_a_storage_that_fails_costs_the_log_and_says_how_many_lines_that_is(
    tmp_path: Path, spool: Path, dropped: Dropped
) -> None:
    (tmp_path / "storage").write_text("a file, not a directory")
    store = LogStore(str(tmp_path / "storage"), dropped)
    assert store.keep(ORDER, spool) == Kept("dropped:storage:2:12")
    assert dropped == {"storage": 2}
    assert spool.stat().st_size == 0


def test_what_the_runner_could_not_write_is_said_at_the_end_of_the_log(
    tmp_path: Path, spool: Path, dropped: Dropped
) -> None:
    store = LogStore(str(tmp_path / "storage"), dropped)
    assert store.keep(ORDER, spool, Gap("unwritten", 3, 40)).log == str(kept_at(tmp_path))
    assert kept_at(tmp_path).read_text() == "hello\nworld\n… 3 lines dropped here: the log file did not take them\n"
    assert dropped == {"unwritten": 3}


def test_what_the_runner_could_not_write_is_told_without_a_log_too(
    tmp_path: Path, spool: Path, dropped: Dropped
) -> None:
    store = LogStore(str(tmp_path / "storage"), dropped)
    assert store.keep(ORDER, tmp_path / "none", Gap("unopened")) == Kept("dropped:unopened:0:0")
    (tmp_path / "storage").write_text("a file, not a directory")
    assert store.keep(ORDER, spool, Gap("unwritten", 3, 40)) == Kept("dropped:storage:5:52")
    assert dropped == {"unwritten": 3, "storage": 2}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full on this system")
def test_a_full_storage_keeps_no_part_of_a_log(tmp_path: Path, spool: Path, dropped: Dropped) -> None:
    kept_at(tmp_path).parent.mkdir(parents=True)
    kept_at(tmp_path).symlink_to("/dev/full")
    store = LogStore(str(tmp_path / "storage"), dropped)
    assert store.keep(ORDER, spool) == Kept("dropped:storage:2:12")
    assert not kept_at(tmp_path).is_symlink()


class Hanging(LogStore):
    """Storage that answers when it is told to."""

    def __init__(self, storage: str, dropped: Dropped) -> None:
        super().__init__(storage, dropped)
        self.answers = threading.Event()

    def _copy(self, order: StepOrder, spool: Path, gap: Gap | None) -> bool:
        self.answers.wait(10)
        return super()._copy(order, spool, gap)


def test_a_storage_that_hangs_is_not_waited_for_and_keeps_its_spool_until_it_answers(
    tmp_path: Path, spool: Path, dropped: Dropped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "UPLOAD_S", 0.05)
    monkeypatch.setattr(logs, "MAX_LATE", 1)
    other = tmp_path / "other.log"
    other.write_text("hello\n")
    store = Hanging(str(tmp_path / "storage"), dropped)
    assert store.keep(ORDER, spool) == Kept(str(kept_at(tmp_path)), spool_free=False)
    assert spool.read_text() == "hello\nworld\n"
    assert store.keep(ORDER, other) == Kept("dropped:storage:1:6")  # one too many: not even tried
    assert other.read_text() == ""
    assert dropped == {"storage": 1}

    store.answers.set()
    eventually(lambda: not spool.exists(), within=5.0)
    assert kept_at(tmp_path).read_text() == "hello\nworld\n"
    assert dropped == {"storage": 1}


def test_what_storage_does_not_take_in_the_end_is_counted_late(
    tmp_path: Path, spool: Path, dropped: Dropped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "UPLOAD_S", 0.05)
    (tmp_path / "storage").write_text("a file, not a directory")
    store = Hanging(str(tmp_path / "storage"), dropped)
    assert not store.keep(ORDER, spool).spool_free
    store.answers.set()
    eventually(lambda: not spool.exists(), within=5.0)
    assert dropped == {"storage": 2}
