"""The outbox's files: nothing appended is lost, nothing half written is read, nothing locked is taken."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow_workers import journal as module
from hedgerow_workers.journal import Journal

MANY = 1_000_000


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.create(tmp_path / "worker")


def test_events_are_read_back_in_order_from_any_number_on(journal: Journal) -> None:
    journal.append([b"one", b"two"])
    journal.append([b"three"])

    assert (journal.first, journal.last) == (1, 3)
    assert journal.read(0, MANY, MANY) == [b"one", b"two", b"three"]
    assert journal.read(1, MANY, MANY) == [b"two", b"three"]
    assert journal.read(3, MANY, MANY) == []


def test_reading_keeps_to_its_limits_but_always_gives_one(journal: Journal) -> None:
    journal.append([b"12345", b"67890", b"abc"])

    assert journal.read(0, 10, MANY) == [b"12345", b"67890"]
    assert journal.read(0, 1, MANY) == [b"12345"]
    assert journal.read(0, MANY, 2) == [b"12345", b"67890"]
    assert journal.read(2, 1, 1) == [b"abc"]


def test_a_locked_journal_is_not_adopted_and_an_abandoned_one_is(journal: Journal) -> None:
    journal.append([b"one"])
    assert Journal.adopt(journal.directory) is None

    journal.close(delete=False)
    adopted = Journal.adopt(journal.directory)
    assert adopted is not None
    assert adopted.read(0, MANY, MANY) == [b"one"]


def test_what_a_power_cut_left_of_a_record_is_ignored(journal: Journal) -> None:
    journal.append([b"one", b"two", b"three"])
    used = journal.size_bytes
    journal.close(delete=False)
    file = next(journal.directory.glob("*.events"))
    whole = file.read_bytes()
    assert len(whole) > used
    for damaged in (
        whole[: used - 1],  # the file was not grown yet
        whole[: used - 1] + b"\0" * 64,  # of a page the end was not written
        whole[: used - 13] + b"\0" * 8 + whole[used - 5 :],  # or the beginning
        whole[: used - 13] + b"\xff" * 64,
    ):
        file.write_bytes(damaged)
        adopted = Journal.adopt(journal.directory)
        assert adopted is not None
        assert (adopted.last, adopted.read(0, MANY, MANY)) == (2, [b"one", b"two"])
        adopted.close(delete=False)


def test_acknowledged_segments_are_given_up(journal: Journal) -> None:
    for _ in range(10):
        journal.append([b"x" * 512 * 1024])
    assert len(list(journal.directory.glob("*.events"))) == 2

    journal.forget(9)
    assert (journal.first, journal.last) == (9, 10)
    journal.append([b"y" * 1024 * 1024])
    journal.forget(11)
    assert journal.size_bytes == 0
    assert journal.last == 11
    journal.append([b"z"])
    assert (journal.last, journal.read(11, MANY, MANY)) == (12, [b"z"])


def test_a_full_disk_keeps_none_of_a_batch_and_the_next_try_keeps_all(journal: Journal) -> None:
    journal.append([b"one"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.size_bytes + 10, hard))
    try:
        with pytest.raises(OSError):
            journal.append([b"two", b"three"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert (journal.last, journal.read(0, MANY, MANY)) == (1, [b"one"])
    journal.append([b"two", b"three"])
    journal.close(delete=False)
    adopted = Journal.adopt(journal.directory)
    assert adopted is not None
    assert adopted.read(0, MANY, MANY) == [b"one", b"two", b"three"]


def test_a_delivered_journal_is_removed(journal: Journal) -> None:
    journal.append([b"one"])
    journal.close(delete=True)
    assert not journal.directory.exists()


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 40), st.integers(0, 60), st.booleans()), max_size=25))
def test_a_journal_of_small_segments_reads_like_a_list(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int, bool]]
) -> None:
    before = (module.SEGMENT_BYTES, module.RECYCLE_BYTES, module.FILL_BYTES)
    module.SEGMENT_BYTES, module.RECYCLE_BYTES, module.FILL_BYTES = 100, 50, 30
    try:
        journal = Journal.create(tmp_path_factory.mktemp("outbox") / "worker")
        expected: list[bytes] = []
        forgotten = 0
        for count, size, asked, reopen in steps:
            batch = [bytes([65 + len(expected) % 26]) * size for _ in range(count)]
            journal.append(batch)
            expected += batch
            forgotten = max(forgotten, min(asked, len(expected)))
            journal.forget(forgotten)
            if reopen and journal.last == len(expected):
                journal.close(delete=False)
                again = Journal.adopt(journal.directory)
                assert again is not None
                journal = again
            assert journal.last == len(expected)
            for after in {forgotten, len(expected) - 1}:
                found = journal.read(after, MANY, MANY)
                assert after < forgotten or found == expected[after : after + len(found)]
                assert found or after < forgotten or after == len(expected)
        rest, after = [], forgotten
        while chunk := journal.read(after, 60, 3):
            rest += chunk
            after += len(chunk)
        assert rest == expected[forgotten:]
        journal.close(delete=True)
    finally:
        module.SEGMENT_BYTES, module.RECYCLE_BYTES, module.FILL_BYTES = before
