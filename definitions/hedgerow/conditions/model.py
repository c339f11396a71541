"""Conditions as frozen data: when an asset is to be materialized. A manifest carries them; the scheduler evaluates them.

A condition is asked of each partition of its asset (one without partitions counts as having one), and its answer changes only when
something happens. Some conditions are *states*, true for as long as something is so (`missing`); others are *moments*, true in the one
evaluation that sees it happen (`updated`). A partition is requested each time its asset's condition becomes true for it.

====================================  ========  ==============================================================================
condition                             kind      true for a partition
====================================  ========  ==============================================================================
``missing``                           state     that exists and has no current materialization
``in_progress``                       state     of which a step waits or runs
``failed``                            state     whose last step ended without success
``code_changed``                      state     that was materialized by other code than the code in force
``check_failed``                      state     of whose current materialization a check (or this one) failed
``late``                              state     that is late by its asset's freshness policy (or is warned of)
``in_latest_window``                  state     in the last complete window of time, or in those that ended within a period; and every one without time
``updated``                           moment    that has a new materialization
``data_changed``                      moment    that has a new materialization with another data version than the one before
``started``                           moment    of which a step goes out, with the inputs that there are then
``requested``                         moment    that was requested in the evaluation before
``will_be_requested``                 moment    that is requested in this very evaluation: asked of upstream assets
``first_seen``                        moment    when its asset's condition is evaluated for the first time
``cron_tick``                         moment    when the cron expression has come due
====================================  ========  ==============================================================================
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, TypeAlias

import msgspec

from hedgerow.conditions.durations import period_ms
from hedgerow.cron import Cron, cron
from hedgerow.errors import DefinitionError, Problem


class Operand(msgspec.Struct, frozen=True, omit_defaults=True, cache_hash=True):
    """What every condition can do: be joined by `&`, `|` and `~`, and be changed by the methods below."""

    def __and__(self, other: Condition) -> And:
        return And((*_flat(self, And), *_flat(_checked(other), And)))

    def __or__(self, other: Condition) -> Or:
        return Or((*_flat(self, Or), *_flat(_checked(other), Or)))

    def __invert__(self) -> Not:
        return Not(_checked(self))

    def __bool__(self) -> bool:
        """Refused: `and`, `or` and `not` would take one of two conditions and say nothing."""
        raise DefinitionError(
            Problem(
                "HR-D109",
                "`and`, `or` and `not` do not join conditions.",
                "Write &, | and ~, with each side in brackets.",
            )
        )

    def since(self, reset: Condition) -> Since:
        """True from when this became true until `reset` is; where both are true at once, false."""
        return Since(_checked(self), _checked(reset))

    def since_handled(self) -> Since:
        """True from when this became true until the partition is requested or a step of it goes out; what was so at first does not count."""
        return Since(_checked(self), HANDLED)

    def became_true(self) -> BecameTrue:
        """The moment at which this becomes true."""
        return BecameTrue(_checked(self))

    def debounce(self, quiet: str | timedelta) -> Debounce:
        """True once this has been true for so long without a break: `"5m"`."""
        return Debounce(_checked(self), period_ms("debounce", quiet))

    def at_most(self, count: int, per: str | timedelta) -> AtMost:
        """True where this is, unless the partition was requested `count` times within the last `per`: `at_most(1, per="1h")`."""
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise DefinitionError(
                Problem("HR-D109", f"at_most({count!r}) is no count.", "Give a whole number of at least 1.")
            )
        return AtMost(_checked(self), count, period_ms("at_most", per))

    def except_during(self, start: str, lasting: str | timedelta, tz: str = "UTC") -> ExceptDuring:
        """True where this is, but not from each time the cron expression `start` comes due for as long as `lasting`."""
        return ExceptDuring(_checked(self), cron(start, tz), period_ms("except_during", lasting))

    def labeled(self, label: str) -> Labeled:
        """The same under a name, for those who read why it did or did not hold."""
        return Labeled(_checked(self), label)


class Missing(Operand, frozen=True, tag="missing"):
    """The partition exists and has no current materialization."""


class InProgress(Operand, frozen=True, tag="in_progress"):
    """A step of the partition waits or runs."""


class Failed(Operand, frozen=True, tag="failed"):
    """The partition's last step ended without success."""


class CodeChanged(Operand, frozen=True, tag="code_changed"):
    """The partition was materialized by other code than the code in force."""


class CheckFailed(Operand, frozen=True, tag="check_failed"):
    """A check of the partition's current materialization failed; `check` names one, "" means any."""

    check: str = ""


class Late(Operand, frozen=True, tag="late"):
    """The partition is late by the asset's freshness policy: `warn` counts warnings too."""

    severity: Literal["warn", "error"] = "error"


