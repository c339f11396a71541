"""Declaring data assets: `asset`, `multi_asset`, `spec` and `external`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import FrameType
from typing import Any, Literal, ParamSpec, TypedDict, TypeVar, Unpack, overload

from hedgerow.arguments import Arguments
from hedgerow.backfill import Backfill, lower_backfill
from hedgerow.conditions.bounds import oversize
from hedgerow.conditions.model import Condition, Custom, Operand
from hedgerow.conditions.moments import debounces_a_moment
from hedgerow.dependencies import Declared, Dep, Upstream, lower_deps
from hedgerow.errors import DefinitionError, Problem
from hedgerow.freshness import FreshBy, Freshness, FreshWithin
from hedgerow.functions import FunctionDefinition
from hedgerow.io import IO
from hedgerow.limits import LimitDefinition, lower_limits
from hedgerow.manifest import model
from hedgerow.partitions.model import Partitions
from hedgerow.pools import PoolDefinition, Use, lower_uses
from hedgerow.retry import Retry, lower_retry
from hedgerow.site import Site, of_caller, of_function, outer_frame

P = ParamSpec("P")
R = TypeVar("R")


class DescriptionOptions(TypedDict, total=False):
    """How one asset presents itself."""

    description: str
    owners: Sequence[str]
    group: str
    tags: Mapping[str, str]
    kinds: Sequence[str] | set[str]
    metadata: Mapping[str, Any]
    columns: Sequence[model.Column] | Mapping[str, str]


class SpecOptions(DescriptionOptions, total=False):
    """What belongs to one asset, also within a multi-asset step."""

    deps: Sequence[Upstream | Declared]
    io: str | IO
    automation: Condition
    freshness: Freshness


class StepOptions(TypedDict, total=False):
    """What belongs to the step that runs the function."""

    partitions: Any
    queue: str
    priority: int
    pools: Sequence[str | PoolDefinition | Use]
    limits: Sequence[LimitDefinition]
    retry: Retry | int
    timeout: str | timedelta
    isolation: Literal["warm", "process"]
    on_lost_contact: Literal["finish", "stop"]
    code_version: str
    skip_unchanged: bool
    backfill: Backfill


class AssetOptions(SpecOptions, StepOptions, total=False):
    """The arguments of `asset`."""

    key: str


class MultiAssetOptions(StepOptions, total=False):
    """The arguments of `multi_asset` besides the specs."""

    deps: Sequence[Upstream | Declared]
    subset: bool


class ExternalOptions(DescriptionOptions, total=False):
    """The arguments of `external` besides the key."""

    partitions: Any
    observe: Callable[..., Any]
    freshness: Freshness
    every: str | timedelta
    timeout: str | timedelta


@dataclass(frozen=True)
class AssetSpec:
    """One declared asset, checked but not yet bound to its location. `description` None: taken from the docstring."""

    key: str
    site: Site
    deps: tuple[Dep, ...] = ()
    description: str | None = None
    owners: tuple[str, ...] = ()
    group: str = "default"
    tags: dict[str, str] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    columns: tuple[model.Column, ...] = ()
    io: str | None = None
    automation: Condition | None = None
    freshness: Freshness | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class StepSettings:
    """How the step runs, checked. `on_lost_contact` None: follows from the io."""

    partitions: Partitions | None = None
    queue: str = "default"
    priority: int = 0
    pools: tuple[model.PoolUse, ...] = ()
    limits: tuple[LimitDefinition, ...] = ()
    retry: model.Retry = field(default_factory=model.Retry)
    timeout: timedelta | None = None
    isolation: Literal["warm", "process"] = "warm"
    on_lost_contact: Literal["finish", "stop"] | None = None
    code_version: str = "auto"
    subset: bool = False
    skip_unchanged: bool = False
    max_partitions_per_run: int | None = None


class AssetDefinition(FunctionDefinition[P, R]):
    """A function with the assets it computes. Calling it calls the function, nothing else.

    Nothing is registered anywhere: discovery finds definitions as module-level objects.
    """

    def __init__(
        self,
        function: Callable[P, R],
        specs: tuple[AssetSpec, ...],
        step: StepSettings,
        problems: Sequence[Problem],
        *,
        several: bool,
        scope: FrameType | None = None,
    ) -> None:
        super().__init__(function, problems, scope)
        self.specs = specs
        self.step = step
        self.several = several

    def __repr__(self) -> str:
        return f"<asset {', '.join(self.keys)}>"

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the assets, in order of declaration."""
        return tuple(spec.key for spec in self.specs)


