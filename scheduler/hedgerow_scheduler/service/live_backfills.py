"""A backfill while it lives, as the leader holds it: its runs, its pace, and what is recorded of it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from hedgerow_scheduler.lifecycle.backfill_changes import BackfillChange
from hedgerow_scheduler.lifecycle.backfills import ENDED_BACKFILLS, LAUNCHING
from hedgerow_scheduler.lifecycle.model import Run, Step
from hedgerow_scheduler.lifecycle.states import StepState
from hedgerow_scheduler.metadata.backfills import Known
from hedgerow_scheduler.planning.backfills import Backfill

LATENCY = timedelta(milliseconds=1)
UNSTARTED = frozenset({StepState.WAITING, StepState.READY})
AHEAD = 50  # steps of a computation that wait so that no slot has to


class LiveBackfill:
    """A backfill that has not ended, with what is known of its runs and of its pace."""

    def __init__(self, known: Known, now: datetime) -> None:
        stored = known.stored
        self.backfill = Backfill(stored.id, stored.state, stored.settings, known.tracks, stored.passed)
        self.backfill.problem = stored.problem
        self.config, self.author, self.recorded = stored.request.config, stored.author, stored.state
        self.started_at, self.since, self.worked_ms = stored.started_at, stored.since, stored.worked_ms
        self.runs: dict[str, Run] = {}
        self.waiting: Counter[str] = Counter()  # steps that have not started, by computation
        self.tokens, self.at = 0.0, now  # of a bucket that holds what may be launched in a second, and at least one
        self.altered = False
        self.served = 0  # which of all turns it had last

    def add_run(self, run: Run) -> None:
        """One of its runs, from now on."""
        self.runs[run.id] = run
        for step in run.steps:
            self.waiting[step.computation] += step.state in UNSTARTED

    def moved(self, step: Step, before: StepState, to: StepState) -> bool:
        """A step of one of its runs has moved; whether there is room now for more of its kind that there was not before."""
        self.waiting[step.computation] += (to in UNSTARTED) - (before in UNSTARTED)
        return before in UNSTARTED and self.waiting[step.computation] == AHEAD - 1

    def satisfied(self) -> frozenset[str]:
        """The computations of which enough steps wait: more would only take longer to be paused, or to be cancelled."""
        return frozenset(name for name, count in self.waiting.items() if count >= AHEAD)

    def refill(self, now: datetime) -> int | None:
        """How many partitions its rate lets out now, not fewer at once than make a run worth its while; None for any number."""
        rate = self.backfill.settings.rate_per_s
        if rate is None:
            return None
        self.tokens = min(max(1.0, rate), self.tokens + rate * max(0.0, (now - self.at).total_seconds()))
        self.at = now
        return int(self.tokens) if self.tokens >= self._portion(rate) else 0

    def _portion(self, rate: float) -> int:
        """What a second lets out, a run's worth at most, and at least one."""
        return min(max(1, int(rate)), max((track.per_run for track in self.backfill.tracks), default=1))

    def next_token(self) -> datetime | None:
        """When its rate lets out the next ones; None when it is not the rate that it waits for."""
        rate = self.backfill.settings.rate_per_s
        if rate is None or self.backfill.state not in LAUNCHING or self.is_full():
            return None
        lacking = self._portion(rate) - self.tokens
        return self.at + timedelta(seconds=lacking / rate) + LATENCY if lacking > 0 else None

    def has_token(self, now: datetime) -> bool:
        """Whether its rate, for which it waited, lets out the next partition."""
        due = self.next_token()
        return due is not None and due <= now

    def is_full(self) -> bool:
        """Whether it has as many runs as it may."""
        return len(self.runs) >= self.backfill.settings.max_runs

    def row(self) -> BackfillChange:
        """What is recorded of it."""
        backfill = self.backfill
        ended_at = self.since if backfill.state in ENDED_BACKFILLS else None
        return BackfillChange(
            backfill.id, self.recorded, backfill.state, backfill.settings, backfill.passed, backfill.problem, self.started_at,
            ended_at, self.since, self.worked_ms,
        )  # fmt: skip
