"""Materializing assets in this process: no server, no broker, no disk."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

from hedgerow import clock
from hedgerow.assets import AssetDefinition, ExternalAsset
from hedgerow.binding import bind
from hedgerow.bound import Bound, Surroundings
from hedgerow.checks import CheckDefinition
from hedgerow.declarations import Declarations, collect
from hedgerow.errors import DefinitionError, RequestError
from hedgerow.execution import Attempt, BoundComputation, evaluate, execute
from hedgerow.key_changes import KeyChanges
from hedgerow.manifest.lowering import Sources
from hedgerow.manifest.model import Column, Dependency
from hedgerow.partitions import Partitions, contains, key_problem, upstream_keys
from hedgerow.partitions.binding import names_of
from hedgerow.protocol.orders import Input
from hedgerow.protocol.references import Reference
from hedgerow.quality.schemas import Schemas
from hedgerow.result import CheckResult, Skip
from hedgerow.returned import Output
from hedgerow.runner.inputs import is_several
from hedgerow.selection import Population, choose
from hedgerow.storage import frames
from hedgerow.suggestion import did_you_mean
from hedgerow.testing.combining import combine
from hedgerow.testing.outcome import CheckOutcome, InProcessResult, MaterializedOutput, StepFailure, blocking_failure

Selected = str | AssetDefinition[..., Any] | CheckDefinition[..., Any]
Definitions = ModuleType | AssetDefinition[..., Any] | CheckDefinition[..., Any] | ExternalAsset | object


def materialize(
    selection: Selected | Sequence[Selected],
    *,
    partition: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    resources: Mapping[Any, Any] | Iterable[Any] | None = None,
    config: Mapping[str, Any] | None = None,
    definitions: Definitions | Sequence[Definitions] = (),
    run_tags: Mapping[str, str] | None = None,
    raise_on_error: bool = True,
    now: datetime | None = None,
    former: InProcessResult | None = None,
) -> InProcessResult:
    """Compute assets here and now and keep their values in memory: for tests, notebooks and trying things out.

    `selection` holds asset definitions (their checks run if they are selected too, or in `definitions`), or texts such as
    `"group:sales"`, which are looked up in `definitions` (modules, or declared objects). Steps run in order of dependency. An
    upstream that is not selected takes its value from `inputs` (asset key → what the parameter receives).

    `partition` is the key for every selected asset that has it. What a selected asset reads of another selected one is computed
    for each partition that the mapping names, and put together as the parameter's annotation asks; `now` (default: the clock)
    decides which partitions exist for the mappings `all` and `last`.

    `resources` replace those of `definitions`: instances, or a mapping from type or parameter name to instance. `config` maps an
    asset key to its configuration. The first exception of a step is raised as it is, with a note that names the step; a failed
    blocking check raises `ExecutionError` HR-X221. With `raise_on_error=False` both are recorded in the result instead. Steps run
    one after another: pools and limits are accepted and hold nothing back. `former` is what an earlier call returned:
    `hr.expect.same_schema` compares with the columns of its outputs.

    >>> import hedgerow as hr
    >>> @hr.asset
    ... def orders() -> list[int]:
    ...     return [1, 2, 3]
    >>> @hr.asset
    ... def total(orders: list[int], rates: int) -> int:
    ...     return sum(orders) * rates
    >>> materialize([orders, total], inputs={"rates": 2}).value("total")
    12
    """
    items: Sequence[Any] = selection if isinstance(selection, list | tuple) else [selection]
    declared = _declare(items, definitions if isinstance(definitions, list | tuple) else [definitions])
    by_type, by_name = replacements(resources)
    bound = bind(declared, Surroundings(complete=False, resources=by_type, named=by_name), Sources())
    if bound.problems:
        raise DefinitionError(bound.problems)
    chosen = _chosen(items, bound)
    run = _Run(bound, chosen, partition, dict(inputs or {}), now or clock.now(), dict(run_tags or {}), raise_on_error)
    run.former = {output.asset: output.columns for output in former.outputs if output.columns} if former else {}
    run.take_config(config or {})
    return run.everything()


def _declare(items: Sequence[Any], definitions: Sequence[Any]) -> Declarations:
    modules = [one for one in definitions if isinstance(one, ModuleType)]
    declared = collect(modules)
    for item in [*items, *(one for one in definitions if not isinstance(one, ModuleType))]:
        if isinstance(item, str) and (definitions or item in _keys(declared)):
            continue
        if isinstance(item, str):
            raise RequestError.of(
                "HR-D022",
                f"The selection {item!r} is a text, and there are no definitions to look it up in.",
                "Give definitions=[module], or select the asset objects themselves.",
            )
        if not declared.add(item, getattr(item, "__name__", "")):
            raise RequestError.of(
                "HR-D022",
                f"{item!r} is nothing that can be materialized.",
                "Give assets and checks declared with hr.asset, hr.multi_asset and hr.check, or texts with definitions=.",
            )
    return declared


def _keys(declared: Declarations) -> set[str]:
    return {key for one in declared.assets for key in one.keys}


def replacements(resources: Mapping[Any, Any] | Iterable[Any] | None) -> tuple[dict[type, Any], dict[str, Any]]:
    """The instances that stand in for a location's resources, by type and by the name of a parameter."""
    if resources is None:
        return {}, {}
    if not isinstance(resources, Mapping):
        return {type(one): one for one in resources}, {}
    return (
        {key: one for key, one in resources.items() if isinstance(key, type)},
        {key: one for key, one in resources.items() if isinstance(key, str)},
    )