@dataclass(frozen=True)
class ExternalAsset:
    """An asset that something else produces; Hedgerow knows it but never materializes it."""

    spec: AssetSpec
    partitions: Partitions | None = None
    probe: Mapping[str, Any] | None = None  # `observe` with `every` and `timeout`, as they were given

    @property
    def keys(self) -> tuple[str, ...]:
        """The one key, as a tuple."""
        return (self.spec.key,)


def lower_partitions(value: object, arguments: Arguments) -> Partitions | None:
    """Partitions as a manifest carries them."""
    lower = getattr(value, "lower", None)
    lowered = lower() if callable(lower) else value
    if lowered is None or isinstance(lowered, Partitions):
        return lowered
    arguments.wrong("partitions", value, 'Give hr.daily("2024-01-01"), hr.static("a", "b"), or a product of such.')
    return None


def lower_automation(value: object, arguments: Arguments) -> Condition | None:
    """A condition as a manifest carries it."""
    if isinstance(value, Operand):
        condition: Condition = value  # type: ignore[assignment]
        if (says := oversize(condition)) is not None:
            arguments.refuse("HR-D109", f"{arguments.what}: the condition {says}.", "Make it simpler.")
            return None
        if debounces_a_moment(condition):
            arguments.refuse(
                "HR-D109",
                f"{arguments.what}: .debounce() waits for something to stay so, and a moment such as hr.updated() never does.",
                'Let it last until it was handled: .since_handled().debounce("5m").',
            )
            return None
        return condition
    if value is None:
        return None
    if isinstance(operand := getattr(value, "operand", None), Custom):  # a function under @hr.condition
        return operand
    arguments.wrong("automation", value, "Give a condition such as hr.eager() or hr.on_cron('0 6 * * *').")
    return None


def lower_freshness(value: object, arguments: Arguments) -> Freshness | None:
    """A policy of freshness as a manifest carries it."""
    if value is None or isinstance(value, FreshWithin | FreshBy):
        return value
    remedy = 'Give hr.fresh_within("26h", warn="24h") or hr.fresh_by("0 6 * * *", tz="Europe/Oslo").'
    arguments.wrong("freshness", value, remedy)
    return None


def _read_spec(key: object, options: Mapping[str, Any], arguments: Arguments) -> AssetSpec:
    io = options.get("io")
    if isinstance(io, IO):
        io = io.name
    description = options.get("description")
    return AssetSpec(
        key=arguments.key(key),
        site=arguments.site,
        deps=lower_deps(options.get("deps", ()), arguments),
        description=None if description is None else inspect.cleandoc(arguments.text("description", description)),
        owners=arguments.texts("owners", options.get("owners", ())),
        group=arguments.name("group", options.get("group", "default"), "default"),
        tags=arguments.text_map("tags", options.get("tags", {})),
        kinds=arguments.texts("kinds", options.get("kinds", ())),
        metadata=arguments.metadata(options.get("metadata", {})),
        columns=arguments.columns(options.get("columns", ())),
        io=None if io is None else arguments.name("io", io),
        automation=lower_automation(options.get("automation"), arguments),
        freshness=lower_freshness(options.get("freshness"), arguments),
    )


