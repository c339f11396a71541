"""The outbox on disk: numbered events in append-only segments, in a directory that one process at a time has locked.

A record is the event's length and its CRC-32, four bytes each, big-endian, then the event. Behind the last one are zeros: a file
is filled with them ahead, so that a sync writes what was appended and need not commit a new size of the file as well: a third less on a
quiet disk, several times less on a busy one. What a power cut left of the last records is ignored.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

HEADER_BYTES = 8
FILL_BYTES = 1024 * 1024
SEGMENT_BYTES = 4 * 1024 * 1024
# An acknowledged segment is given up at this size, so that a quiet worker does not create a file for each handful of events.
RECYCLE_BYTES = 1024 * 1024
SUFFIX = ".events"

# macOS has no fdatasync.
_sync = getattr(os, "fdatasync", os.fsync)


@dataclass(slots=True)
class Segment:
    """A file with the events `first` to `last` (`last` = `first` - 1: none yet) in its first `size` bytes."""

    path: Path
    first: int
    last: int
    size: int


class Journal:
    """The events that may still have to be sent, numbered without gaps. Not safe for threads: its owner has one."""

    def __init__(self, directory: Path, lock: int) -> None:
        self.directory = directory
        self._lock = lock
        self._fd = -1
        self._filled = 0  # bytes of the last segment's file
        self._segments = [_scan(path) for path in sorted(directory.glob(f"*{SUFFIX}"))]
        self._cursor = (0, 0, 0)  # a segment's first event, an event in it, that event's offset

    @classmethod
    def create(cls, directory: Path) -> Journal:
        """A new, empty, locked journal; it appears under its name only when it is locked, so that nobody adopts it."""
        birth = directory.with_name(f".{directory.name}")
        birth.mkdir(parents=True)
        lock = _try_lock(birth)
        assert lock is not None
        birth.rename(directory)
        _sync_directory(directory.parent)
        return cls(directory, lock)

    @classmethod
    def adopt(cls, directory: Path) -> Journal | None:
        """The journal that a dead worker left at `directory`; None when its worker lives, or someone else was quicker.

        OSError when it can't be read.
        """
        lock = _try_lock(directory)
        if lock is None:
            return None
        try:
            return cls(directory, lock)
        except BaseException:
            os.close(lock)
            raise

    @property
    def first(self) -> int:
        """The number of the oldest event kept."""
        return self._segments[0].first if self._segments else 1

    @property
    def last(self) -> int:
        """The number of the newest event, 0 when there never was one."""
        return self._segments[-1].last if self._segments else 0

    @property
    def size_bytes(self) -> int:
        """What the events take on disk."""
        return sum(segment.size for segment in self._segments)

    def append(self, events: list[bytes]) -> None:
        """Makes `events` durable, numbered from `last` + 1 on. OSError: none of them was kept, and all may be tried again."""
        if self._fd < 0 or self._segments[-1].size >= SEGMENT_BYTES:
            self._open_segment(self.last + 1)
        segment = self._segments[-1]
        records = b"".join([_header(event) + event for event in events])
        try:
            if segment.size + len(records) > self._filled:
                self._fill(segment.size + len(records) + FILL_BYTES)
            _write(self._fd, records, segment.size)
            _sync(self._fd)
        except OSError:
            with suppress(OSError):
                _write(self._fd, bytes(HEADER_BYTES), segment.size)
            raise
        segment.size += len(records)
        segment.last += len(events)

    def read(self, after: int, max_bytes: int, max_events: int) -> list[bytes]:
        """Some of the events after number `after`, in order: as many as the limits and the end of a segment allow, one at least."""
        wanted = max(after + 1, self.first)
        segment = next((each for each in self._segments if each.first <= wanted <= each.last), None)
        if segment is None:
            return []
        number, offset = segment.first, 0
        if self._cursor[0] == segment.first and self._cursor[1] <= wanted:
            number, offset = self._cursor[1:]
        found: list[bytes] = []
        taken = 0
        with segment.path.open("rb") as file:
            file.seek(offset)
            while number <= segment.last:
                length = int.from_bytes(file.read(HEADER_BYTES)[:4], "big")
                if number < wanted:
                    file.seek(length, os.SEEK_CUR)
                else:
                    if found and (taken + length > max_bytes or len(found) >= max_events):
                        break
                    found.append(file.read(length))
                    taken += length
                offset += HEADER_BYTES + length
                number += 1
        self._cursor = (segment.first, number, offset)
        return found

    def forget(self, upto: int) -> None:
        """Gives up segments in which no event is newer than number `upto`; those that the disk does not let go of stay until next time."""
        with suppress(OSError):
            while len(self._segments) > 1 and self._segments[0].last <= upto:
                self._give_up_first()
            if self._segments and self._segments[0].last <= upto and self._segments[0].size >= RECYCLE_BYTES:
                self._open_segment(self._segments[0].last + 1)
                self._give_up_first()

    def _give_up_first(self) -> None:
        self._segments[0].path.unlink(missing_ok=True)
        self._segments.pop(0)

    def close(self, *, delete: bool) -> None:
        """Lets go of the directory, and removes it if everything in it was acknowledged."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if delete:
            # Out of sight first: nobody may adopt what is half removed.
            hidden = self.directory.with_name(f".{self.directory.name}")
            try:
                self.directory.rename(hidden)
            except OSError:
                hidden = self.directory
            shutil.rmtree(hidden, ignore_errors=True)
        os.close(self._lock)

    def _open_segment(self, first: int) -> None:
        path = self.directory / f"{first:016d}{SUFFIX}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _sync_directory(self.directory)
        except OSError:
            os.close(fd)
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._filled = fd, 0
        if self._segments and self._segments[-1].last < self._segments[-1].first:
            self._segments.pop()  # the same, still empty, file
        self._segments.append(Segment(path, first, first - 1, 0))

    def _fill(self, upto: int) -> None:
        """Makes the last segment's file `upto` bytes long."""
        _write(self._fd, bytes(upto - self._filled), self._filled)
        self._filled = upto


def _try_lock(directory: Path) -> int | None:
    try:
        fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


def _scan(path: Path) -> Segment:
    """The segment at `path`, as far as its records are whole."""
    first = int(path.name.removesuffix(SUFFIX))
    segment = Segment(path, first, first - 1, 0)
    for length in _whole_records(path.read_bytes()):
        segment.size += HEADER_BYTES + length
        segment.last += 1
    return segment


def _whole_records(data: bytes) -> Iterator[int]:
    """The lengths of the events in a segment's file."""
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        event = data[at + HEADER_BYTES : at + HEADER_BYTES + length]
        if length == 0 or data[at : at + HEADER_BYTES] != _header(event):
            return
        yield length
        at += HEADER_BYTES + length


def _header(event: bytes) -> bytes:
    return len(event).to_bytes(4, "big") + zlib.crc32(event).to_bytes(4, "big")


def _write(fd: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest, offset = rest[written:], offset + written


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
