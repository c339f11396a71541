"""Conditions of a team's own code: functions that say whether, and for which partitions, something holds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import FrameType
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack, overload

from hedgerow import clock
from hedgerow.arguments import Arguments
from hedgerow.conditions.model import And, Condition, Custom, Not, Or
from hedgerow.durations import milliseconds
from hedgerow.errors import Problem
from hedgerow.functions import FunctionDefinition
from hedgerow.manifest import model
from hedgerow.manifest.bounds import LONGEST_EVALUATION, LONGEST_EVERY, SHORTEST_EVERY
from hedgerow.site import of_function, outer_frame

P = ParamSpec("P")
R = TypeVar("R")


class ConditionOptions(TypedDict, total=False):
    """The arguments of `condition`."""

    every: str | timedelta
    timeout: str | timedelta
    name: str
    description: str


@dataclass(frozen=True)
class ConditionContext:
    """The question at hand; a condition's parameter annotated `hr.ConditionContext` receives it.

    `asset` is the key of the asset whose condition asks, `now` the instant on the platform's clock, `partitions` the last thousand of
    its partitions that exist, oldest first (none without partitions).

    >>> ConditionContext("sales/orders").asset
    'sales/orders'
    """

    asset: str = ""
    partitions: tuple[str, ...] = ()
    now: datetime = field(default_factory=clock.now)


class ConditionDefinition(FunctionDefinition[P, R]):
    """A function that conditions ask; joined by `& | ~` like any other condition. Calling it calls the function."""

    def __init__(
        self,
        function: Callable[P, R],
        lowered: model.CustomCondition,
        problems: Sequence[Problem],
        scope: FrameType | None = None,
    ) -> None:
        super().__init__(function, problems, scope)
        self.lowered = lowered
        self.operand = Custom(lowered.name)

    def __repr__(self) -> str:
        return f"<condition {self.lowered.name}>"

    def __and__(self, other: Condition) -> And:
        return self.operand & other

    def __or__(self, other: Condition) -> Or:
        return self.operand | other

    def __invert__(self) -> Not:
        return ~self.operand

    def __getattr__(self, name: str) -> Any:
        """The methods of conditions: `since`, `became_true`, `debounce`, `at_most`, `except_during`, `labeled`."""
        if name.startswith("_") or name == "operand":
            raise AttributeError(name)
        return getattr(self.operand, name)


@overload
def condition(function: Callable[P, R], /) -> ConditionDefinition[P, R]: ...
@overload
def condition(**options: Unpack[ConditionOptions]) -> Callable[[Callable[P, R]], ConditionDefinition[P, R]]: ...
def condition(
    function: Callable[P, R] | None = None, /, **options: Unpack[ConditionOptions]
) -> ConditionDefinition[P, R] | Callable[[Callable[P, R]], ConditionDefinition[P, R]]:
    """Make a function of the team's own code an operand of conditions: `automation=hr.eager() & it`.

    It is asked in the team's runner, for each asset whose condition names it, every `every` (default 1m), for at most `timeout` (default
    30s). It receives `hr.ConditionContext` and resources by annotation, and returns True, False, or the partitions for which it
    holds. Its last answer counts until the next one. Before the first, and while it raises or hangs, its asset waits, whatever the rest of
    the condition says (also where it is joined by `~`), and `hedgerow explain ASSET` says why. It is asked of the asset itself, never of upstream ones.

    Options besides these: `name` (default: the function's), `description` (default: the docstring).

    >>> import hedgerow as hr
    >>> @condition(every="5m")
    ... def warehouse_is_open(ctx: hr.ConditionContext) -> bool:
    ...     return 6 <= ctx.now.hour < 22
    >>> warehouse_is_open, len((hr.eager() & warehouse_is_open).of) > len(hr.eager().of)
    (<condition warehouse_is_open>, True)
    """
    scope = outer_frame()

    def declare(function: Callable[P, R]) -> ConditionDefinition[P, R]:
        name = options.get("name", getattr(function, "__name__", ""))
        arguments = Arguments(f"Condition {name!r}", of_function(function))
        arguments.only(options, ConditionOptions.__optional_keys__)
        description = options.get("description")
        lowered = model.CustomCondition(
            name=arguments.name("name", name),
            every_ms=_period("every", options.get("every", "1m"), LONGEST_EVERY, arguments),
            timeout_ms=_period("timeout", options.get("timeout", "30s"), LONGEST_EVALUATION, arguments),
            description=inspect.cleandoc(
                arguments.text("description", description) if description is not None else function.__doc__ or ""
            ),
        )
        return ConditionDefinition(function, lowered, arguments.problems, scope)

    return declare if function is None else declare(function)


def _period(label: str, value: str | timedelta, most: timedelta, arguments: Arguments) -> int:
    known = len(arguments.problems)
    period = arguments.duration(label, value, SHORTEST_EVERY) or SHORTEST_EVERY
    if len(arguments.problems) == known and not SHORTEST_EVERY <= period <= most:
        arguments.wrong(label, value, f"Give a duration from 1s to {int(most.total_seconds() // 3600)}h.")
    return milliseconds(min(max(period, SHORTEST_EVERY), most))
