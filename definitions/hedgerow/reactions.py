"""Reactions: functions of a team that are told at once when something happens."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import FrameType
from typing import Literal, ParamSpec, TypedDict, TypeVar, Unpack

from hedgerow.arguments import Arguments, suggestion
from hedgerow.durations import milliseconds
from hedgerow.errors import Problem
from hedgerow.functions import FunctionDefinition
from hedgerow.manifest import model
from hedgerow.manifest.bounds import LONGEST_EVALUATION, SHORTEST_EVERY
from hedgerow.protocol.happenings import HAPPENING_KINDS, HappeningKind
from hedgerow.retry import Retry, lower_retry
from hedgerow.site import of_function, outer_frame

P = ParamSpec("P")
R = TypeVar("R")
DEFAULT_RETRY = Retry(3, delay="10s")


class ReactionOptions(TypedDict, total=False):
    """The arguments of `on_event` besides the kinds."""

    assets: str
    severity: Literal["warn", "error"] | None
    retry: Retry | int
    timeout: str | timedelta
    name: str
    description: str
    enabled: bool


class ReactionDefinition(FunctionDefinition[P, R]):
    """A function that is told what happens. Calling it calls the function; `lowered` is what the manifest carries."""

    def __init__(
        self,
        function: Callable[P, R],
        lowered: model.Reaction,
        problems: Sequence[Problem],
        scope: FrameType | None = None,
    ) -> None:
        super().__init__(function, problems, scope)
        self.lowered = lowered

    def __repr__(self) -> str:
        return f"<reaction {self.lowered.name}>"


def on_event(
    *kinds: HappeningKind, **options: Unpack[ReactionOptions]
) -> Callable[[Callable[P, R]], ReactionDefinition[P, R]]:
    """Call a function in the team's own runner whenever something of these kinds happens, at once and with retries.

    The function receives `hr.Event` and resources by annotation; what it returns is ignored. Kinds: `run_failed`, `run_succeeded`,
    `step_failed` (for good), `check_failed`, `asset_late` (severity `warn` or `error`), `asset_on_time`, `location_failed`,
    `sensor_failed`, `backfill_ended`. It may be told the same twice, with the same `event.id`: what it does should bear that.

    Options: `assets` is a selection such as `"group:sales+"`, of any team's assets (default: the team's own; what is about no
    asset, such as `location_failed`, is told to its own team alone), `severity` only this one, `retry` (default: 3, the first after
    10s), `timeout` (default 1m), `name` (default: the function's), `description` (default: the docstring), `enabled`.

    >>> import hedgerow as hr
    >>> @on_event("run_failed", "asset_late", assets="group:sales")
    ... def page(event: hr.Event) -> None: ...
    >>> page, page.lowered.kinds
    (<reaction page>, ('asset_late', 'run_failed'))
    """
    scope = outer_frame()

    def declare(function: Callable[P, R]) -> ReactionDefinition[P, R]:
        name = options.get("name", getattr(function, "__name__", ""))
        arguments = Arguments(f"Reaction {name!r}", of_function(function))
        arguments.only(options, ReactionOptions.__optional_keys__)
        assets, description = options.get("assets", ""), options.get("description")
        severity = options.get("severity")
        lowered = model.Reaction(
            name=arguments.name("name", name),
            kinds=_kinds(kinds, arguments),
            selection=assets if isinstance(assets, str) else _not_selected(assets, arguments),
            severity=None if severity is None else arguments.choice("severity", severity, ("warn", "error"), "error"),
            retry=lower_retry(options.get("retry", DEFAULT_RETRY), arguments),
            timeout_ms=_timeout_ms(options.get("timeout", "1m"), arguments),
            description=inspect.cleandoc(
                arguments.text("description", description) if description is not None else function.__doc__ or ""
            ),
            enabled=arguments.flag("enabled", options.get("enabled", True), True),
        )
        return ReactionDefinition(function, lowered, arguments.problems, scope)

    return declare


def _kinds(kinds: Sequence[object], arguments: Arguments) -> tuple[HappeningKind, ...]:
    for kind in kinds:
        if kind not in HAPPENING_KINDS:
            near = suggestion(kind, HAPPENING_KINDS) if isinstance(kind, str) else ""
            arguments.wrong("kind", kind, f"{near}Kinds are: {', '.join(HAPPENING_KINDS)}.")
    if not kinds:
        arguments.wrong("kinds", kinds, f"Give at least one of: {', '.join(HAPPENING_KINDS)}.")
    return tuple(sorted({kind for kind in kinds if kind in HAPPENING_KINDS}))  # type: ignore[misc]


def _not_selected(assets: object, arguments: Arguments) -> str:
    arguments.wrong("assets", assets, 'Give a selection such as "group:sales+".')
    return ""


def _timeout_ms(value: str | timedelta, arguments: Arguments) -> int:
    timeout = arguments.duration("timeout", value, SHORTEST_EVERY) or SHORTEST_EVERY
    if not SHORTEST_EVERY <= timeout <= LONGEST_EVALUATION:
        longest = int(LONGEST_EVALUATION.total_seconds() // 60)
        arguments.wrong("timeout", value, f"Give a duration from 1s to {longest}m.")
    return milliseconds(min(max(timeout, SHORTEST_EVERY), LONGEST_EVALUATION))
