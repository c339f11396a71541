"""Requests: takes up the runs and commands that the API has written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TypeAlias

from hedgerow.errors import Problem, RequestError
from hedgerow_scheduler.lifecycle.changes import CommandOutcome
from hedgerow_scheduler.lifecycle.model import Run, Step
from hedgerow_scheduler.lifecycle.states import RunState, StepState
from hedgerow_scheduler.metadata import runs
from hedgerow_scheduler.metadata.commands import COMMANDS_AT_ONCE, PendingCommand
from hedgerow_scheduler.metadata.store import Transaction
from hedgerow_scheduler.planning.key_changes import change_keys
from hedgerow_scheduler.planning.planned import PlannedStep
from hedgerow_scheduler.planning.request import RunRequest, run_cap
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.planning.staleness import keep_stale, pairs_of
from hedgerow_scheduler.planning.steps import plan_steps
from hedgerow_scheduler.service.draining import drain
from hedgerow_scheduler.service.run_commands import STEPS_PER_CYCLE, Begun, Outcome, apply, cancel_run

log = logging.getLogger("hedgerow.scheduler")


def take_requested_runs(transaction: Transaction, snapshot: Snapshot, now: datetime) -> bool:
    """Plans requested runs, up to about 5,000 steps of them; one that can't be planned (any more) fails with the reason. Returns whether
    there may be more.
    """
    requested = transaction.requested_runs()
    steps = 0
    for item in requested:
        if steps >= STEPS_PER_CYCLE:
            return True
        try:
            planned = _plan(transaction, snapshot, item.request, now)
        except RequestError as error:
            snapshot.changes.failed_requests.append((item.run.id, error.problems[0]))
            continue
        except Exception as error:  # a defect: it must not keep the loop from everyone else's runs
            log.exception("run %s can't be planned", item.run.id)
            problem = Problem("HR-Q014", f"Planning failed: {error!r}.", "Report it with the scheduler's log.")
            snapshot.changes.failed_requests.append((item.run.id, problem))
            continue
        item.run.cap = run_cap(item.request, snapshot.catalog.jobs)
        transaction.stay()
        item.run.steps = [step_of(item.run, plan) for plan in planned]
        steps += len(planned)
        snapshot.start_run(item.run, now)
        transaction.stay()
        if item.run.cancel_requested:
            cancel_run(snapshot, item.run, now, item.run.author)
    return len(requested) >= runs.REQUESTED_AT_ONCE


def _plan(transaction: Transaction, snapshot: Snapshot, request: RunRequest, now: datetime) -> tuple[PlannedStep, ...]:
    planned = plan_steps(snapshot.catalog, request, now, transaction.stay)
    if not request.only_stale:
        return planned
    transaction.stay()
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
    begun: dict[int, Begun],
    others: Mapping[str, Apply] = MappingProxyType({}),
) -> bool:
    """Applies the pending commands and notes what became of each; those of a run that is not taken up yet wait for that, those that
    drain a worker until it is seen to leave, and those of `others`, by kind, as these say. Stops after about 5,000 steps that were
    touched or looked at; what is asked of more steps is `begun`, and gone on with by the next call. Returns whether there may be more.
    """
    appliers: dict[str, Apply] = {
        "drain_worker": lambda _, asked, __: drain(snapshot, asked),
        "change_keys": lambda _, asked, at: _change_keys(snapshot, asked, at),
        **others,
    }
    pending = transaction.pending_commands()
    steps = applied = 0
    for command in pending:
        if (applier := appliers.get(command.kind)) is not None:
            if (became := _asked(applier, transaction, command, now)) is not None:
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
        transaction.stay()
        try:
            outcome, touched = apply(snapshot, command, run, now, begun)
        except Exception:  # a defect: met again in every cycle, it would keep the loop from everyone else's runs
            log.exception("command %d can't be applied", command.id)
            outcome, touched = {"refused": "It could not be applied; the scheduler's log says why."}, 0
        steps += touched
        if outcome is None:
            return True  # before anything else that is asked of the run
        begun.pop(command.id, None)
        snapshot.changes.commands.append(CommandOutcome(command.id, outcome))
        applied += 1
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
