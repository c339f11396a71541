"""One leader after another over the same world: what the first recorded is all that the next one knows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from hedgerow_scheduler.admission.admit import Admission
from hedgerow_scheduler.ingest.fold import Fold
from hedgerow_scheduler.lifecycle.changes import Effects
from hedgerow_scheduler.lifecycle.model import Step
from hedgerow_scheduler.limits.limit import LimitId
from hedgerow_scheduler.planning.limiting import use_overrides
from hedgerow_scheduler.planning.rules import Override
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.service.takeover import Holds, take_up_attempts, take_up_runs
from support.scheduling import LEASE, World


class Ledger:
    """What a database would hold of a world beside its runs, attempts and code: kept by `record`, read by the next leader."""

    def __init__(self) -> None:
        self.levels: dict[LimitId, tuple[float, datetime]] = {}
        self.waits: dict[Step, dict[str, float] | None] = {}
        self.holds: dict[str, Holds] = {}
        self.ends: dict[str, datetime] = {}

    def record(self, world: World) -> Effects:
        """A cycle's transaction; the effects are to be carried out."""
        levels = world.snapshot.limits.levels()
        changes, effects = world.recorded()
        for level in levels:
            self.levels[level.kind, level.name] = (level.tokens, level.at)  # type: ignore[index]
        planned = [step for run in changes.planned_runs for step in run.steps]
        for step in (*planned, *changes.steps.values()):
            self.waits[step] = step.waits and dict(step.waits)
        for attempt in changes.new_attempts:
            holding = attempt.step.holding
            if holding is not None:
                self.holds[attempt.id] = tuple((limit.id, slots) for limit, slots in holding.needs[2:])
        for attempt in changes.attempts.values():
            if attempt.ended_at is not None:
                self.ends[attempt.id] = attempt.ended_at
        return effects

    def another_leads(self, world: World, overrides: Iterable[Override] = ()) -> None:
        """The world goes on under a leader that has read what was recorded."""
        former = world.snapshot
        live, attempts = list(former.runs.values()), list(former.attempts.values())
        fresh = Snapshot(former.catalog, former.rules.platform)
        use_overrides(fresh, overrides, world.now)
        fresh.limits.restore_levels(self.levels)
        fresh.owners, fresh.accepted, fresh.workers = former.owners, former.accepted, former.workers
        fresh.dispatch_seq, fresh.sequences = former.dispatch_seq, former.sequences
        for step in (step for run in live for step in run.steps):
            waits = self.waits.get(step)
            step.waits, step.ticket, step.holding, step.since = waits and dict(waits), None, None, None
        last_ends = {
            (step.run.id, step.number): self.ends[step.attempt_id]
            for run in live
            for step in run.steps
            if step.attempt_id in self.ends
        }
        take_up_runs(fresh, live, last_ends, world.now)
        for attempt in attempts:
            attempt.revoking, attempt.told_to_cancel_at = False, None
        take_up_attempts(fresh, attempts, self.holds, world.now, LEASE)
        fresh.effects = Effects()
        world.snapshot, world.fold = fresh, Fold(fresh, LEASE, lambda: 0.5)
        world.admission = Admission(LEASE, world.admission.max_batch)
