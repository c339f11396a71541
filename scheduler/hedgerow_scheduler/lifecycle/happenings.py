"""Happenings: what reactions may be told of, noted where it happens and only while someone wants to hear of it."""

from __future__ import annotations

from collections.abc import Iterable, Set
from datetime import datetime
from typing import Any

from hedgerow.errors import Problem
from hedgerow.protocol.happenings import MAX_MESSAGE, Event, HappeningKind
from hedgerow_scheduler.lifecycle.model import Run, Step
from hedgerow_scheduler.lifecycle.states import RunState, StepState

BAD_ENDS = frozenset({StepState.FAILED, StepState.POISONED, StepState.UPSTREAM_FAILED})
GIVEN_UP = frozenset({StepState.FAILED, StepState.POISONED})
_RUNS: dict[RunState, HappeningKind] = {RunState.FAILED: "run_failed", RunState.SUCCEEDED: "run_succeeded"}


class Happenings:
    """What has happened since it was last taken, of the kinds that are `wanted`."""

    def __init__(self) -> None:
        self.wanted: Set[str] = frozenset()
        self._new: list[Event] = []

    def take(self) -> list[Event]:
        """What is new since the last time."""
        new, self._new = self._new, []
        return new

    def add(
        self,
        kind: HappeningKind,
        team: str,
        now: datetime,
        assets: Iterable[str] = (),
        message: str = "",
        details: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Notes something: whose it is, which assets it is about, what it is in words; `more` are fields of `Event`."""
        if kind in self.wanted:
            told = message[:MAX_MESSAGE]
            self._new.append(Event(kind, "", now, team, tuple(assets), message=told, details=details or {}, **more))

    def run_ended(self, run: Run, now: datetime) -> None:
        """A run is over. The assets whose steps did not succeed come first."""
        kind = _RUNS.get(run.state)
        if kind is None or kind not in self.wanted:
            return
        bad = [step for step in run.steps if step.state in BAD_ENDS]
        assets = dict.fromkeys(asset for step in (*bad, *run.steps) for asset in step.assets)
        failed = sum(step.state in GIVEN_UP for step in run.steps)
        message = f"Run {run.id} failed: {failed} of its {len(run.steps)} steps." if bad else f"Run {run.id} succeeded."
        teams = sorted({step.team for step in run.steps})
        details = {"steps": len(run.steps), "failed": failed, "author": run.author, "teams": teams}
        self.add(kind, teams[0] if len(teams) == 1 else "", now, assets, message, details, run_id=run.id)

    def step_failed(self, step: Step, error: Problem | None, now: datetime) -> None:
        """A step was given up."""
        if "step_failed" in self.wanted:
            told = error.message if error is not None else ""
            details = {"step": step.name, "attempts": step.attempt}
            self.add(
                "step_failed", step.team, now, step.assets, told, details, partition=step.partition or "", run_id=step.run.id
            )  # fmt: skip
