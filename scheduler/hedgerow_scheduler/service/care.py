"""Care: finding what ends term after term, an entry of a stream or a manifest, so that it is put aside and nothing else is."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeAlias

import msgspec

from hedgerow import clock
from hedgerow_scheduler.ingest.fold import Entry
from hedgerow_scheduler.ingest.inbox import Batch, Message

# The team and id of an entry, or "" and the hash of a manifest.
Cause: TypeAlias = tuple[str, str]

ACCUSED_AGAIN_S = 7200.0


class RehearsedError(Exception):
    """A cycle that is not to be recorded has reached its end: the term is over."""


class _Stage(enum.Enum):
    """What the first cycle of a term is for. Unless it is a usual one, it takes nothing."""

    USUAL = enum.auto()
    PROBE = enum.auto()
    """Whether cycles fail without what is doubted, too."""
    REHEARSAL = enum.auto()
    """Whether cycles succeed without the manifests that are accused. It is not recorded."""
    TRIAL = enum.auto()
    """Whether cycles still fail with the manifest that was accused last."""


class Care:
    """Nothing is at fault because a cycle failed with it, nor because the next one succeeded without it: whatever ailed the scheduler may
    have passed. It is when cycles fail with it, succeed without it, and fail with it again.

    After a defect ended a term, the next one takes one entry per transaction. The entry with which that fails is doubted, as is a manifest
    that is judged in a cycle of its own:

    | stage     | its first cycle fails                            | it succeeds                                                   |
    |-----------|--------------------------------------------------|---------------------------------------------------------------|
    | usual     | what it took is doubted: probe; if it was on     | what it took is not on trial any more                         |
    |           | trial, guilty; if it took nothing: rehearsal     |                                                               |
    | probe     | something in force is at fault: rehearsal        | what was doubted is on trial: usual                           |
    | rehearsal | the next manifest is accused, too: rehearsal;    | trial of the manifest that was accused last; if it has had    |
    |           | if there is none left, it was none: usual        | one within two hours, guilty: usual                           |
    | trial     | that manifest is guilty: usual                   | it is not: usual                                              |

    Of the manifests that came into force lately the latest is accused first. What is guilty stays so: entries are quarantined instead of
    folded, manifests withdrawn and refused. Lives longer than a term.
    """

    def __init__(self, now_s: Callable[[], float] = clock.monotonic) -> None:
        self._now_s = now_s
        self._stage = _Stage.USUAL
        self._active = False
        self._waiting: deque[Message] = deque()
        self._current: Cause | None = None
        self._doubted: Cause | None = None
        self._took_entries = self._accuses = False
        self._on_trial: set[Cause] = set()
        self._guilty: set[Cause] = set()
        self._accused: list[str] = []
        """The manifests without which a cycle is to succeed, in the order in which they were accused."""
        self._tried_at_s: dict[str, float] = {}

    def begin_term(self) -> None:
        """A new term reads everything again that was not recorded."""
        self._waiting.clear()
        self._current, self._took_entries = None, False

    def left_out(self, lately: Sequence[str]) -> AbstractSet[str]:
        """The manifests without which this term begins. `lately` are those that came into force lately, the latest first."""
        if self._accuses:
            self._accuses = False
            innocent = (each for each in lately if not self.condemns(each) and each not in self._accused)
            if (latest := next(innocent, None)) is None:  # it is none of them
                self._accused.clear()
                self._stage = _Stage.USUAL
            else:
                self._accused.append(latest)
                self._stage = _Stage.REHEARSAL
        condemned = {name for team, name in self._guilty if not team}
        return condemned.union(self._accused) if self._stage is _Stage.REHEARSAL else condemned

    def defect(self) -> None:
        """A term ended by a defect, not by an outage or another leader."""
        if self._stage is _Stage.TRIAL:
            self._condemn_last()
        elif self._stage is not _Stage.USUAL:
            self._doubted, self._stage, self._accuses = None, _Stage.USUAL, True
        elif self._current is not None and self._current in self._on_trial:
            self._on_trial.discard(self._current)
            self._guilty.add(self._current)
        elif self._current is not None and (self._active or not self._current[0]):
            self._doubted, self._stage = self._current, _Stage.PROBE
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
        if self._stage is not _Stage.USUAL or not self._waiting:
            return []
        chosen = self._waiting.popleft()
        if isinstance(chosen, Batch) and chosen.entries:
            self._current, self._took_entries = (chosen.entries[0].team, chosen.entries[0].id), True
        return [chosen]

    def is_holding(self) -> bool:
        """Whether messages wait for their turn, or a cycle without any is due."""
        return bool(self._waiting) or self._stage is not _Stage.USUAL

    def is_rehearsal(self) -> bool:
        """Whether this cycle is not to be recorded, and ends the term (`RehearsedError`)."""
        return self._stage is _Stage.REHEARSAL

    def rehearsed(self) -> None:
        """The rehearsal succeeded."""
        tried_s = self._tried_at_s.get(self._accused[-1])
        if tried_s is not None and self._now_s() - tried_s < ACCUSED_AGAIN_S:
            self._condemn_last()
        else:
            self._stage = _Stage.TRIAL

    def recorded(self) -> None:
        """A cycle was recorded. Once nothing waits any more, care is over."""
        if self._stage is _Stage.PROBE and self._doubted is not None:
            self._on_trial.add(self._doubted)
            self._doubted = None
        elif self._stage is _Stage.TRIAL:
            self._tried_at_s[self._accused[-1]] = self._now_s()
            self._accused.clear()
        elif self._took_entries and not self._waiting:
            self._active = False
        if self._current is not None:
            self._on_trial.discard(self._current)
        self._stage, self._current = _Stage.USUAL, None

    def suspects(self, entry: Entry) -> bool:
        """Whether folding this entry has ended terms."""
        return (entry.team, entry.id) in self._guilty

    def condemns(self, manifest_hash: str) -> bool:
        """Whether a manifest has ended terms, by being judged or by being in force."""
        return ("", manifest_hash) in self._guilty

    def _condemn_last(self) -> None:
        self._guilty.add(("", self._accused[-1]))
        self._accused.clear()
        self._stage = _Stage.USUAL
