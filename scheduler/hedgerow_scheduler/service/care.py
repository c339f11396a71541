"""Care: finding the one entry of a stream that ends term after term, so that it is put aside and nothing else is."""

from __future__ import annotations

from collections import deque

import msgspec

from hedgerow_scheduler.ingest.fold import Entry
from hedgerow_scheduler.ingest.inbox import Batch, Message


class Care:
    """After a defect ended a term, the next one takes one entry per transaction. The entry with which that fails is doubted: the
    term after that begins with a cycle that takes nothing. If that one succeeds, it was the entry, which is a suspect from then on
    and quarantined instead of folded; if it fails too, the entry had no part in it. Lives longer than a term.
    """

    def __init__(self) -> None:
        self._active = False
        self._waiting: deque[Message] = deque()
        self._current: tuple[str, str] | None = None
        self._doubted: tuple[str, str] | None = None
        self._probing = False
        self._took_entries = False
        self._suspects: set[tuple[str, str]] = set()

    def begin_term(self) -> None:
        """A new term reads everything again that was not recorded."""
        self._waiting.clear()
        self._current, self._took_entries, self._probing = None, False, self._doubted is not None

    def defect(self) -> None:
        """A term ended by a defect, not by an outage or another leader."""
        if self._probing:
            self._doubted, self._probing = None, False
        elif self._active and self._current is not None:
            self._doubted = self._current
        self._active = True

    def portion(self, messages: list[Message]) -> list[Message]:
        """What of the messages to take now: everything, or one entry's worth after a defect."""
        if not self._active:
            return messages
        for message in messages:
            if isinstance(message, Batch) and len(message.entries) > 1:
                self._waiting.extend(
                    msgspec.structs.replace(message, entries=(entry,), is_drained=False) for entry in message.entries
                )
                self._waiting.append(msgspec.structs.replace(message, entries=()))
            else:
                self._waiting.append(message)
        if self._probing or not self._waiting:
            return []
        chosen = self._waiting.popleft()
        if isinstance(chosen, Batch) and chosen.entries:
            self._current, self._took_entries = (chosen.entries[0].team, chosen.entries[0].id), True
        return [chosen]

    def is_holding(self) -> bool:
        """Whether messages wait for their turn, or a cycle without any is due."""
        return bool(self._waiting) or self._probing

    def recorded(self) -> None:
        """A cycle was recorded. Once nothing waits any more, care is over."""
        if self._probing and self._doubted is not None:
            self._suspects.add(self._doubted)
            self._doubted, self._probing = None, False
        elif self._took_entries and not self._waiting:
            self._active = False
        self._current = None

    def suspects(self, entry: Entry) -> bool:
        """Whether folding this entry has ended a term."""
        return (entry.team, entry.id) in self._suspects
