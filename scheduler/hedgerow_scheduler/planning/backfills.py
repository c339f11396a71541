"""A backfill: which of its partitions may be launched now, and what follows from how they end.

Nothing here knows runs: a chunk that was launched is told of by `launch`, and the end of each of its steps by `end`. All that must be
remembered are the states: everything else follows from them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from pyroaring import BitMap

from hedgerow.errors import Problem
from hedgerow_scheduler.lifecycle.backfills import (
    BACKFILL_ARROWS,
    ENDED_BACKFILLS,
    LAUNCHING,
    OF_STEP,
    RETRYABLE_PARTITIONS,
)
from hedgerow_scheduler.lifecycle.backfills import BackfillState as B
from hedgerow_scheduler.lifecycle.backfills import PartitionState as P
from hedgerow_scheduler.lifecycle.states import StepState
from hedgerow_scheduler.partitions.crossing import EMPTY
from hedgerow_scheduler.planning.backfill_tracks import Chunk, Track, Way, connect
from hedgerow_scheduler.planning.catalog import Catalog

LEAST_ENDED = 20  # partitions that must have ended before the share that failed says anything, after the canary
CARRIED_AT_ONCE = 1_000  # times that one `settle` carries something down; a chain takes one for each partition


class Settings(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a backfill goes about it.

    `canary`: of each track, so many partitions are launched first. `abort_threshold`: the share of failures, above 0 and up to 1, at
    which it ends; None for never. `rate_per_s`: how many partitions are launched per second at most. `max_runs`: how many runs at once.
    """

    max_runs: int
    canary: int = 0
    abort_threshold: float | None = None
    rate_per_s: float | None = None


