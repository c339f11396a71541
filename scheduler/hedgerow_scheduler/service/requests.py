"""Requests: takes up the runs and commands that the API has written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeAlias

from hedgerow.errors import Problem, RequestError
from hedgerow_scheduler.lifecycle.changes import CommandOutcome
from hedgerow_scheduler.lifecycle.model import Run, Step
from hedgerow_scheduler.lifecycle.states import RunState, StepState
from hedgerow_scheduler.metadata import runs
from hedgerow_scheduler.metadata.commands import COMMANDS_AT_ONCE, PendingCommand
from hedgerow_scheduler.metadata.store import Transaction
from hedgerow_scheduler.planning.key_changes import change_keys
from hedgerow_scheduler.planning.limiting import prioritise
from hedgerow_scheduler.planning.planned import PlannedStep
from hedgerow_scheduler.planning.request import RunRequest, run_cap
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.planning.staleness import keep_stale, pairs_of
from hedgerow_scheduler.planning.steps import plan_steps
from hedgerow_scheduler.service.draining import drain

Outcome: TypeAlias = dict[str, Any]  # of a command
MAX_PRIORITY = 100
STEPS_PER_CYCLE = 5_000
log = logging.getLogger("hedgerow.scheduler")


def take_requested_runs(transaction: Transaction, snapshot: Snapshot, now: datetime, renew: Callable[[], None]) -> bool:
    """Plans requested runs, up to about 5,000 steps of them; one that can't be planned (any more) fails with the reason.

    `renew` keeps the lead before each, for a large run takes seconds. Returns whether there may be more.
    """
    requested = transaction.requested_runs()
    steps = 0
    for item in requested:
        if steps >= STEPS_PER_CYCLE:
            return True
        renew()
        try:
            planned = _plan(transaction, snapshot, item.request, now, renew)
        except RequestError as error:
            snapshot.changes.failed_requests.append((item.run.id, error.problems[0]))
            continue
        except Exception as error:  # a defect: it must not keep the loop from everyone else's runs
            log.exception("run %s can't be planned", item.run.id)
            problem = Problem("HR-Q014", f"Planning failed: {error!r}.", "Report it with the scheduler's log.")
            snapshot.changes.failed_requests.append((item.run.id, problem))
            continue
        item.run.cap = run_cap(item.request, snapshot.catalog.jobs)
        item.run.steps = [step_of(item.run, plan) for plan in planned]
        steps += len(planned)
        snapshot.start_run(item.run, now)
        if item.run.cancel_requested:
            cancel_run(snapshot, item.run, None, now, item.run.author)
    return len(requested) >= runs.REQUESTED_AT_ONCE


def _plan(
    transaction: Transaction, snapshot: Snapshot, request: RunRequest, now: datetime, renew: Callable[[], None]
) -> tuple[PlannedStep, ...]:
    planned = plan_steps(snapshot.catalog, request, now)
    if not request.only_stale:
        return planned
    renew()
    return keep_stale(planned, transaction.statuses(snapshot.catalog, pairs_of(planned), now)).steps


def step_of(run: Run, plan: PlannedStep) -> Step:
    """A planned step of a run that begins."""
    return Step(
        run, plan.number, plan.team, plan.location, plan.queue, plan.priority, plan.computation, plan.assets, plan.partition,
        plan.upstream, StepState.WAITING, StepState.WAITING,
    )  # fmt: skip


# Does what a command asks; None when it is to be asked again later.
Apply: TypeAlias = Callable[[Transaction, PendingCommand, datetime], Outcome | None]


def take_commands(
    transaction: Transaction,
    snapshot: Snapshot,
    now: datetime,
    others: Mapping[str, Apply] = MappingProxyType({}),
) -> bool:
    """Applies the pending commands and notes what became of each; those of a run that is not taken up yet wait for that, those that
    drain a worker until it is seen to leave, and those of `others`, by kind, as these say. Stops after about 5,000 steps that were
    touched or looked at; returns whether there may be more.
    """
    appliers: dict[str, Apply] = {
        "drain_worker": lambda _, asked, __: drain(snapshot, asked),
        "change_keys": lambda _, asked, at: _change_keys(snapshot, asked, at),
        **others,
    }
    pending = transaction.pending_commands()
    steps = applied = 0
    for command in pending:
        if (apply := appliers.get(command.kind)) is not None:
            if (became := _asked(apply, transaction, command, now)) is not None:
                snapshot.changes.commands.append(CommandOutcome(command.id, became))
                applied += 1
            continue
        if steps >= STEPS_PER_CYCLE:
            return True
        run_id = str(command.body.get("run_id", ""))
        # A run that ended in this very cycle is not recorded as such yet: only the snapshot's own is right.
        run = snapshot.runs.get(run_id) or snapshot.changes.runs.get(run_id)
        if run is None and (run := transaction.run(run_id)) is not None:
            steps += len(run.steps)  # they were read
        if run is not None and run.state is RunState.REQUESTED:
            continue
        try:
            outcome = _apply(snapshot, command, run, now)
        except Exception:  # a defect: met again in every cycle, it would keep the loop from everyone else's runs
            log.exception("command %d can't be applied", command.id)
            outcome = {"refused": "It could not be applied; the scheduler's log says why."}
        snapshot.changes.commands.append(CommandOutcome(command.id, outcome))
        applied += 1
        chosen = command.body.get("steps") if command.kind == "cancel_run" else None
        steps += len(chosen) if isinstance(chosen, list) and chosen else len(run.steps) if run is not None else 0
    return applied > 0 and len(pending) >= COMMANDS_AT_ONCE


def _asked(apply: Apply, transaction: Transaction, command: PendingCommand, now: datetime) -> Outcome | None:
    try:
        return apply(transaction, command, now)
    except Exception:  # as of a run's command
        log.exception("command %d can't be applied", command.id)
        return {"refused": "It could not be applied; the scheduler's log says why."}


def _change_keys(snapshot: Snapshot, command: PendingCommand, now: datetime) -> Outcome:
    body = command.body
    team, name = str(body.get("team", "")), str(body.get("name", ""))
    changed = change_keys(
        snapshot, team, name, now, added=body.get("add", ()), removed=body.get("remove", ()), author=command.author
    )
    counts = {"added": len(changed.added), "removed": len(changed.removed), "cancelled": changed.cancelled}
    return counts | ({"refused": changed.problem.message} if changed.problem else {})


def _apply(snapshot: Snapshot, command: PendingCommand, run: Run | None, now: datetime) -> dict[str, Any]:
    if run is None:
        return {"refused": f"There is no run {command.body.get('run_id', '')}."}
    numbers = _numbers(command.body, run)
    if command.kind == "cancel_run":
        return {"cancelled": cancel_run(snapshot, run, numbers, now, command.author)}
    if command.kind == "retry_run":
        return {"retried": _retry(snapshot, run, numbers, now)}
    if command.kind == "set_run_priority":
        return _prioritise(snapshot, run, command.body.get("priority"), now)
    return {"refused": f"There is no command '{command.kind}'."}


def _prioritise(snapshot: Snapshot, run: Run, priority: object, now: datetime) -> dict[str, Any]:
    if run.id not in snapshot.runs:
        return {"refused": f"Run {run.id} has ended."}
    if not isinstance(priority, int) or abs(priority) > MAX_PRIORITY:
        return {"refused": f"The priority must be from {-MAX_PRIORITY} to {MAX_PRIORITY}."}
    before = run.priority
    prioritise(snapshot, run, priority, now)
    return {"before": before, "priority": priority}


def _numbers(body: dict[str, Any], run: Run | None) -> set[int] | None:
    chosen = body.get("steps")
    if not chosen or run is None:
        return None
    return {number for number in chosen if isinstance(number, int) and 0 <= number < len(run.steps)}


def cancel_run(snapshot: Snapshot, run: Run, numbers: set[int] | None, now: datetime, author: str) -> int:
    """Cancels steps of a live run, or (None) all of it; how many steps that are."""
    if run.id not in snapshot.runs:
        return 0
    if numbers is None:
        run.cancel_requested = True
        snapshot.changes.runs[run.id] = run
    chosen = run.steps if numbers is None else [run.steps[number] for number in sorted(numbers)]
    for step in chosen:
        snapshot.cancel_step(step, now, f"by {author}" if author else "on request")
    return len(chosen)


def _retry(snapshot: Snapshot, run: Run, numbers: set[int] | None, now: datetime) -> int:
    return snapshot.retry_steps(run, numbers if numbers is not None else set(range(len(run.steps))), now)