class Custom(Operand, frozen=True, tag="custom"):
    """What a function of the team's own code answered last for the partition; while it owes an answer nothing is requested. Only of the asset itself."""

    name: str


class InLatestWindow(Operand, frozen=True, tag="in_latest_window"):
    """The partition's window is the last complete one, or ended within `lookback_ms`; always true without a dimension of time."""

    lookback_ms: int | None = None


class Updated(Operand, frozen=True, tag="updated"):
    """The moment of a new materialization; with `elsewhere` not of one by a run that makes the asking asset too."""

    elsewhere: bool = False


class DataChanged(Operand, frozen=True, tag="data_changed"):
    """The moment of a new materialization with another data version than the one before."""


class Started(Operand, frozen=True, tag="started"):
    """The moment at which a step of the partition goes out, with the inputs that there are then."""


class Requested(Operand, frozen=True, tag="requested"):
    """The moment after the partition was requested."""


class WillBeRequested(Operand, frozen=True, tag="will_be_requested"):
    """The partition (of an upstream asset) is requested in this very evaluation."""


class FirstSeen(Operand, frozen=True, tag="first_seen"):
    """The moment at which the condition is evaluated for the first time."""


class CronTick(Operand, frozen=True, tag="cron_tick"):
    """The moment at which a cron expression comes due."""

    cron: Cron


class And(Operand, frozen=True, tag="and"):
    """All of these hold."""

    of: tuple[Condition, ...]


class Or(Operand, frozen=True, tag="or"):
    """Any of these holds."""

    of: tuple[Condition, ...]


class Not(Operand, frozen=True, tag="not"):
    """This does not hold."""

    of: Condition


class Since(Operand, frozen=True, tag="since"):
    """`of` has been true since `reset` was last."""

    of: Condition
    reset: Condition


class BecameTrue(Operand, frozen=True, tag="became_true"):
    """`of` is true and was not in the evaluation before."""

    of: Condition


class Debounce(Operand, frozen=True, tag="debounce"):
    """`of` has been true for `quiet_ms` without a break."""

    of: Condition
    quiet_ms: int


class AtMost(Operand, frozen=True, tag="at_most"):
    """`of`, unless the partition was requested `count` times within the last `per_ms`."""

    of: Condition
    count: int
    per_ms: int


class ExceptDuring(Operand, frozen=True, tag="except_during"):
    """`of`, but not for `lasting_ms` after each time that `cron` comes due."""

    of: Condition
    cron: Cron
    lasting_ms: int


class AnyDep(Operand, frozen=True, tag="any_dep"):
    """`of` holds for some partition that the mappings lead to, of some upstream asset: of `keys` only, where there are any, and never of `but`."""

    of: Condition
    keys: tuple[str, ...] = ()
    but: tuple[str, ...] = ()


class AllDeps(Operand, frozen=True, tag="all_deps"):
    """`of` holds, in every upstream asset (as chosen for `AnyDep`), for every partition that the mapping leads to; for some of them if `some`."""

    of: Condition
    keys: tuple[str, ...] = ()
    but: tuple[str, ...] = ()
    some: bool = False


class Labeled(Operand, frozen=True, tag="labeled"):
    """`of`, under a name for people."""

    of: Condition
    label: str


Condition: TypeAlias = (
    Missing
    | InProgress
    | Failed
    | CodeChanged
    | CheckFailed
    | Late
    | Custom
    | InLatestWindow
    | Updated
    | DataChanged
    | Started
    | Requested
    | WillBeRequested
    | FirstSeen
    | CronTick
    | And
    | Or
    | Not
    | Since
    | BecameTrue
    | Debounce
    | AtMost
    | ExceptDuring
    | AnyDep
    | AllDeps
    | Labeled
)
# Not when it was materialized: what came upstream after its step went out is not in it.
HANDLED = Or((Requested(), Started(), FirstSeen()))


def _checked(condition: object) -> Condition:
    """`condition`, if it is one; DefinitionError HR-D109 otherwise."""
    if isinstance(condition, Operand):
        return condition  # type: ignore[return-value]
    if isinstance(operand := getattr(condition, "operand", None), Custom):  # a function under @hr.condition
        return operand
    message = f"{condition!r} is not a condition."
    raise DefinitionError(
        Problem("HR-D109", message, "Give one such as hr.eager(), hr.missing() or hr.on_cron('0 6 * * *').")
    )


def _flat(condition: Operand, kind: type[And] | type[Or]) -> tuple[Condition, ...]:
    """The operands of a condition of this kind, so that `a & b & c` is one conjunction of three."""
    return condition.of if isinstance(condition, kind) else (_checked(condition),)