def _chosen(items: Sequence[Any], bound: Bound) -> set[str]:
    computed = {key: asset for key, asset in bound.assets.items() if asset.computation is not None}
    upstream: dict[str, set[str]] = {}
    downstream: dict[str, set[str]] = {}
    for key, asset in computed.items():
        upstream[key] = {dep.key for dep in bound.computations[asset.computation or ""].computation.deps} - {key}
        for above in upstream[key]:
            downstream.setdefault(above, set()).add(key)
    population = Population(
        computed, lambda _: "", lambda key: upstream.get(key, ()), lambda key: downstream.get(key, ())
    )
    chosen = choose(population, [item for item in items if isinstance(item, str)])
    return chosen.union(*(item.keys for item in items if isinstance(item, AssetDefinition)))


@dataclass(frozen=True)
class _Step:
    bound: BoundComputation
    assets: tuple[str, ...]
    partition: str | None


class _Run:
    def __init__(
        self,
        bound: Bound,
        chosen: set[str],
        partition: str | None,
        inputs: Mapping[str, Any],
        now: datetime,
        run_tags: Mapping[str, str],
        raise_on_error: bool,
    ) -> None:
        self.bound = bound
        self.chosen = chosen
        self.partition = partition
        self.inputs = inputs
        self.now = now
        self.run_tags = run_tags
        self.raise_on_error = raise_on_error
        self.config: dict[str, Any] = {}
        self.former: dict[str, tuple[Column, ...]] = {}
        self.values: dict[tuple[str, str | None], MaterializedOutput] = {}
        self.checks: list[CheckOutcome] = []
        self.failures: list[StepFailure] = []
        self.left_out: dict[tuple[str, str | None], str] = {}
        self.key_sets = names_of(asset.partitions for asset in bound.assets.values())
        self.key_changes: list[KeyChanges] = []

    def take_config(self, config: Mapping[str, Any]) -> None:
        """Give each computation the config of (one of) its assets."""
        for key, value in config.items():
            asset = self.bound.assets.get(key)
            if asset is None or key not in self.chosen:
                raise RequestError.of(
                    "HR-D022", f"There is a config for {key!r}, which is not selected.", did_you_mean(key, self.chosen)
                )
            self.config[asset.computation or ""] = value

    def everything(self) -> InProcessResult:
        for step in self._steps():
            self._step(step)
        return InProcessResult(
            tuple(self.values.values()),
            tuple(self.checks),
            tuple(self.failures),
            dict(self.left_out),
            *self._keys_changed(),
        )

    def _keys_changed(self) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
        """What all steps together add and remove, by set."""
        together = KeyChanges()
        for each in self.key_changes:
            for name, added, removed in each.parts():
                together.note(name, added, True)
                together.note(name, removed, False)
        return together.added(), together.removed()

    def _steps(self) -> list[_Step]:
        """Every step, upstream first. Walking from the last computation up, each says which partitions it reads."""
        graph = {name: self._selected_upstreams(name) for name in self._computations()}
        order = list(graphlib.TopologicalSorter(graph).static_order())
        wanted: dict[str, dict[str | None, None]] = {name: {} for name in order}
        steps: list[_Step] = []
        for name in reversed(order):
            bound = self.bound.computations[name]
            assets = self._asked(bound)
            own = self._own_partitions(bound, wanted[name])
            steps += [_Step(bound, assets, one) for one in reversed(own)]
            for one in own:
                for edge in bound.computation.deps:
                    if edge.key in self.chosen:
                        upstream = self.bound.assets[edge.key]
                        read = self._read(edge, bound.computation.partitions, upstream.partitions, one)
                        wanted[upstream.computation or ""].update(dict.fromkeys(read))
        return steps[::-1]

    def _asked(self, bound: BoundComputation) -> tuple[str, ...]:
        asked = tuple(key for key in bound.assets if key in self.chosen)
        return asked if bound.computation.subset else tuple(bound.assets)

    def _computations(self) -> list[str]:
        return [name for name, one in self.bound.computations.items() if any(key in self.chosen for key in one.assets)]

    def _selected_upstreams(self, name: str) -> set[str]:
        edges = self.bound.computations[name].computation.deps
        return {self.bound.assets[edge.key].computation or "" for edge in edges if edge.key in self.chosen}

    def _own_partitions(self, bound: BoundComputation, wanted: Iterable[str | None]) -> list[str | None]:
        partitions = bound.computation.partitions
        if partitions is None:
            return [None]
        found: dict[str | None, None] = dict.fromkeys(wanted)
        # In process, a window that is not complete yet may be computed as well.
        if self.partition is not None and contains(partitions, self.partition, _FOR_EVER):
            found[self.partition] = None
        if not found:
            problem = key_problem(partitions, self.partition, self.now)
            message = f"Asset {bound.computation.name!r}: {problem.message if problem else 'no partition is needed.'}"
            remedy = problem.remedy if problem else ""
            raise RequestError.of(problem.code if problem else "HR-Q101", message, remedy)
        return list(found)

    def _read(
        self, edge: Dependency, down: Partitions | None, up: Partitions | None, key: str | None
    ) -> tuple[str | None, ...]:
        return upstream_keys(edge.mapping, down, up, key, self.now)

    def _step(self, step: _Step) -> None:
        inputs = self._inputs(step)
        if inputs is None:
            return
        name = step.bound.computation.name
        attempt = Attempt(
            step.assets, step.partition, self.config.get(name), run_tags=self.run_tags, keys=KeyChanges(self.key_sets)
        )
        try:
            outputs = execute(step.bound, attempt, inputs)
        except Exception as error:
            where = f" of partition {step.partition!r}" if step.partition is not None else ""
            error.add_note(f"while materializing {name!r}{where} in process")
            if self.raise_on_error:
                raise
            self.failures.append(StepFailure(step.assets, step.partition, error))
            self._leave_out(step, "failed")
            return
        if isinstance(outputs, Skip):
            self._leave_out(step, f"skipped: {outputs.why}")
            self.key_changes.append(attempt.keys)
            return
        accepted = [self._accept(output, attempt) for output in outputs]
        if all(accepted):
            self.key_changes.append(attempt.keys)

    def _leave_out(self, step: _Step, why: str) -> None:
        self.left_out.update(((key, step.partition), why) for key in step.assets)

    def _inputs(self, step: _Step) -> dict[str, Any] | None:
        """The values of the step's parameters; None when an upstream of this run has no output, so the step is left out."""
        parameters = {one.key: one for one in step.bound.inputs}
        values: dict[str, Any] = {}
        for edge in step.bound.computation.deps:
            if edge.key not in self.chosen:
                if edge.key in self.inputs:
                    values[edge.key] = self.inputs[edge.key]
                continue
            partitions = step.bound.computation.partitions
            read = self._read(edge, partitions, self.bound.assets[edge.key].partitions, step.partition)
            missing = [one for one in read if (edge.key, one) not in self.values]
            if missing and not edge.optional:
                self._leave_out(step, f"upstream {edge.key!r} has no output")
                return None
            parameter = parameters.get(edge.key)
            found = [(one, self.values[edge.key, one]) for one in read if one not in missing]
            if parameter is None or (missing and not found):
                continue
            given = Input(edge.key, tuple(Reference("", "", partition=one) for one, _ in found), ())
            several = is_several(edge.mapping, step.partition, given)
            pairs = [(one, output.value) for one, output in found]
            values[edge.key] = combine(edge.key, pairs, parameter.annotation, several=several)
        return values

    def _accept(self, output: Output, attempt: Attempt) -> bool:
        """Run the output's checks, then let downstream see it unless a blocking one failed, which is what it returns."""
        blocked = []
        columns = _columns(output)
        for (asset, _), bound in sorted(self.bound.checks.items()):
            if asset != output.asset:
                continue
            error = ""
            try:
                value = output.value
                if bound.check.former_columns:
                    value = Schemas(asset, attempt.partition, columns, self.former.get(asset), self.run_tags)
                verdict = evaluate(bound, attempt, value)
            except Exception as raised:
                verdict, error = CheckResult(False), f"{type(raised).__name__}: {raised}"
            outcome = CheckOutcome(
                asset,
                bound.check.name,
                attempt.partition,
                verdict.passed,
                bound.check.blocking,
                bound.check.severity,
                verdict.description,
                verdict.metadata,
                error,
            )
            self.checks.append(outcome)
            if bound.check.blocking and not verdict.passed:
                blocked.append(outcome)
        if not blocked:
            self.values[output.asset, attempt.partition] = MaterializedOutput(
                output.asset, attempt.partition, output.value, output.metadata, output.data_version, columns
            )
            return True
        failure = blocking_failure(blocked)
        if self.raise_on_error:
            raise failure
        self.failures.append(StepFailure((output.asset,), attempt.partition, failure))
        self.left_out[output.asset, attempt.partition] = "a blocking check failed"
        return False


def _columns(output: Output) -> tuple[Column, ...]:
    """The columns that would be recorded."""
    kind = frames.kind_of(type(output.value))
    return output.columns or (frames.columns_of(kind, output.value) if kind is not None else ())


_FOR_EVER = datetime.max.replace(tzinfo=UTC)
