"""Care: finding what ends term after term, an entry of a stream or a manifest, so that it is put aside and nothing else is."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import TypeAlias

import msgspec

from hedgerow_scheduler.ingest.fold import Entry
from hedgerow_scheduler.ingest.inbox import Batch, Message

# The team and id of an entry, or "" and the hash of a manifest that is judged in a cycle of its own.
Cause: TypeAlias = tuple[str, str]


class Care:
    """After a defect ended a term, the next one takes one entry per transaction. The entry with which that fails is doubted: the
    term after that begins with a cycle that takes nothing. If that one succeeds, it was the entry, which is a suspect from then on
    and quarantined instead of folded. If it fails too, or a cycle that took nothing has failed, something in force is at fault: of the
    manifests that came into force lately the latest is condemned, and left out of the next term, until one survives; those that were
    condemned before the last one may come back then. Lives longer than a term.
    """

    def __init__(self) -> None:
        self._active = False
        self._waiting: deque[Message] = deque()
        self._current: Cause | None = None
        self._doubted: Cause | None = None
        self._probing = False
        self._took_entries = False
        self._suspects: set[Cause] = set()
        self._accuses = False
        self._accused: list[str] = []
        """The manifests that were condemned since a cycle was recorded, in that order."""
        self._condemned: set[str] = set()

    def begin_term(self) -> None:
        """A new term reads everything again that was not recorded."""
        self._waiting.clear()
        self._current, self._took_entries, self._probing = None, False, self._doubted is not None

    def left_out(self, lately: Sequence[str]) -> AbstractSet[str]:
        """The manifests without which this term begins. `lately` are those that came into force lately, the latest first."""
        if self._accuses:
            self._accuses = False
            latest = next((each for each in lately if each not in self._condemned), None)
            if latest is None:  # it is none of them
                self._condemned -= set(self._accused)
                self._accused.clear()
            else:
                self._condemned.add(latest)
                self._accused.append(latest)
        return self._condemned

    def defect(self) -> None:
        """A term ended by a defect, not by an outage or another leader."""
        if self._probing:
            self._doubted, self._probing, self._accuses = None, False, True
        elif self._current is not None and (self._active or not self._current[0]):
            self._doubted = self._current
        elif self._active:
            self._accuses = True
        self._active = True

    def judges(self, manifest_hash: str | None) -> None:
        """This cycle takes no entries, and judges a manifest (None: it does take entries)."""
        self._current = None if manifest_hash is None else ("", manifest_hash)

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
        self._condemned -= set(self._accused[:-1])
        self._accused.clear()

    def suspects(self, entry: Entry) -> bool:
        """Whether folding this entry has ended a term."""
        return (entry.team, entry.id) in self._suspects

    def condemns(self, manifest_hash: str) -> bool:
        """Whether a manifest has ended terms, by being judged or by being in force."""
        return manifest_hash in self._condemned or ("", manifest_hash) in self._suspects
