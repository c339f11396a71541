"""How long it took until what a fault had stopped went on: from what really ran, and from the recorded dispatches. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from chaos.history import Execution, Fault, History

BOUNDS_S = {"worker_killed": 35.0, "runner_killed": 2.0, "leader_killed": 5.0, "worker_drained": 5.0}
SILENT_S = 1.0  # a step at work is heard of more often than this


def recovery_times(history: History) -> dict[str, list[float]]:
    """For each kind of fault the seconds until things went on, one for each that befell something; a fault during which another
    one began, or was not over, tells nothing of its own kind.

    A killed worker or runner: until a step that ran in it runs again. A killed leader: until the next dispatch. A drained worker: what
    its leaving took beyond the steps that it let end, or until it had handed back an order. All others: from their healing until
    each team had succeeded with a step dispatched since.
    """
    found: defaultdict[str, list[float]] = defaultdict(list)
    by_step: defaultdict[tuple[str, str], list[Execution]] = defaultdict(list)
    for execution in history.executions:
        by_step[execution.run, execution.asset].append(execution)
    dispatches = sorted(attempt.dispatched_at for attempt in history.attempts)
    for fault in history.faults:
        if fault.kind in ("worker_killed", "runner_killed"):
            times = again(fault, by_step)
        elif fault.kind == "leader_killed":
            times = [at - fault.began for at in dispatches if at > fault.began][:1]
        elif fault.kind == "worker_drained":
            times = left(fault, history)
        else:
            times = [fault.resumed - fault.healed] if fault.resumed is not None else []
        others = [each for each in history.faults if each is not fault]
        for took in times:
            until = max(fault.healed, fault.began + took)
            if not any(each.began < until and fault.began < max(each.healed, each.resumed or 0.0) for each in others):
                found[fault.kind].append(took)
    return dict(found)


def again(fault: Fault, by_step: Mapping[tuple[str, str], Sequence[Execution]]) -> list[float]:
    """For each step that a fault ended in the middle and that began again: after how many seconds."""
    found = []
    for executions in by_step.values():
        for execution in (each for each in executions if _befell(fault, each)):
            later = [each.began for each in executions if each.attempt > execution.attempt]
            if later:
                found.append(max(0.0, min(later) - fault.began))
    return found


def is_owed(fault: Fault, executions: Sequence[Execution]) -> bool:
    """Whether a step that a fault ended in the middle has not begun again."""
    newest: dict[tuple[str, str], int] = {}
    for each in executions:
        newest[each.run, each.asset] = max(each.attempt, newest.get((each.run, each.asset), 0))
    return any(_befell(fault, each) and newest[each.run, each.asset] == each.attempt for each in executions)


def _befell(fault: Fault, execution: Execution) -> bool:
    hit = {execution.runner, execution.worker} & set(fault.pids)
    return bool(hit) and not execution.how and execution.began <= fault.began <= execution.last + SILENT_S


def left(fault: Fault, history: History) -> list[float]:
    """How long a worker that was told to leave took for it."""
    own = [each for each in history.executions if each.worker in fault.pids and each.last > fault.began]
    last = max((each.last for each in own), default=fault.began)
    ran = {(each.run, each.asset, each.attempt) for each in own}
    assets = {(step.run, step.number): step.asset for step in history.steps}
    back = [
        attempt.ended_at - fault.began
        for attempt in history.attempts
        if attempt.state in ("interrupted", "refused")
        and attempt.ended_at is not None
        and attempt.dispatched_at < fault.began < attempt.ended_at < fault.healed + 5.0
        and (attempt.run, assets[attempt.run, attempt.step], attempt.number) not in ran
    ]
    return [max(0.0, fault.healed - last), *back]
