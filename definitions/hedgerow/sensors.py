"""Sensors: functions of a team that look outside at intervals and say which runs to launch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import FrameType
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack, overload

from hedgerow.arguments import Arguments
from hedgerow.assets import AssetDefinition, ExternalAsset
from hedgerow.durations import milliseconds
from hedgerow.errors import Problem
from hedgerow.functions import FunctionDefinition
from hedgerow.jobs import JobDefinition
from hedgerow.manifest import model
from hedgerow.manifest.bounds import LONGEST_EVALUATION, LONGEST_EVERY, SHORTEST_EVERY
from hedgerow.site import of_function, outer_frame

MAX_NAME = 63
P = ParamSpec("P")
R = TypeVar("R")
Target = JobDefinition | AssetDefinition[..., Any] | str


class SensorOptions(TypedDict, total=False):
    """The arguments of `sensor`."""

    every: str | timedelta
    target: Target | None
    timeout: str | timedelta
    name: str
    description: str
    tags: Mapping[str, str]
    enabled: bool


class SensorDefinition(FunctionDefinition[P, R]):
    """A function that looks for what is new. Calling it calls the function; `lowered` is what the manifest carries."""

    def __init__(
        self,
        function: Callable[P, R],
        lowered: model.Sensor,
        job: JobDefinition | None,
        problems: Sequence[Problem],
        scope: FrameType | None = None,
    ) -> None:
        super().__init__(function, problems, scope)
        self.lowered = lowered
        self.job = job

    def __repr__(self) -> str:
        return f"<sensor {self.lowered.name}>"


@overload
def sensor(function: Callable[P, R], /) -> SensorDefinition[P, R]: ...
@overload
def sensor(**options: Unpack[SensorOptions]) -> Callable[[Callable[P, R]], SensorDefinition[P, R]]: ...
def sensor(
    function: Callable[P, R] | None = None, /, **options: Unpack[SensorOptions]
) -> SensorDefinition[P, R] | Callable[[Callable[P, R]], SensorDefinition[P, R]]:
    """Evaluate a function at intervals in the team's own runner, and launch the runs that it asks for.

    The function receives `hr.SensorContext` (with the cursor at which it left off) and resources by annotation. It returns or
    yields `hr.RunRequest`s, or returns `hr.SensorResult(runs=[...], cursor=...)`, `hr.skip(why)` or None. Runs, dedupe keys and
    the new cursor are recorded together; an evaluation that fails leaves the cursor where it was.

    Options: `every` (default 30s) from the beginning of one evaluation to that of the next, `target` is what a request without
    selection of its own launches (a job, an asset, or a selection such as `"raw/*"`), `timeout` (default 1m) after which an
    evaluation is killed, `name` (default: the function's), `description` (default: the docstring), `tags` of each run, `enabled`.

    >>> import hedgerow as hr
    >>> @sensor(every="30s", target="raw/*")
    ... def new_files(ctx: hr.SensorContext):
    ...     return hr.RunRequest(dedupe_key="orders-31.csv")
    >>> new_files, new_files.lowered.every_ms
    (<sensor new_files>, 30000)
    """
    scope = outer_frame()

    def declare(function: Callable[P, R]) -> SensorDefinition[P, R]:
        return _declare(function, options, scope)

    return declare if function is None else declare(function)


def probe_of(external: ExternalAsset) -> SensorDefinition[..., Any] | None:
    """The sensor that observes an external asset, if it is to be observed."""
    if external.probe is None:
        return None
    key, options = external.spec.key, {**external.probe}
    function = options.pop("observe")
    arguments = Arguments(f"External asset {key!r}", external.spec.site)
    name = f"observe-{key.replace('/', '-')}"[:MAX_NAME]
    lowered = model.Sensor(
        name=name,
        every_ms=_period("every", options.get("every", "5m"), SHORTEST_EVERY, LONGEST_EVERY, arguments),
        timeout_ms=_period("timeout", options.get("timeout", "1m"), SHORTEST_EVERY, LONGEST_EVALUATION, arguments),
        description=inspect.cleandoc(getattr(function, "__doc__", None) or ""),
        observes=key,
    )
    return SensorDefinition(function, lowered, None, arguments.problems)


def _declare(function: Callable[P, R], options: SensorOptions, scope: FrameType | None) -> SensorDefinition[P, R]:
    name = options.get("name", getattr(function, "__name__", ""))
    arguments = Arguments(f"Sensor {name!r}", of_function(function))
    arguments.only(options, SensorOptions.__optional_keys__)
    target, description = options.get("target"), options.get("description")
    lowered = model.Sensor(
        name=arguments.name("name", name),
        selection=_selection(target, arguments),
        every_ms=_period("every", options.get("every", "30s"), SHORTEST_EVERY, LONGEST_EVERY, arguments),
        timeout_ms=_period("timeout", options.get("timeout", "1m"), SHORTEST_EVERY, LONGEST_EVALUATION, arguments),
        description=inspect.cleandoc(
            arguments.text("description", description) if description is not None else function.__doc__ or ""
        ),
        tags=arguments.text_map("tags", options.get("tags", {})),
        enabled=arguments.flag("enabled", options.get("enabled", True), True),
    )
    job = target if isinstance(target, JobDefinition) else None
    return SensorDefinition(function, lowered, job, arguments.problems, scope)


def _period(label: str, value: str | timedelta, least: timedelta, most: timedelta, arguments: Arguments) -> int:
    known = len(arguments.problems)
    period = arguments.duration(label, value, least) or least
    if len(arguments.problems) == known and not least <= period <= most:
        arguments.wrong(
            label,
            value,
            f"Give a duration from {least.total_seconds():.0f}s to {most.days * 24 + most.seconds // 3600}h.",
        )
    return milliseconds(min(max(period, least), most))


def _selection(target: object, arguments: Arguments) -> str:
    if target is None:
        return ""
    if isinstance(target, JobDefinition):
        return f"job:{target.name}"
    if isinstance(target, AssetDefinition):
        return " ".join(target.keys)
    if isinstance(target, str) and target.strip():
        return target
    arguments.wrong("target", target, 'Give a job, an asset, or a selection such as "raw/*".')
    return ""
