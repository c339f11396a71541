"""Estimates: when a step is likely to start, from what its causes say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from hedgerow_scheduler.admission.causes import Cause, CauseKind, duration
from hedgerow_scheduler.limits.bucket import FAR_S

_WHY_NOBODY_KNOWS: dict[CauseKind, str] = {
    "scheduler_down": "no scheduler leads",
    "planning": "its run is not planned yet",
    "cancelling": "its run is being cancelled",
    "no_manifest": "its code was never published",
    "undeclared": "no code declares it",
    "upstream": "it depends on steps that have not ended",
    "paused": "nobody said when the pause ends",
    "no_workers": "no worker serves its queue",
    "workers_starting": "its workers are not ready",
    "refused_code": "the code of its workers is not in force",
    "no_code": "no worker serves its code",
    "unresolved": "an upstream is declared by nobody",
    "blocked_by_check": "a check holds an input back",
}


class Estimate(msgspec.Struct, frozen=True):
    """When a step is likely to start; None when nobody can tell, and `text` then says why."""

    at: datetime | None
    text: str


def estimate(causes: Sequence[Cause], now: datetime) -> Estimate:
    """The latest of what the causes say; nothing when one of them can't tell. What is only told beside them is left out."""
    holding = [cause for cause in causes if cause.kind not in ("location_failed", "running", "ended")]
    for cause in holding:
        if cause.due_s is None:
            why = _WHY_NOBODY_KNOWS.get(cause.kind)
            if why is None:
                never = cause.limit is not None and bool(cause.remedy)
                why = "it can't start as things are" if never else "too little was measured lately"
            return Estimate(None, f"When it starts nobody can tell: {why}.")
    if not holding:
        return Estimate(None, "")
    due_s = min(FAR_S, max(0.0, *(cause.due_s or 0.0 for cause in holding)))
    told = f"in about {duration(due_s)}" if due_s >= 1 else "in a moment"
    return Estimate(now + timedelta(seconds=due_s), f"It starts {told}.")
