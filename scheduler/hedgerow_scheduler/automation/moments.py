"""Moments: conditions that are true in the one evaluation that sees something happen, and where they show."""

from __future__ import annotations

from hedgerow.conditions import model as c
from hedgerow.conditions.bounds import operands_of

# Not WillBeRequested: what was requested upstream is asked about again in the next turn anyway.
MOMENTS = (c.Updated, c.DataChanged, c.Started, c.Requested, c.FirstSeen, c.CronTick)


def settles(condition: c.Condition) -> bool:
    """Whether a condition has to be asked once more when a moment is over: because its answer shows the moment, or because something in
    it remembers what was so in the evaluation before.
    """
    return sees_moments(condition) or _remembers_moments(condition)


def _remembers_moments(condition: c.Condition) -> bool:
    match condition:
        case c.BecameTrue(of=of) | c.Debounce(of=of):
            found = sees_moments(of)
        case c.Since(of=of):
            found = not is_momentary(of) and sees_moments(of)
        case _:
            found = False
    return found or any(map(_remembers_moments, operands_of(condition)))


def sees_moments(condition: c.Condition) -> bool:
    """Whether a moment shows through to the answer: not where a Since takes it in, unless what that takes in can also last."""
    match condition:
        case c.And(of=of) | c.Or(of=of):
            return any(map(sees_moments, of))
        case c.Since(of=of):
            return not is_momentary(of) and sees_moments(of)
        case c.BecameTrue() | c.AtMost():
            return True
        case (
            c.Not(of=of)
            | c.Labeled(of=of)
            | c.Debounce(of=of)
            | c.ExceptDuring(of=of)
            | c.AnyDep(of=of)
            | c.AllDeps(of=of)
        ):
            return sees_moments(of)
    return isinstance(condition, MOMENTS)


def is_momentary(condition: c.Condition) -> bool:
    """Whether a condition is only ever true in an evaluation that sees something happen."""
    match condition:
        case c.And(of=of):
            return any(map(is_momentary, of))
        case c.Or(of=of):
            return all(map(is_momentary, of))
        case c.Labeled(of=of) | c.AnyDep(of=of) | c.AtMost(of=of) | c.ExceptDuring(of=of):
            return is_momentary(of)
    return isinstance(condition, (*MOMENTS, c.WillBeRequested, c.BecameTrue))  # AllDeps of nothing upstream lasts
