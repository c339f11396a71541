"""What an outbox may expect of journals, of those on disk and of the ones that simulated workers have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from simulation.disk import SimDisk

from hedgerow_workers.journals import JournalFolder, Journals

Open = Callable[[], Journals]


@pytest.fixture(params=["on disk", "simulated"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Gives each process its view of the same machine."""
    if request.param == "on disk":
        return lambda: JournalFolder(tmp_path)
    disk = SimDisk(Random(1))
    return lambda: disk.journals()  # type: ignore[return-value]


def test_a_journal_reads_like_a_list_and_keeps_to_its_limits(place: Open) -> None:
    journal = place().create("me")
    assert (journal.first, journal.last, journal.read(0, 100, 100)) == (1, 0, [])
    journal.append([b"one", b"two"])
    journal.append([b"three"])
    assert (journal.first, journal.last) == (1, 3)
    assert journal.size_bytes >= len(b"onetwothree")
    assert journal.read(1, 100, 100) == [b"two", b"three"]
    assert journal.read(0, 100, 2) == [b"one", b"two"]
    assert journal.read(0, 7, 100) == [b"one", b"two"]
    assert journal.read(2, 1, 1) == [b"three"]
    assert journal.read(3, 100, 100) == []


def test_what_is_forgotten_is_never_more_than_was_said(place: Open) -> None:
    journal = place().create("me")
    journal.append([b"%d" % number for number in range(1, 101)])
    journal.forget(60)
    assert journal.first <= 61
    assert journal.read(60, 1000, 1000)[0] == b"61"
    journal.forget(100)
    assert journal.last == 100
    journal.append([b"101"])
    assert (journal.last, journal.read(100, 1000, 1000)) == (101, [b"101"])


def test_only_what_no_one_holds_is_an_orphan_and_one_takes_it(place: Open) -> None:
    left, held = place().create("left"), place().create("held")
    left.append([b"one"])
    left.close(delete=False)

    ours, others = place(), place()
    ((worker, journal),) = ours.orphans({"me"})
    assert (worker, journal.last, journal.read(0, 100, 100)) == ("left", 1, [b"one"])
    assert list(others.orphans(())) == []
    assert list(ours.orphans({"left"})) == []

    journal.close(delete=True)
    held.close(delete=False)
    assert [worker for worker, _ in others.orphans({"held"})] == []
    assert [worker for worker, _ in others.orphans(())] == ["held"]
