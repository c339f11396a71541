"""Judging steps: those that make nothing, but run an asset's checks on what is stored of it.

One that follows a step of the same run runs the checks that the asset has as a step of their own (`own_step`); one that stands for
itself, in a run of checks only, runs all of them.
"""

from __future__ import annotations

import msgspec

from hedgerow_scheduler.lifecycle.model import Materialization, Step
from hedgerow_scheduler.lifecycle.states import ENDED, StepState

SUFFIX = ":checks"  # no asset's key has a colon
ANY_JUDGING = f"%{SUFFIX}"  # what LIKE of SQL finds judging computations by


class Judgeable(msgspec.Struct, frozen=True):
    """An output that is to be judged, and the checks of it that have failed until now. `is_former`: something newer is current."""

    output: Materialization
    failed_checks: frozenset[str] = frozenset()
    is_former: bool = False


def judging_name(asset: str) -> str:
    """What the computation of an asset's judging step is called.

    >>> judging_name("sales/orders"), is_judging("sales/orders:checks"), is_judging("sales/orders")
    ('sales/orders:checks', True, False)
    """
    return asset + SUFFIX


def is_judging(computation: str) -> bool:
    """Whether a computation judges, and makes nothing."""
    return computation.endswith(SUFFIX)


def with_judges(step: Step) -> tuple[Step, StepState | None]:
    """The step that makes what a step makes or judges, and how it ended together with the steps that judge it: like the first of them that
    did not succeed; None while one of them has not ended.
    """
    maker = step.run.steps[step.upstream[0]] if is_judging(step.computation) and step.upstream else step
    if maker.state is not StepState.SUCCEEDED:
        return maker, maker.state if maker.state in ENDED else None
    below = (maker.run.steps[number] for number in maker.run.downstream.get(maker.number, ()))
    states = [judge.state for judge in below if is_judging(judge.computation)]
    if any(state not in ENDED for state in states):
        return maker, None
    return maker, next((state for state in states if state is not StepState.SUCCEEDED), StepState.SUCCEEDED)