def _read_step(options: Mapping[str, Any], arguments: Arguments) -> StepSettings:
    timeout, contact = options.get("timeout"), options.get("on_lost_contact")
    return StepSettings(
        partitions=lower_partitions(options.get("partitions"), arguments),
        queue=arguments.name("queue", options.get("queue", "default"), "default"),
        priority=arguments.whole("priority", options.get("priority", 0), 0),
        pools=lower_uses(options.get("pools", ()), arguments),
        limits=lower_limits(options.get("limits", ()), arguments),
        retry=lower_retry(options.get("retry", 0), arguments),
        timeout=None if timeout is None else arguments.duration("timeout", timeout),
        isolation=arguments.choice("isolation", options.get("isolation", "warm"), ("warm", "process"), "warm"),
        on_lost_contact=None
        if contact is None
        else arguments.choice("on_lost_contact", contact, ("finish", "stop"), "finish"),
        code_version=arguments.text("code_version", options.get("code_version", "auto"), "auto"),
        subset=arguments.flag("subset", options.get("subset", False), False),
        skip_unchanged=arguments.flag("skip_unchanged", options.get("skip_unchanged", False), False),
        max_partitions_per_run=lower_backfill(options.get("backfill"), arguments),
    )


def _refuse_now(what: str, message: str, remedy: str) -> DefinitionError:
    site = of_caller()
    return DefinitionError(Problem("HR-D012", f"{what}: {message}", remedy, site.file, site.line))


