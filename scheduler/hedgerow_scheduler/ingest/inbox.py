"""The inbox: what the broker's threads bring to the loop, bounded, and the bell that wakes the loop."""

from __future__ import annotations

import threading
from collections import deque
from typing import TypeAlias

import msgspec

from hedgerow_scheduler.ingest.fold import Entry


class Batch(msgspec.Struct, frozen=True):
    """Entries read in one go from a broker. `drained` are the teams whose streams were read to their end, `lengths` how many
    entries the streams hold, now and then.
    """

    broker: str
    entries: tuple[Entry, ...]
    drained: tuple[str, ...]
    generation: int
    lengths: dict[str, int] = {}


class StreamLost(msgspec.Struct, frozen=True):
    """The broker lost what it knew of a team: its epoch is not the one that the leader wrote."""

    team: str
    generation: int


class ClaimAnswer(msgspec.Struct, frozen=True):
    """Who holds the claim of an attempt that the scheduler wanted to take: None means the scheduler does. `failed`: no answer."""

    attempt_id: str
    holder: str | None
    failed: bool = False


Message: TypeAlias = Batch | StreamLost | ClaimAnswer
MAX_ENTRIES = 5_000
PORTION = 1_000


class Inbox:
    """A queue from the brokers' threads to the loop. Batches wait outside while over 5,000 entries are inside."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._entries = 0
        self._teams: set[str] = set()  # whose entries are inside
        self._room = threading.Condition()
        self.bell = threading.Event()

    def put(self, message: Message, stopping: threading.Event) -> None:
        """Hands a message over, waiting for room if it must, and rings the bell."""
        entries = message.entries if isinstance(message, Batch) else ()
        size = len(entries)
        with self._room:
            while size and self._entries > MAX_ENTRIES and not stopping.is_set():
                self._room.wait(0.2)
            self._messages.append(message)
            self._entries += size
            self._teams.update(entry.team for entry in entries)
            self._room.notify_all()
        if size or not isinstance(message, Batch):
            self.bell.set()

    def gather(self, busy: frozenset[str], wait_s: float) -> None:
        """Lets entries of `busy` teams come together for so long; an entry of any other team ends it at once."""
        with self._room:
            self._room.wait_for(lambda: not self._teams <= busy, wait_s)

    def take(self, entries: int = PORTION) -> list[Message]:
        """What is inside, oldest first, up to the batch that exceeds `entries`; the bell rings again for what is left."""
        messages = []
        with self._room:
            while self._messages and entries > 0:
                message = self._messages.popleft()
                messages.append(message)
                if isinstance(message, Batch):
                    entries -= len(message.entries)
                    self._entries -= len(message.entries)
            if self._messages:
                self.bell.set()
            else:
                self._teams.clear()
            self._room.notify_all()
        return messages
