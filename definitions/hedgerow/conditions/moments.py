"""Which conditions are moments, and which can therefore never hold for long enough."""

from __future__ import annotations

from hedgerow.conditions import model as c
from hedgerow.conditions.bounds import operands_of

_MOMENTS = (
    c.Updated, c.DataChanged, c.Started, c.Requested, c.WillBeRequested, c.FirstSeen, c.CronTick, c.BecameTrue,
)  # fmt: skip


def is_moment(condition: c.Condition) -> bool:
    """Whether a condition is true at most in the evaluation that sees something happen, and not for as long as something is so."""
    match condition:
        case c.And(of=of):
            return any(is_moment(each) for each in of)
        case c.Or(of=of):
            return all(is_moment(each) for each in of)
        case c.AnyDep(of=of) | c.AllDeps(of=of) | c.Labeled(of=of) | c.AtMost(of=of) | c.ExceptDuring(of=of):
            return is_moment(of)
    return isinstance(condition, _MOMENTS)


def debounces_a_moment(condition: c.Condition) -> bool:
    """Whether some operand waits for a moment to last, which it never does."""
    if isinstance(condition, c.Debounce) and is_moment(condition.of):
        return True
    return any(debounces_a_moment(each) for each in operands_of(condition))
