"""The disk of one machine: the journals of its workers, which outlive them, and what a disk does wrong."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from random import Random

# So many acknowledged events are given up at once, as a segment of a real journal is.
RECYCLED_EVENTS = 20


@dataclass(slots=True)
class _Kept:
    """What lies on the disk of one worker: events from number `first` on. `owner` has it locked."""

    first: int = 1
    events: list[bytes] = field(default_factory=list)
    owner: SimJournals | None = None


class SimDisk:
    """`full`: nothing more can be written (ENOSPC). `broken`: neither reading nor writing works (EIO). A machine's workers share it.

    `given_up(worker, upto)` is told when events of a worker up to this number are no longer kept.
    """

    def __init__(self, rng: Random, given_up: Callable[[str, int], None] = lambda _worker, _upto: None) -> None:
        self.given_up = given_up
        self.full = False
        self.broken = False
        self.rng = rng
        self.kept: dict[str, _Kept] = {}

    def journals(self, boundary: Callable[[str], None] = lambda _: None) -> SimJournals:
        """What one process does with it. `boundary(place)` is called before, while and after something is written; it may raise."""
        return SimJournals(self, boundary)

    def left(self) -> dict[str, int]:
        """The number of the newest event of each worker of which something lies there."""
        return {worker: kept.first + len(kept.events) - 1 for worker, kept in self.kept.items()}

    def check(self, *, writing: bool) -> None:
        """OSError when it does not work."""
        if self.broken:
            raise OSError(errno.EIO, "Input/output error")
        if writing and self.full:
            raise OSError(errno.ENOSPC, "No space left on device")


class SimJournals:
    """The journals as one process sees them, see `hedgerow_workers.journals.Journals`."""

    def __init__(self, disk: SimDisk, boundary: Callable[[str], None]) -> None:
        self.disk, self.boundary = disk, boundary

    def create(self, worker: str) -> SimJournal:
        """A new one."""
        self.boundary("disk.create")
        self.disk.check(writing=True)
        kept = self.disk.kept[worker] = _Kept(owner=self)
        return SimJournal(self, worker, kept)

    def orphans(self, known: Collection[str]) -> Iterator[tuple[str, SimJournal]]:
        """Takes over those that no one has locked."""
        if self.disk.broken:
            return
        for worker in sorted(self.disk.kept):
            kept = self.disk.kept.get(worker)
            if worker not in known and kept is not None and kept.owner is None:
                kept.owner = self
                yield worker, SimJournal(self, worker, kept)

    def release(self) -> None:
        """The process is gone, and its locks with it."""
        for kept in self.disk.kept.values():
            if kept.owner is self:
                kept.owner = None


class SimJournal:
    """One of them, see `hedgerow_workers.journals.KeptEvents`."""

    def __init__(self, journals: SimJournals, worker: str, kept: _Kept) -> None:
        self._journals, self._worker, self._kept = journals, worker, kept

    @property
    def directory(self) -> PurePosixPath:
        """A name for messages."""
        return PurePosixPath(self._worker)

    @property
    def first(self) -> int:
        """The number of the oldest event kept."""
        return self._kept.first

    @property
    def last(self) -> int:
        """The number of the newest event."""
        return self._kept.first + len(self._kept.events) - 1

    @property
    def size_bytes(self) -> int:
        """What the events take."""
        return sum(len(event) for event in self._kept.events)

    def append(self, events: list[bytes]) -> None:
        """Keeps all of them or none; only a process that ends meanwhile leaves some."""
        kept, boundary = self._kept.events, self._journals.boundary
        boundary("disk.write")
        self._journals.disk.check(writing=True)
        before = len(kept)
        kept += events
        try:
            boundary("disk.sync")
        except BaseException:
            del kept[before + self._journals.disk.rng.randint(0, len(events)) :]
            raise
        boundary("disk.synced")

    def read(self, after: int, max_bytes: int, max_events: int) -> list[bytes]:
        """Some of the events after number `after`."""
        self._journals.disk.check(writing=False)
        found: list[bytes] = []
        size = 0
        for event in self._kept.events[max(0, after + 1 - self._kept.first) :]:
            size += len(event)
            if found and (size > max_bytes or len(found) >= max_events):
                break
            found.append(event)
        return found

    def forget(self, upto: int) -> None:
        """Gives up events once they are many."""
        count = upto + 1 - self._kept.first
        if count >= RECYCLED_EVENTS and not self._journals.disk.broken:
            self._journals.disk.given_up(self._worker, upto)
            self._kept.first += count
            del self._kept.events[:count]

    def close(self, *, delete: bool) -> None:
        """Lets go of it."""
        self._kept.owner = None
        if delete:
            self._journals.disk.given_up(self._worker, self.last)
            self._journals.disk.kept.pop(self._worker, None)