@overload
def asset(function: Callable[P, R], /) -> AssetDefinition[P, R]: ...
@overload
def asset(**options: Unpack[AssetOptions]) -> Callable[[Callable[P, R]], AssetDefinition[P, R]]: ...
def asset(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare that a function computes a data asset, by default of the function's name.

    A parameter's name is the key of an upstream asset, whose value it receives, loaded as the annotation says; upstreams whose
    key is no identifier stand in `deps=`, and the last part of their key names the parameter. Parameters annotated with
    `hr.Context`, a subclass of `hr.Resource`, or a dataclass, `msgspec.Struct` or `hr.Config` receive these instead. The
    function may be async. It returns the value, `hr.Result(value, metadata=...)`, or `hr.skip("why")`; with `-> None` nothing
    is stored.

    Options: `key`, `deps`, `partitions`, `description` (default: the docstring), `owners`, `group`, `tags`, `kinds`,
    `metadata`, `columns`, `automation` (a condition), `freshness` (such as `hr.fresh_within("26h", warn="24h")`), `io`, `queue`, `priority`, `pools`, `limits`, `retry`, `timeout`, `isolation` (`"warm"` or
    `"process"`), `on_lost_contact` (`"finish"` or `"stop"`), `code_version` (`"auto"`: a hash of the function's source),
    `skip_unchanged` (True: a step does not run when code, config and the data that it is made from are those of what is current),
    `backfill` (how many partitions one run of a backfill makes).

    >>> @asset(group="sales", tags={"tier": "gold"})
    ... def totals(orders: list[int]) -> int:
    ...     return sum(orders)
    >>> totals, totals([1, 2])
    (<asset totals>, 3)
    """
    if function is not None and not callable(function):
        raise _refuse_now("hr.asset", f"{function!r} is no function.", f"Write @hr.asset(key={function!r}).")
    scope = outer_frame()

    def declare(function: Callable[P, R]) -> AssetDefinition[P, R]:
        if not callable(function) or isinstance(function, AssetDefinition):
            raise _refuse_now("hr.asset", f"{function!r} is no function.", "Put the decorator on a function.")
        key = options.get("key", getattr(function, "__name__", ""))
        arguments = Arguments(f"Asset {key!r}", of_function(function))
        arguments.only(options, AssetOptions.__optional_keys__)
        spec, step = _read_spec(key, options, arguments), _read_step(options, arguments)
        return AssetDefinition(function, (spec,), step, arguments.problems, several=False, scope=scope)

    return declare if function is None else declare(function)


def spec(key: str, **options: Unpack[SpecOptions]) -> AssetSpec:
    """One of the assets of a `multi_asset`: its key and what belongs to it alone.

    >>> spec("b", deps=["a"], group="sales").deps
    (Dep(key='a', parameter=None, mapping=None, optional=False),)
    """
    arguments = Arguments(f"Asset {key!r}", of_caller())
    arguments.only(options, SpecOptions.__optional_keys__)
    found = _read_spec(key, options, arguments)
    return AssetSpec(**{**vars(found), "problems": tuple(arguments.problems)})


def multi_asset(
    *specs: AssetSpec, **options: Unpack[MultiAssetOptions]
) -> Callable[[Callable[P, R]], AssetDefinition[P, R]]:
    """Declare that one function computes several assets in one step.

    The function returns a mapping from key to value, a tuple in the order of the specs, or `hr.Result`s that name their
    `asset` (a list, or yielded). With `subset=True` a step may ask for some of the assets only: `ctx.asset_keys` says which.

    Options: `deps`, `partitions`, `subset`, and those of the step as in `asset`.

    >>> @multi_asset(spec("low"), spec("high"))
    ... def extremes(numbers: list[int]) -> tuple[int, int]:
    ...     return min(numbers), max(numbers)
    >>> extremes.keys
    ('low', 'high')
    """
    scope = outer_frame()

    def declare(function: Callable[P, R]) -> AssetDefinition[P, R]:
        if not callable(function) or isinstance(function, AssetDefinition):
            raise _refuse_now("hr.multi_asset", f"{function!r} is no function.", "Put the decorator on a function.")
        arguments = Arguments(f"Multi-asset {getattr(function, '__name__', '')!r}", of_function(function))
        arguments.only(options, MultiAssetOptions.__optional_keys__)
        good = tuple(one for one in specs if isinstance(one, AssetSpec))
        if not specs or len(good) < len(specs):
            arguments.wrong("specs", specs, 'Give one or more hr.spec("key").')
        shared = lower_deps(options.get("deps", ()), arguments)
        good = tuple(AssetSpec(**{**vars(one), "deps": _merged(one.deps, shared)}) for one in good)
        problems = [*arguments.problems, *(problem for one in good for problem in one.problems)]
        arguments.problems.clear()
        step = _read_step(options, arguments)
        problems += arguments.problems
        return AssetDefinition(function, good, step, problems, several=True, scope=scope)

    return declare


def _merged(own: tuple[Dep, ...], shared: tuple[Dep, ...]) -> tuple[Dep, ...]:
    keys = {one.key for one in own}
    return (*own, *(one for one in shared if one.key not in keys))


def external(key: str, **options: Unpack[ExternalOptions]) -> ExternalAsset:
    """Declare an asset that something outside Hedgerow produces, so that others can depend on it.

    `observe` is a function that looks at it `every` so often (default 5m) and returns its data version, a text that changes when the
    data does; then the asset counts as updated. It takes resources and `hr.SensorContext` (with the last version as cursor) as a
    sensor does, and is listed as the sensor `observe-{key}`. With `freshness` it is late when its data version stays the same for too long.

    >>> external("raw/orders", group="raw").keys
    ('raw/orders',)
    """
    arguments = Arguments(f"External asset {key!r}", of_caller())
    arguments.only(options, ExternalOptions.__optional_keys__)
    partitions = lower_partitions(options.get("partitions"), arguments)
    found = _read_spec(key, options, arguments)
    probe: dict[str, Any] = {name: value for name, value in options.items() if name in ("observe", "every", "timeout")}
    if probe and not callable(probe.get("observe")):
        arguments.wrong("observe", probe.get("observe"), "Give a function that returns the data version.")
    elif probe and partitions is not None:
        arguments.wrong("observe", probe["observe"], "Only an external asset without partitions can be observed.")
    if found.freshness is not None and not probe:
        arguments.wrong("freshness", found.freshness, "Only an asset that is looked at can be late: give observe= too.")
    told = tuple(arguments.problems)
    return ExternalAsset(
        AssetSpec(**{**vars(found), "problems": told}), partitions, probe if probe and not told else None
    )
