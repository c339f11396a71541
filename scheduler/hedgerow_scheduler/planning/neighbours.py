"""Neighbours: what the steps of a run that stand above and below one another mean for each other."""

from __future__ import annotations

from collections import defaultdict

from hedgerow.errors import Problem
from hedgerow_scheduler.lifecycle.model import Run, Step
from hedgerow_scheduler.lifecycle.states import ENDED, RETRYABLE, StepState

FAILS_DOWNSTREAM = frozenset({StepState.FAILED, StepState.POISONED, StepState.UPSTREAM_FAILED})


def downstream_of(run: Run) -> dict[int, list[int]]:
    """The edges of `Step.upstream` the other way round, by step number; only of steps that have any."""
    found: defaultdict[int, list[int]] = defaultdict(list)
    for step in run.steps:
        for number in step.upstream:
            found[number].append(step.number)
    return dict(found)


def with_neighbours(run: Run, numbers: set[int]) -> set[int]:
    """The steps of `numbers` that may be tried again, with those above that they need and those below that failed for them."""
    found = {number for number in numbers if run.steps[number].state in RETRYABLE}
    downstream = run.downstream or downstream_of(run)  # a run that has ended was read back without it
    edge = list(found)
    while edge:
        number = edge.pop()
        above = [other for other in run.steps[number].upstream if run.steps[other].state in RETRYABLE]
        below = [other for other in downstream.get(number, ()) if run.steps[other].state is StepState.UPSTREAM_FAILED]
        fresh = set(above + below) - found
        found |= fresh
        edge.extend(fresh)
    # What stands below a skipped step can never start: it stays as it ended. Upstream steps have lower numbers.
    again: set[int] = set()
    for number in sorted(found):
        above_states = (run.steps[other].state for other in run.steps[number].upstream if other not in again)
        if all(state is StepState.SUCCEEDED or state not in ENDED for state in above_states):
            again.add(number)
    return again


def inherited(above: Step) -> tuple[StepState, Problem | None]:
    """What a waiting step becomes when `above`, which it waits for, ended without success."""
    if above.state is StepState.SKIPPED:
        return StepState.SKIPPED, None
    if above.state in FAILS_DOWNSTREAM:
        return StepState.UPSTREAM_FAILED, Problem(
            "HR-Q021",
            f"Upstream step {above.number} ({', '.join(above.assets)}) ended as {above.state}.",
            "Mend the cause and retry the run: this step follows by itself.",
        )
    return StepState.CANCELLED, None
