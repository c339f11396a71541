"""What people ask of runs, applied: cancelling, trying again and hurrying; of very many steps in parts, one in each cycle."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from hedgerow_scheduler.lifecycle.model import Run
from hedgerow_scheduler.metadata.commands import PendingCommand
from hedgerow_scheduler.planning.limiting import prioritise
from hedgerow_scheduler.planning.snapshot import Snapshot

Outcome: TypeAlias = dict[str, Any]  # of a command
MAX_PRIORITY = 100
STEPS_PER_CYCLE = 5_000


class Begun(msgspec.Struct):
    """A command of which a part is applied: the steps that are `left`, by number, and how many were `changed`.

    Another leader begins it anew, which changes nothing in the steps that were dealt with: they are not in a state to be any more.
    """

    left: list[int]
    changed: int = 0

    def take(self) -> set[int]:
        """The next part."""
        part, self.left = self.left[:STEPS_PER_CYCLE], self.left[STEPS_PER_CYCLE:]
        return set(part)


def apply(
    snapshot: Snapshot, command: PendingCommand, run: Run | None, now: datetime, begun: dict[int, Begun]
) -> tuple[Outcome | None, int]:
    """What became of a command (None: it is `begun`, and to be gone on with in the next cycle), and how many steps it looked at."""
    if run is None:
        return {"refused": f"There is no run {command.body.get('run_id', '')}."}, 0
    if command.kind == "set_run_priority":
        return _prioritise(snapshot, run, command.body.get("priority"), now), len(run.steps)
    if command.kind not in ("cancel_run", "retry_run"):
        return {"refused": f"There is no command '{command.kind}'."}, 0
    numbers = _numbers(command.body, run)
    going = begun.get(command.id) or Begun(sorted(range(len(run.steps)) if numbers is None else numbers))
    part = going.take()
    looked_at = len(run.steps) if command.kind == "retry_run" else len(part)
    if command.kind == "retry_run":
        going.changed += snapshot.retry_steps(run, part, now)
    elif run.id in snapshot.runs:
        if numbers is None:
            _mark(snapshot, run)
        going.changed += _cancel(snapshot, run, part, now, command.author)
    else:  # it has ended
        going.left = []
    if going.left:
        begun[command.id] = going
        return None, looked_at
    return {"retried" if command.kind == "retry_run" else "cancelled": going.changed}, looked_at


def cancel_run(snapshot: Snapshot, run: Run, now: datetime, author: str) -> int:
    """Cancels a live run at once; how many steps that are."""
    if run.id not in snapshot.runs:
        return 0
    _mark(snapshot, run)
    return _cancel(snapshot, run, range(len(run.steps)), now, author)


def _mark(snapshot: Snapshot, run: Run) -> None:
    run.cancel_requested = True
    snapshot.changes.runs[run.id] = run


def _cancel(snapshot: Snapshot, run: Run, numbers: Iterable[int], now: datetime, author: str) -> int:
    chosen = [run.steps[number] for number in sorted(numbers)]
    for step in chosen:
        snapshot.cancel_step(step, now, f"by {author}" if author else "on request")
    return len(chosen)


def _prioritise(snapshot: Snapshot, run: Run, priority: object, now: datetime) -> Outcome:
    if run.id not in snapshot.runs:
        return {"refused": f"Run {run.id} has ended."}
    if not isinstance(priority, int) or abs(priority) > MAX_PRIORITY:
        return {"refused": f"The priority must be from {-MAX_PRIORITY} to {MAX_PRIORITY}."}
    before = run.priority
    prioritise(snapshot, run, priority, now)
    return {"before": before, "priority": priority}


def _numbers(body: dict[str, Any], run: Run) -> set[int] | None:
    chosen = body.get("steps")
    if not chosen:
        return None
    return {number for number in chosen if isinstance(number, int) and 0 <= number < len(run.steps)}
