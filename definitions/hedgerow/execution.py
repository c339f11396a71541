"""Running one bound function on values already loaded: arguments by annotation, the return made uniform. No I/O of its own."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hedgerow.configuration import convert_config
from hedgerow.context import Context
from hedgerow.errors import ExecutionError, Problem
from hedgerow.key_changes import KeyChanges
from hedgerow.manifest.model import Asset, Check, Computation
from hedgerow.metadata import MetadataError, normalise
from hedgerow.partitions.model import Partitions
from hedgerow.resource import Resource
from hedgerow.result import CheckResult, Skip
from hedgerow.returned import Output, read_return


@dataclass(frozen=True)
class InputParameter:
    """A parameter that receives the value of an upstream asset.

    `annotation` is the type to load it as, None when it has none. An `optional` one is None when its upstream is missing, or
    keeps its default (`has_default`).
    """

    parameter: str
    key: str
    annotation: Any = None
    optional: bool = False
    has_default: bool = False


@dataclass(frozen=True)
class Call:
    """How a function wants to be called: which parameter receives what. `config` is (parameter, type, has a default)."""

    contexts: tuple[str, ...] = ()
    resources: Mapping[str, Resource] = field(default_factory=dict)
    config: tuple[str, Any, bool] | None = None
    inputs: tuple[InputParameter, ...] = ()


@dataclass(frozen=True)
class BoundComputation:
    """A computation of the manifest with the function behind it; `assets` by key, in order of declaration.

    `several` says that the function returns an output for each asset (`multi_asset`); `needs_value` holds the assets whose
    annotation rules out None.
    """

    computation: Computation
    assets: Mapping[str, Asset]
    function: Callable[..., Any]
    call: Call
    several: bool = False
    needs_value: frozenset[str] = frozenset()

    @property
    def inputs(self) -> tuple[InputParameter, ...]:
        """The upstream values that `execute` must be given, in order of the parameters."""
        return self.call.inputs


@dataclass(frozen=True)
class BoundCheck:
    """A check of the manifest with the function behind it. `inputs` holds the one parameter for the checked value, or nothing.

    `partitions` are those of the checked asset.
    """

    check: Check
    function: Callable[..., Any]
    call: Call
    partitions: Partitions | None = None

    @property
    def takes_value(self) -> bool:
        """Whether the check wants the asset's value; if not, it looks for itself."""
        return bool(self.call.inputs)

    @property
    def annotation(self) -> Any:
        """The type to load the value as, None when the parameter has no annotation."""
        return self.call.inputs[0].annotation if self.call.inputs else None


@dataclass(frozen=True)
class Attempt:
    """What a function is told about the step it runs in.

    `assets` are the keys asked for. `config` is raw JSON, plain data or a ready object; None (or JSON null) means defaults.
    """

    assets: tuple[str, ...]
    partition: str | None = None
    config: Any = None
    run_id: str = ""
    number: int = 1
    run_tags: Mapping[str, str] = field(default_factory=dict)
    log: logging.Logger | None = None
    keys: KeyChanges = field(default_factory=KeyChanges)
    """What the function changes of the keys of dynamic partitions is noted here."""


def execute(bound: BoundComputation, attempt: Attempt, inputs: Mapping[str, Any]) -> tuple[Output, ...] | Skip:
    """Call the function with `inputs` (asset key → value); the outputs stand in order of declaration.

    Raises what the team's function raises, unchanged. `ExecutionError`: HR-X201 to HR-X204 when config or inputs do not fit
    (the order's fault), HR-X205 and up when the function's return or its use of the context can't be accepted.
    """
    what = f"Asset {bound.computation.name!r}"
    config = convert_config(bound.call.config, attempt.config, what)
    context = _context(attempt, bound.computation.partitions, config)
    arguments = _arguments(bound.call, context, inputs, what)
    returned = _run(bound.function, arguments)
    if isinstance(returned, Skip):
        return returned
    return read_return(
        returned, bound.assets, attempt.assets, context, several=bound.several, needs_value=bound.needs_value
    )


def evaluate(bound: BoundCheck, attempt: Attempt, value: Any = None) -> CheckResult:
    """Call the check with `value` (ignored when it takes none); the metadata of the result is plain JSON data.

    Raises what the team's function raises; `ExecutionError` HR-X208 when it returns no verdict.
    """
    context = _context(replace(attempt, assets=(bound.check.asset,)), bound.partitions, None)
    what = f"Check {bound.check.name!r} of {bound.check.asset!r}"
    verdict = _run(bound.function, _arguments(bound.call, context, {bound.check.asset: value}, what))
    if not isinstance(verdict, CheckResult):
        # numpy's booleans are recognised by their name, so that numpy needs no import.
        if not (isinstance(verdict, bool) or type(verdict).__name__ in ("bool_", "bool")):
            raise _refused(
                "HR-X208",
                f"{what} returned {type(verdict).__name__}, which is no verdict.",
                "Return True, False or hr.CheckResult(passed, metadata=..., description=...).",
            )
        verdict = CheckResult(bool(verdict))
    try:
        metadata = normalise({**context.recorded_metadata(bound.check.asset), **verdict.metadata})
    except (MetadataError, TypeError) as error:
        raise _refused("HR-X213", f"{what}: {error}.", "Give a small mapping of JSON values.") from error
    return CheckResult(bool(verdict.passed), metadata, str(verdict.description))


def _context(attempt: Attempt, partitions: Partitions | None, config: Any) -> Context:
    return Context(
        asset_keys=attempt.assets,
        partition_key=attempt.partition,
        partitions=partitions,
        config=config,
        run_id=attempt.run_id,
        attempt=attempt.number,
        run_tags=attempt.run_tags,
        log=attempt.log,
        key_changes=attempt.keys,
    )


def _arguments(call: Call, context: Context, inputs: Mapping[str, Any], what: str) -> dict[str, Any]:
    arguments: dict[str, Any] = dict.fromkeys(call.contexts, context)
    arguments.update(call.resources)
    if call.config is not None:
        parameter, _, has_default = call.config
        if context.config is not None or not has_default:
            arguments[parameter] = context.config
    for one in call.inputs:
        if one.key in inputs:
            arguments[one.parameter] = inputs[one.key]
        elif not one.optional:
            raise _refused(
                "HR-X204",
                f"{what} needs the value of {one.key!r} (parameter {one.parameter!r}), which was not given.",
                f"Materialize {one.key!r} first, or give its value.",
            )
        elif not one.has_default:
            arguments[one.parameter] = None
    return arguments


def _run(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    returned = function(**arguments)
    if inspect.isasyncgen(returned):
        return run_coroutine(_collect(returned))
    if inspect.isawaitable(returned):
        return run_coroutine(_as_coroutine(returned))
    if inspect.isgenerator(returned):
        return list(returned)
    return returned


async def _collect(items: Any) -> list[Any]:
    return [item async for item in items]


async def _as_coroutine(awaitable: Any) -> Any:
    return await awaitable


def run_coroutine(coroutine: Any) -> Any:
    """What a coroutine returns, from within a running loop as well."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    # Called from within a running loop, as in a notebook: a loop can't be nested, so a thread gets one of its own.
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def main() -> None:
        try:
            outcome.append(asyncio.run(coroutine))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=main, name="hedgerow-async-step")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _refused(code: str, message: str, remedy: str) -> ExecutionError:
    return ExecutionError(Problem(code, message, remedy))
