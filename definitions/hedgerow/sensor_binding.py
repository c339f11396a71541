"""Binding sensors: each function with what the manifest says of it, ready to be evaluated."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from hedgerow.annotations import read_signature
from hedgerow.arguments import Arguments
from hedgerow.declarations import Declarations
from hedgerow.errors import Problem
from hedgerow.execution import Call, run_coroutine
from hedgerow.manifest import model
from hedgerow.manifest.lowering import Sources
from hedgerow.parameters import Parameters
from hedgerow.protocol.sensing import MAX_RUNS, SensorAnswer, SensorQuestion
from hedgerow.sensing import SensorContext
from hedgerow.sensor_answers import answer_of, observation_of
from hedgerow.sensors import probe_of


@dataclass(frozen=True)
class BoundSensor:
    """A sensor of the manifest with the function behind it."""

    sensor: model.Sensor
    function: Callable[..., Any]
    wants: Call

    def call(self, argument: msgspec.Raw | bytes) -> SensorAnswer:
        """Evaluates the sensor for a `SensorQuestion`. Raises what the function raises; ExecutionError when its return does not fit."""
        question = msgspec.json.decode(argument, type=SensorQuestion)
        return self.evaluate(SensorContext(cursor=question.cursor, now=question.at, name=self.sensor.name))

    def evaluate(self, context: SensorContext) -> SensorAnswer:
        """As `call`, with the context ready."""
        arguments: dict[str, Any] = dict.fromkeys(self.wants.contexts, context) | dict(self.wants.resources)
        returned = self.function(**arguments)
        if inspect.isasyncgen(returned):
            returned = run_coroutine(_first(returned, MAX_RUNS + 2))
        elif inspect.isawaitable(returned):
            returned = run_coroutine(_awaited(returned))
        elif inspect.isgenerator(returned):
            returned = list(islice(returned, MAX_RUNS + 2))
        if self.sensor.observes:
            return observation_of(f"The probe of {self.sensor.observes!r}", returned)
        return answer_of(f"Sensor {self.sensor.name!r}", returned, context.updated_cursor, context.key_changes)


async def _first(items: Any, most: int) -> list[Any]:
    found: list[Any] = []
    async for item in items:
        found.append(item)
        if len(found) >= most:
            await items.aclose()
            break
    return found


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def bind_sensors(
    declared: Declarations,
    jobs: Mapping[str, model.Job],
    sources: Sources,
    parameters: Callable[[Arguments], Parameters],
) -> tuple[dict[str, BoundSensor], list[Problem]]:
    """The sensors by name, those that observe external assets too, with what is wrong with them beside the rest of the location."""
    bound: dict[str, BoundSensor] = {}
    probes = [probe for external in declared.externals if (probe := probe_of(external)) is not None]
    problems = [problem for probe in probes for problem in probe.problems]
    for definition in (*declared.sensors, *probes):
        name = definition.lowered.name
        arguments = Arguments(f"Sensor {name!r}", definition.site)
        if name and name in bound:
            arguments.refuse(
                "HR-D018", f"{arguments.what} is declared twice.", 'Give each a name of its own: name="...".'
            )
        if definition.job is not None and definition.job.name not in jobs:
            arguments.refuse(
                "HR-D026",
                f"{arguments.what} is of job {definition.job.name!r}, which no module declares.",
                "Bind the job to a name in one of the location's modules.",
            )
        call = parameters(arguments).of_evaluation(read_signature(definition.function, definition.scope))
        source = sources.of(definition.site, name)
        lowered = msgspec.structs.replace(definition.lowered, source=source)
        bound[name] = BoundSensor(lowered, definition.function, call)
        problems += arguments.problems
    return bound, problems