class Backfill:
    """See above. `tracks` come in dependency order; `passed` says that the canary is over. `problem` is what it ended by, where that is
    not simply that steps failed.
    """

    def __init__(self, id: str, state: B, settings: Settings, tracks: Sequence[Track], passed: bool = False) -> None:
        self.id, self.state, self.settings, self.tracks = id, state, settings, tuple(tracks)
        self.passed = passed or not settings.canary
        self.problem: Problem | None = None
        self._by_name = {track.name: track for track in self.tracks}
        self._revived = False

    def use(self, catalog: Catalog, now: datetime) -> None:
        """Other code is in force, or nothing is known of it yet: what depends on what, and what is ready, is worked out anew. What is
        left of a computation that is gone, or has other partitions than when the backfill began, fails.
        """
        for track, why in connect(self.tracks, catalog):
            lost = track.sets.move(track.sets[P.TO_DO], P.TO_DO, P.FAILED)
            track.given_up |= lost
            if lost:
                self.problem = Problem(
                    "HR-Q365",
                    f"'{track.name}' {why}: {len(lost):,} of its partitions were not launched.",
                    "Deploy it as it was and retry the backfill, or start another one.",
                )
        self._begin_anew(now)

    def _begin_anew(self, now: datetime) -> None:
        """What follows from the states alone."""
        for track in self.tracks:
            track.forget()
            for state in RETRYABLE_PARTITIONS:
                track.came[P.FAILED] |= track.sets[state]
            track.came[P.SKIPPED] |= track.sets[P.SKIPPED]
            track.ready, track.canary = BitMap(), None
            track.free(track.sets[P.TO_DO], now)
        for track in self.tracks if not self.passed else ():
            wanted = track.sets.all()
            later = [
                crossing.any(wanted, above.sets.all() - (above.canary or EMPTY), now) for crossing, above in track.above
            ]
            first = (wanted - BitMap.union(EMPTY, *later))[: self.settings.canary]
            track.canary = track.without_need(first, wanted, now)

    # -- what happens ------------------------------------------------------------------------------------------------

    def move(self, to: B) -> None:
        """Moves it along an arrow of the table."""
        if (self.state, to) not in BACKFILL_ARROWS:
            raise AssertionError(f"no arrow {self.state} -> {to} (backfill {self.id})")
        self.state = to

    def begin(self) -> None:
        """It is taken up."""
        self.move(B.RUNNING if self.passed else B.CANARY)

    def launch(self, chunk: Chunk) -> None:
        """A run makes these."""
        chunk.track.sets.move(chunk.which, P.TO_DO, P.LAUNCHED)
        chunk.track.ready -= chunk.which

    def refuse(self, chunk: Chunk, problem: Problem) -> None:
        """No run can make these."""
        chunk.track.came[P.FAILED] |= chunk.track.sets.move(chunk.which, P.TO_DO, P.FAILED)
        chunk.track.ready -= chunk.which
        chunk.track.given_up |= chunk.which
        self.problem = problem

    def end(self, name: str, partition: str | None, how: StepState) -> P | None:
        """A step of one of its runs has ended; what its partition is now, None when that says nothing about it."""
        track = self._by_name.get(name)
        ordinal = track.space.ordinal(partition) if track is not None else None
        to = OF_STEP[how]
        if track is None or ordinal is None or not track.sets.move_one(ordinal, P.LAUNCHED, to):
            return None
        track.came[P.FAILED if to in RETRYABLE_PARTITIONS else to].add(ordinal)
        return to

    def begin_again(self, name: str, partition: str | None) -> None:
        """A step of one of its runs that had ended is tried again."""
        track = self._by_name.get(name)
        ordinal = track.space.ordinal(partition) if track is not None else None
        if track is None or ordinal is None:
            return
        for state in RETRYABLE_PARTITIONS:
            if track.sets.move_one(ordinal, state, P.LAUNCHED):
                self._revived = True

    def settle(self, now: datetime) -> bool:
        """Carries down what has ended, and takes what follows from it for the backfill. Returns whether there is more to carry."""
        if self._revived:  # what was not made for it may be made after all
            self._revived = False
            for track in self.tracks:
                track.sets.move(track.sets[P.UPSTREAM_FAILED], P.UPSTREAM_FAILED, P.TO_DO)
            self._begin_anew(now)
        left = CARRIED_AT_ONCE
        for track in self.tracks:
            while left > 0 and any(track.came.values()):
                left -= 1
                came = track.came
                track.forget()
                _carry(track, came, now)
        if any(any(track.came.values()) for track in self.tracks):
            return True
        self._conclude()
        return False

    def _conclude(self) -> None:
        """Whether the canary is over, too much has failed, or nothing is left."""
        if self.state is B.REQUESTED or self.state in ENDED_BACKFILLS:
            return
        is_out = any(track.sets[P.LAUNCHED] for track in self.tracks)
        if self.state in (B.ABORTING, B.CANCELLING):
            if not is_out:
                self.move(B.ABORTED if self.state is B.ABORTING else B.CANCELLED)
        elif not is_out and not any(track.sets[P.TO_DO] for track in self.tracks):
            self.move(self._end())
        elif self.passed:
            if self._fails_too_much(LEAST_ENDED):
                self._abort()
        elif not is_out and not any(track.available() for track in self.tracks):
            if self._fails_too_much(1):
                self._abort()
                self.move(B.ABORTED)
                return
            self.passed = True
            for track in self.tracks:
                track.canary = None
            if self.state is B.CANARY:
                self.move(B.RUNNING)

    def _end(self) -> B:
        counts = self.counts()
        if counts[P.FAILED] or counts[P.UPSTREAM_FAILED]:
            return B.FAILED
        return B.CANCELLED if counts[P.CANCELLED] else B.SUCCEEDED

    def _fails_too_much(self, least: int) -> bool:
        threshold, counts = self.settings.abort_threshold, self.counts()
        failed, ended = counts[P.FAILED], tried(counts)
        return threshold is not None and failed > 0 and ended >= least and failed >= threshold * ended

    def _abort(self) -> None:
        counts, short = self.counts(), self.id[:13]
        self.problem = Problem(
            "HR-Q367",
            f"{counts[P.FAILED]:,} of {tried(counts):,} partitions{'' if self.passed else ' of the canary'} failed: "
            f"{self.settings.abort_threshold:.0%} is where it ends.",
            f"See which with `hedgerow backfill show {short}`, mend the cause, then `hedgerow backfill retry {short}`.",
        )
        self.move(B.ABORTING)

    # -- what people ask ---------------------------------------------------------------------------------------------

    def resume(self) -> None:
        """It goes on where it was paused."""
        self.move(B.RUNNING if self.passed else B.CANARY)

    def retry(self, catalog: Catalog, now: datetime) -> int:
        """What failed or was cancelled, and what could not be made for it, is to be done again; one that has ended goes on with all
        that is left. Returns how many partitions are to do now.
        """
        for track in self.tracks:
            for state in RETRYABLE_PARTITIONS:
                track.sets.move(track.sets[state], state, P.TO_DO)
        self.problem = None
        if self.state in ENDED_BACKFILLS:
            self.move(B.RUNNING if self.passed else B.CANARY)
        self.use(catalog, now)
        return self.counts()[P.TO_DO]

    # -- what comes next ---------------------------------------------------------------------------------------------

    def next_chunk(self, most: int, now: datetime, but: Collection[str] = ()) -> Chunk | None:
        """What to launch next, at most `most` partitions of another track than those in `but`; None when nothing can be now.

        Tracks that fill a run come before those that do not, and those further down before those above: what was begun is finished. Those
        that do not wait as long as they may grow, so that single ends above do not make runs of single partitions below.
        """
        if self.state not in LAUNCHING or most < 1:
            return None
        downwards = [track for track in reversed(self.tracks) if track.name not in but and track.ready]
        full = [track for track in downwards if len(track.available()) >= track.per_run]
        small = (track for track in downwards if track not in full and not track.may_grow())
        for track in (*full, *small):
            if which := track.first(min(track.per_run, most), now):
                return Chunk(track, which)
        return None

    def counts(self) -> dict[P, int]:
        """How many partitions are in each state, over all tracks."""
        total = dict.fromkeys(P, 0)
        for track in self.tracks:
            for state, count in track.sets.counts().items():
                total[state] += count
        return total


def tried(counts: dict[P, int]) -> int:
    """How many partitions were tried to the end, well or badly."""
    return counts[P.DONE] + counts[P.SKIPPED] + counts[P.FAILED]


def _carry(track: Track, came: dict[P, BitMap], now: datetime) -> None:
    """What the end of these partitions means for those made from them."""
    for crossing, below in [*track.below, *(Way(each, track) for each in track.itself)]:
        for state, to in ((P.FAILED, P.UPSTREAM_FAILED), (P.SKIPPED, P.SKIPPED)):
            if came[state]:
                hit = below.sets.move(crossing.downstream(came[state], now), P.TO_DO, to)
                below.ready -= hit
                below.given_up |= hit
                below.came[state] |= hit
        if came[P.DONE] and below is not track:
            below.free((crossing.downstream(came[P.DONE], now) & below.sets[P.TO_DO]) - below.ready, now)
