"""Checking a location's declarations as a whole and binding each function to what the manifest says of it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from hedgerow.annotations import Signature, read_signature
from hedgerow.arguments import Arguments, suggestion
from hedgerow.assets import AssetDefinition
from hedgerow.bound import Bound, Surroundings
from hedgerow.checks import CheckDefinition
from hedgerow.condition_binding import BoundCondition, futile_conditions, unknown_conditions
from hedgerow.context import Context
from hedgerow.custom_conditions import ConditionContext
from hedgerow.cycles import cycles_of
from hedgerow.declarations import Declarations
from hedgerow.dependencies import Dep
from hedgerow.errors import Problem
from hedgerow.evaluable_binding import bind_functions
from hedgerow.execution import BoundCheck, BoundComputation
from hedgerow.identifiers import is_name
from hedgerow.limits import LimitDefinition, refuse_unfit
from hedgerow.manifest import model
from hedgerow.manifest.lowering import Sources, lower_asset, lower_check, lower_computation, lower_external, outputs_of
from hedgerow.parameters import Parameters
from hedgerow.partitions import Partitions, validate_mapping
from hedgerow.pools import shown
from hedgerow.protocol.happenings import Event
from hedgerow.reaction_binding import BoundReaction
from hedgerow.schedules import lower_schedule
from hedgerow.sensing import SensorContext
from hedgerow.sensor_binding import bind_sensors
from hedgerow.settings.location import LOCATION_FILE
from hedgerow.site import Site

NOWHERE = Site("", 0, "")


def own_problems(declared: Declarations) -> list[Problem]:
    """The mistakes that single declarations hold, before anything is compared."""
    return [
        *(problem for one in declared.assets for spec in one.specs for problem in spec.problems if not one.several),
        *(problem for one in declared.assets for problem in one.problems),
        *(problem for external in declared.externals for problem in external.spec.problems),
        *(problem for check in declared.checks for problem in check.problems),
        *(problem for pool in declared.pools for problem in pool.problems),
        *(problem for job in declared.jobs for problem in job.problems),
        *(problem for schedule in declared.schedules for problem in schedule.problems),
        *(problem for sensor in declared.sensors for problem in sensor.problems),
        *(problem for reaction in declared.reactions for problem in reaction.problems),
        *(problem for condition in declared.conditions for problem in condition.problems),
    ]


def bind(declared: Declarations, around: Surroundings, sources: Sources) -> Bound:
    """Bind every declaration; all mistakes that can be seen together are in `problems`."""
    binder = _Binder(declared, around, sources)
    binder.run()
    return binder.bound


class _Binder:
    def __init__(self, declared: Declarations, around: Surroundings, sources: Sources) -> None:
        self.declared = declared
        self.around = around
        self.sources = sources
        self.bound = Bound(problems=own_problems(declared))
        self.where: dict[str, Site] = {}
        self.signatures: dict[int, Signature] = {}
        self.limits: dict[str, LimitDefinition] = {}

    def refuse(self, code: str, message: str, remedy: str, site: Site) -> None:
        self.bound.problems.append(Problem(code, message, remedy, site.file or None, site.line or None))

    def run(self) -> None:
        self._resources()
        self._ios()
        self._pools()
        self._jobs()
        self._schedules()
        self.bound.sensors, problems = bind_sensors(
            self.declared, self.bound.jobs, self.sources, lambda told: self._parameters(told, (), SensorContext)
        )
        self.bound.problems += problems
        self.bound.reactions, problems = bind_functions(
            "Reaction",
            BoundReaction,
            self.declared.reactions,
            self.sources,
            lambda told: self._parameters(told, (), Event),
        )
        self.bound.problems += problems
        self.bound.conditions, problems = bind_functions(
            "Condition", BoundCondition, self.declared.conditions, self.sources,
            lambda told: self._parameters(told, (), ConditionContext),
        )  # fmt: skip
        self.bound.problems += problems
        owners = self._keys()
        for definition in owners:
            self._computation(definition)
        for check in self.declared.checks:
            self._check(check)
        self._edges()
        self._cycles()
        if self.around.complete:
            self.bound.problems += unknown_conditions(self.bound.assets, self.bound.conditions)
            self.bound.problems += self._futile_conditions()

    def _futile_conditions(self) -> Iterable[Problem]:
        computations = [one.computation for one in self.bound.computations.values()]
        upstream = {key: {dep.key for dep in made.deps} for made in computations for key in made.assets}
        checks: dict[str, set[str]] = {}
        for asset, name in self.bound.checks:
            checks.setdefault(asset, set()).add(name)
        return futile_conditions(self.bound.assets, upstream, checks)

    def _resources(self) -> None:
        for instance in self.declared.resources:
            kind, site = type(instance), self.declared.sites.get(id(instance), NOWHERE)
            if kind in self.bound.resources:
                other = self.declared.sites.get(id(self.bound.resources[kind]), NOWHERE)
                self.refuse(
                    "HR-D015",
                    f"There are two instances of the resource {kind.__qualname__}; the other one is at {self._at(other)}.",
                    "Keep one, or give each a subclass of its own to ask for.",
                    site,
                )
            self.bound.resources.setdefault(kind, instance)
        self.bound.resources.update(self.around.resources)

    def _ios(self) -> None:
        for io in self.declared.ios:
            site = self.declared.sites.get(id(io), NOWHERE)
            if not (isinstance(io.name, str) and is_name(io.name)):
                self.refuse("HR-D002", f"The io {type(io).__qualname__} has the name {io.name!r}.", _IO_REMEDY, site)
            elif io.name in self.bound.ios:
                self.refuse(
                    "HR-D017", f"There are two ios of the name {io.name!r}.", "Give each a name of its own.", site
                )
            elif not isinstance(io.immutable, bool):
                self.refuse(
                    "HR-D012", f"Io {io.name!r}: immutable={io.immutable!r} is not allowed.", "Set True or False.", site
                )
            self.bound.ios.setdefault(io.name, io)

    def _pools(self) -> None:
        self.bound.pools.update((pool.name, pool) for pool in self.around.pools)
        places = {pool.name: f"in {LOCATION_FILE}" for pool in self.around.pools}
        for definition in self.declared.pools:
            known = self.bound.pools.setdefault(definition.name, definition.limit)
            place = places.setdefault(definition.name, f"at {self._at(definition.site)}")
            if known != definition.limit:
                self.refuse(
                    "HR-D018",
                    f"Pool {definition.name!r} is declared twice: {shown(definition.limit)} here, {shown(known)} {place}.",
                    "Keep one of the declarations.",
                    definition.site,
                )

    def _jobs(self) -> None:
        for job in self.declared.jobs:
            if job.name in self.bound.jobs:
                self.refuse("HR-D018", f"Job {job.name!r} is declared twice.", "Give each a name of its own.", job.site)
            self.bound.jobs[job.name] = model.Job(
                job.name,
                job.selection,
                job.description,
                dict(job.tags),
                self.sources.of(job.site, job.name),
                job.max_concurrent,
            )

    def _schedules(self) -> None:
        for definition in self.declared.schedules:
            variable, source = self.declared.names.get(id(definition), ""), self.sources.of(definition.site, "")
            schedule, problems = lower_schedule(definition, variable, source, self.bound.jobs)
            self.bound.problems += problems
            if schedule.name in self.bound.schedules:
                message = f"Schedule {schedule.name!r} is declared twice."
                self.refuse("HR-D018", message, 'Give each a name of its own: name="...".', definition.site)
            self.bound.schedules[schedule.name] = schedule

    def _keys(self) -> list[AssetDefinition[..., Any]]:
        """Give each key to the first that declares it; the definitions whose keys are all theirs."""
        whole = []
        for external in self.declared.externals:
            if self._claim(external.spec.key, external.spec.site):
                self.bound.assets[external.spec.key] = lower_external(external, self.sources)
        for definition in self.declared.assets:
            sites = [spec.site if definition.several else definition.site for spec in definition.specs]
            claimed = [self._claim(spec.key, site) for spec, site in zip(definition.specs, sites, strict=True)]
            if claimed and all(claimed):
                whole.append(definition)
        for definition in whole:
            signature = read_signature(definition.function, definition.scope)
            self.signatures[id(definition)] = signature
            self._shape(definition)
            for spec, output in zip(definition.specs, outputs_of(definition, signature), strict=True):
                io = self.bound.ios.get(spec.io) if spec.io is not None else None
                if spec.io is not None and io is None and self.around.complete:
                    self.refuse(
                        "HR-D017",
                        f"Asset {spec.key!r} asks for io {spec.io!r}, which no module declares.",
                        suggestion(spec.io, self.bound.ios) + _IO_REMEDY,
                        definition.site,
                    )
                name = self.declared.names.get(id(definition), "")
                self.bound.assets[spec.key] = lower_asset(definition, spec, output, io, self.sources, name)
        return whole

    def _claim(self, key: str, site: Site) -> bool:
        if not key:
            return False
        if key in self.where:
            self.refuse(
                "HR-D003",
                f"Asset {key!r} is declared twice; the other declaration is at {self._at(self.where[key])}.",
                "Give one of them another key.",
                site,
            )
            return False
        self.where[key] = site
        return True

    def _shape(self, definition: AssetDefinition[..., Any]) -> None:
        generator = inspect.isgeneratorfunction(definition.function) or inspect.isasyncgenfunction(definition.function)
        if generator and not definition.several:
            self.refuse(
                "HR-D020",
                f"Asset {definition.keys[0]!r} is a generator function.",
                "Return the value; only a multi_asset may yield, one hr.Result per asset.",
                definition.site,
            )

    def _computation(self, definition: AssetDefinition[..., Any]) -> None:
        name = definition.keys[0]
        arguments = Arguments(f"Asset {name!r}", definition.site)
        signature = self.signatures[id(definition)]
        deps = self._deps(definition, arguments)
        call, edges = self._parameters(arguments, self.where).of_asset(signature, deps)
        step = definition.step
        # A pool that is not declared here may be the platform's, which only `hedgerow check` and the scheduler know.
        for use in step.pools if self.around.complete else ():
            own = self.bound.pools.get(use.pool)
            if own is not None and own.slots is not None and use.slots > own.slots:
                arguments.refuse(
                    "HR-D004",
                    f"{arguments.what} asks for {use.slots} slots of pool {use.pool!r}, which has {own.slots}.",
                    "Ask for fewer, or declare more: the step could never start.",
                )
        queues = self.around.queues
        if self.around.complete and step.queue not in queues:
            arguments.refuse(
                "HR-D019",
                f"{arguments.what} asks for queue {step.queue!r}, which hedgerow.toml does not have.",
                f"{suggestion(step.queue, queues)}Add [queues.{step.queue}], or use one of: {', '.join(sorted(queues))}.",
            )
        outputs = outputs_of(definition, signature)
        assets = {key: self.bound.assets[key] for key in definition.keys}
        source_name = self.declared.names.get(id(definition), "")
        lowered = lower_computation(definition, call, edges, assets, self.sources, source_name)
        refuse_unfit(step.limits, step.partitions, lowered.config_schema, arguments)
        self.bound.problems += arguments.problems
        self._shared_limits(step.limits)
        self.bound.computations[name] = BoundComputation(
            lowered,
            assets,
            definition.function,
            call,
            definition.several,
            frozenset(key for key, output in zip(definition.keys, outputs, strict=True) if output.needs_value),
        )

    def _shared_limits(self, limits: Iterable[LimitDefinition]) -> None:
        for one in limits:
            other = self.limits.setdefault(one.name, one) if one.name is not None else one
            if other != one:
                self.refuse(
                    "HR-D024",
                    f"Limit {one.name!r} is {one.concurrency} per {one.per!r} here, but {other.concurrency} per {other.per!r} "
                    f"at {self._at(other.site)}.",
                    "Limits of one name are one limit: make one hr.limit(...) and use it in both places, or rename one.",
                    one.site,
                )

    def _parameters(self, arguments: Arguments, local: Iterable[str], context: type = Context) -> Parameters:
        return Parameters(arguments, local, self.bound.resources, self.around.named, context)

    def _deps(self, definition: AssetDefinition[..., Any], arguments: Arguments) -> tuple[Dep, ...]:
        """The upstreams of all specs together, without those that the step computes itself."""
        merged: dict[str, Dep] = {}
        inside: dict[str, set[str]] = {}
        for spec in definition.specs:
            for dep in spec.deps:
                if dep.key in definition.keys:
                    inside.setdefault(spec.key, set()).add(dep.key)
                elif merged.setdefault(dep.key, dep) != dep:
                    arguments.refuse(
                        "HR-D021",
                        f"{arguments.what}: two specs depend on {dep.key!r} in different ways.",
                        "The step runs once: give them the same hr.dep(...), or split the multi-asset.",
                    )
        for cycle in cycles_of(inside):
            self.refuse(
                "HR-D006", f"The assets {' → '.join(cycle)} depend on each other.", _CYCLE_REMEDY, definition.site
            )
        return tuple(merged.values())

    def _check(self, check: CheckDefinition[..., Any]) -> None:
        arguments = Arguments(f"Check {check.name!r}", check.site)
        asset = self.bound.assets.get(check.asset)
        if check.asset and check.asset not in self.where:
            arguments.refuse(
                "HR-D008",
                f"Check {check.name!r} is of asset {check.asset!r}, which this location does not declare.",
                suggestion(check.asset, self.where) + "A check belongs to the location of its asset.",
            )
        elif asset is not None and asset.computation is None:
            arguments.refuse(
                "HR-D008",
                f"Check {check.name!r} is of the external asset {check.asset!r}, which no step here writes.",
                "Check an asset that a function of this location computes.",
            )
        if (check.asset, check.name) in self.bound.checks:
            other = self.bound.checks[check.asset, check.name].check.source
            at = f"; the other one is at {other.file}:{other.line}" if other else ""
            arguments.refuse(
                "HR-D009", f"Asset {check.asset!r} has two checks {check.name!r}{at}.", 'Rename one: name="...".'
            )
        signature = read_signature(check.function, check.scope)
        call = self._parameters(arguments, ()).of_check(signature, check.asset)
        if asset is not None and not asset.stored and call.inputs:
            arguments.refuse(
                "HR-D007",
                f"Check {check.name!r} takes the value of {check.asset!r}, which stores none (`-> None`).",
                "Leave out the parameter and look at the asset through a resource.",
            )
        self.bound.problems += arguments.problems
        lowered = lower_check(check, self.sources, self.declared.names.get(id(check), ""))
        computation = self.bound.computations.get(asset.computation or "") if asset else None
        partitions: Partitions | None = computation.computation.partitions if computation else None
        self.bound.checks.setdefault((check.asset, check.name), BoundCheck(lowered, check.function, call, partitions))

    def _edges(self) -> None:
        for name, bound in self.bound.computations.items():
            site = self.where[name]
            for edge in bound.computation.deps:
                upstream = self.bound.assets.get(edge.key)
                if upstream is None:
                    continue
                if edge.parameter is not None and (upstream.computation is None or not upstream.stored):
                    why = "is external" if upstream.computation is None else "stores nothing (`-> None`)"
                    self.refuse(
                        "HR-D007",
                        f"Asset {name!r} takes the value of {edge.key!r} as parameter {edge.parameter!r}, but {edge.key!r} {why}.",
                        f'Wait for it only: remove the parameter and write deps=["{edge.key}"].',
                        site,
                    )
                self._mapping(name, bound.computation.partitions, edge, upstream.partitions, site)

    def _mapping(
        self, name: str, down: Partitions | None, edge: model.Dependency, up: Partitions | None, site: Site
    ) -> None:
        problem = validate_mapping(edge.mapping, down, up)
        if problem is not None:
            message = f"Asset {name!r} can't read the partitions of {edge.key!r}: {problem.message}"
            self.refuse(problem.code, message, problem.remedy, site)

    def _cycles(self) -> None:
        owner = {key: name for name, bound in self.bound.computations.items() for key in bound.assets}
        graph = {
            name: {owner[edge.key] for edge in bound.computation.deps if edge.key in owner}
            for name, bound in self.bound.computations.items()
        }
        for cycle in cycles_of(graph):
            path = " → ".join(cycle)
            message = (
                f"Asset {cycle[0]!r} depends on itself."
                if len(cycle) == 2
                else f"The assets {path} depend on each other."
            )
            self.refuse("HR-D006", message, _CYCLE_REMEDY, self.where[cycle[0]])

    def _at(self, site: Site) -> str:
        return f"{self.sources.relative(site.file)}:{site.line}"


_IO_REMEDY = "Make an instance of an hr.IO subclass at module level, with a `name` of small letters, digits, _ and -."
_CYCLE_REMEDY = "Remove one of the edges; what both need may become an asset of its own."
