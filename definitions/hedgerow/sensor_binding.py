"""Sensors bound to their functions, ready to be evaluated."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from hedgerow.arguments import Arguments
from hedgerow.declarations import Declarations
from hedgerow.errors import Problem
from hedgerow.evaluable_binding import BoundFunction, bind_functions
from hedgerow.execution import run_coroutine
from hedgerow.manifest import model
from hedgerow.manifest.lowering import Sources
from hedgerow.parameters import Parameters
from hedgerow.protocol.sensing import MAX_RUNS, SensorAnswer, SensorQuestion
from hedgerow.sensing import SensorContext
from hedgerow.sensor_answers import answer_of, observation_of
from hedgerow.sensors import probe_of


@dataclass(frozen=True)
class BoundSensor(BoundFunction[model.Sensor]):
    """A sensor of the manifest with the function behind it."""

    def call(self, argument: msgspec.Raw | bytes) -> SensorAnswer:
        """Evaluates the sensor for a `SensorQuestion`. Raises what the function raises; ExecutionError when its return does not fit."""
        question = msgspec.json.decode(argument, type=SensorQuestion)
        return self.evaluate(SensorContext(cursor=question.cursor, now=question.at, name=self.lowered.name))

    def evaluate(self, context: SensorContext) -> SensorAnswer:
        """As `call`, with the context ready."""
        returned = self.returned(context)
        if inspect.isasyncgen(returned):
            returned = run_coroutine(_first(returned, MAX_RUNS + 2))
        elif inspect.isgenerator(returned):
            returned = list(islice(returned, MAX_RUNS + 2))
        if self.lowered.observes:
            return observation_of(f"The probe of {self.lowered.observes!r}", returned)
        return answer_of(f"Sensor {self.lowered.name!r}", returned, context.updated_cursor, context.key_changes)


async def _first(items: Any, most: int) -> list[Any]:
    found: list[Any] = []
    async for item in items:
        found.append(item)
        if len(found) >= most:
            await items.aclose()
            break
    return found


def bind_sensors(
    declared: Declarations,
    jobs: Mapping[str, model.Job],
    sources: Sources,
    parameters: Callable[[Arguments], Parameters],
) -> tuple[dict[str, BoundSensor], list[Problem]]:
    """The sensors by name, those that observe external assets too, with what is wrong with them beside the rest of the location."""
    probes = [probe for external in declared.externals if (probe := probe_of(external)) is not None]
    definitions = (*declared.sensors, *probes)
    problems = [problem for probe in probes for problem in probe.problems]
    for definition in definitions:
        if definition.job is not None and definition.job.name not in jobs:
            arguments = Arguments(f"Sensor {definition.lowered.name!r}", definition.site)
            arguments.refuse(
                "HR-D026",
                f"{arguments.what} is of job {definition.job.name!r}, which no module declares.",
                "Bind the job to a name in one of the location's modules.",
            )
            problems += arguments.problems
    bound, found = bind_functions("Sensor", BoundSensor, definitions, sources, parameters)
    return bound, [*problems, *found]
