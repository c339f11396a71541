"""Care: finding what ends term after term, an entry of a stream or a manifest, so that it is put aside and nothing else is."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import groupby
from typing import TypeAlias

import msgspec

from hedgerow import clock
from hedgerow_scheduler.ingest.fold import Entry
from hedgerow_scheduler.ingest.inbox import Batch, Message

# The team and id of an entry, or "" and the hash of a manifest.
Cause: TypeAlias = tuple[str, str]

ACCUSED_AGAIN_S = 7200.0
SHAKEN_S = 600.0
"""So long after a defect, another one is taken to have to do with it."""


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

    After a defect ended a term, the next ones take each entry that the failing cycle took in a transaction of its own; all others flow on.
    The entry with which that fails is doubted, as is a manifest that is judged in a cycle of its own:

    | stage     | its first cycle fails                            | it succeeds                                                   |
    |-----------|--------------------------------------------------|---------------------------------------------------------------|
    | usual     | a single thing is doubted: probe; if it was on   | what it took is not on trial any more, nor watched            |
    |           | trial, guilty. Several entries are watched. If   |                                                               |
    |           | it took none, as the one before: rehearsal       |                                                               |
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
        self._shaken_at_s: float | None = None
        self._taken: Sequence[Message] = ()
        self._watched: set[Cause] = set()
        """The entries of cycles that failed: they are taken one by one."""
        self._waiting: deque[Message] = deque()
        self._current: Cause | None = None
        self._doubted: Cause | None = None
        self._accuses = False
        self._on_trial: set[Cause] = set()
        self._guilty: set[Cause] = set()
        self._accused: list[str] = []
        """The manifests without which a cycle is to succeed, in the order in which they were accused."""
        self._tried_at_s: dict[str, float] = {}

    def begin_term(self) -> None:
        """A new term reads everything again that was not recorded."""
        self._waiting.clear()
        self._current, self._taken = None, ()

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
        shaken, now_s = self._is_shaken(), self._now_s()
        if not shaken:
            self._watched.clear()
        if self._stage is _Stage.TRIAL:
            self._condemn_last()
        elif self._stage is not _Stage.USUAL:
            self._doubted, self._stage, self._accuses = None, _Stage.USUAL, True
        elif self._current is not None and self._current in self._on_trial:
            self._on_trial.discard(self._current)
            self._watched.discard(self._current)
            self._guilty.add(self._current)
        elif self._current is not None:
            self._doubted, self._stage = self._current, _Stage.PROBE
        elif taken := set(_entries(self._taken)):
            self._watched |= taken
        elif shaken:
            self._accuses = True
        self._shaken_at_s = now_s

    def judges(self, manifest_hash: str | None) -> None:
        """This cycle takes no entries, and judges a manifest (None: it does take entries)."""
        self._current = None if manifest_hash is None else ("", manifest_hash)

    def portion(self, messages: list[Message]) -> list[Message]:
        """What of the messages to take now: everything, or what comes before a watched entry, or that entry alone."""
        if not self._watched and not self._waiting and self._stage is _Stage.USUAL:
            self._taken = messages
            return messages
        for message in messages:
            self._waiting.extend(self._apart(message))
        chosen: list[Message] = []
        while self._stage is _Stage.USUAL and self._waiting:
            watched = next((cause for cause in _entries((self._waiting[0],)) if cause in self._watched), None)
            if watched is not None and chosen:
                break
            chosen.append(self._waiting.popleft())
            if watched is not None:
                self._current = watched
                break
        self._taken = chosen
        return chosen

    def _apart(self, message: Message) -> Iterator[Message]:
        """The same as several messages, of which each has one watched entry or none."""
        if not isinstance(message, Batch) or not any(cause in self._watched for cause in _entries((message,))):
            yield message
            return
        alone = lambda entry: entry.id if (entry.team, entry.id) in self._watched else ""  # noqa: E731
        for _, some in groupby(message.entries, alone):
            yield msgspec.structs.replace(message, entries=tuple(some), is_drained=False)
        yield msgspec.structs.replace(message, entries=())

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
        """A cycle was recorded. Once no entry is watched any more, care is over."""
        if self._stage is _Stage.PROBE and self._doubted is not None:
            self._on_trial.add(self._doubted)
            self._doubted = None
        elif self._stage is _Stage.TRIAL:
            self._tried_at_s[self._accused[-1]] = self._now_s()
            self._accused.clear()
        if self._watched:
            self._watched.difference_update(_entries(self._taken))
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

    def _is_shaken(self) -> bool:
        return self._shaken_at_s is not None and self._now_s() - self._shaken_at_s < SHAKEN_S


def _entries(messages: Iterable[Message]) -> Iterator[Cause]:
    return ((entry.team, entry.id) for each in messages if isinstance(each, Batch) for entry in each.entries)
