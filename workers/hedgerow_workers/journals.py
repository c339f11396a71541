"""The journals of a team's workers on one machine: a new one for each worker, and those that dead ones have left."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Protocol

from hedgerow_workers.journal import Journal

log = logging.getLogger("hedgerow.worker")


class KeptEvents(Protocol):
    """What an outbox asks of a journal, see `Journal`."""

    @property
    def directory(self) -> Path:
        """Where it lies."""

    @property
    def first(self) -> int:
        """The number of the oldest event kept."""

    @property
    def last(self) -> int:
        """The number of the newest event, 0 when there never was one."""

    @property
    def size_bytes(self) -> int:
        """What the events take on disk."""

    def append(self, events: list[bytes]) -> None:
        """Makes `events` durable. OSError: none of them was kept, and all may be tried again."""

    def read(self, after: int, max_bytes: int, max_events: int) -> list[bytes]:
        """Some of the events after number `after`, in order, one at least if there is one. OSError when the disk can't be read."""

    def forget(self, upto: int) -> None:
        """Events up to number `upto` need not be kept any longer."""

    def close(self, *, delete: bool) -> None:
        """Lets go of it, and removes it if everything in it was acknowledged."""


class Journals(Protocol):
    """What an outbox asks of the place where journals are kept."""

    def create(self, worker: str) -> KeptEvents:
        """A new one for a worker that begins."""

    def orphans(self, known: Collection[str]) -> Iterator[tuple[str, KeptEvents]]:
        """Takes over, one by one, those of workers that are gone, apart from the `known` ones: worker id and journal."""


class JournalFolder:
    """Journals in directories of `root`, each named by its worker."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._strange: set[str] = set()

    def create(self, worker: str) -> Journal:
        """A new one."""
        return Journal.create(self._root / worker)

    def orphans(self, known: Collection[str]) -> Iterator[tuple[str, Journal]]:
        """Takes over those that can be read; of others it is said once that they are there."""
        try:
            directories = sorted(self._root.iterdir())
        except OSError as error:
            log.warning("%s can't be searched for outboxes: %s", self._root, error)
            return
        for directory in directories:
            name = directory.name
            if name in known or name.startswith("."):
                continue
            try:
                journal = Journal.adopt(directory)
            except (OSError, ValueError) as error:
                if name not in self._strange:
                    log.warning("%s is not an outbox that can be adopted: %s", directory, error)
                self._strange.add(name)
                continue
            if journal is not None:
                yield name, journal
