"""What a location's declarations come to when they are bound, and what they are bound beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hedgerow.condition_binding import BoundCondition
from hedgerow.errors import Problem
from hedgerow.evaluable import Evaluable
from hedgerow.execution import BoundCheck, BoundComputation
from hedgerow.io import IO
from hedgerow.manifest import model
from hedgerow.protocol.events import EvaluationKind
from hedgerow.reaction_binding import BoundReaction
from hedgerow.resource import Resource
from hedgerow.sensor_binding import BoundSensor


@dataclass(frozen=True)
class Surroundings:
    """What a location has besides its code: queues, and pools from hedgerow.toml.

    Without `complete`, part of a location is bound by itself (in process): queues, pools and ios are not compared. `resources`
    take the place of instances of their type, `named` that of the parameter they are named for.
    """

    queues: frozenset[str] = frozenset()
    pools: tuple[model.Pool, ...] = ()
    complete: bool = True
    resources: Mapping[type, Any] = field(default_factory=dict)
    named: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Bound:
    """A location's declarations, bound. With `problems`, the rest is incomplete and not to be used."""

    computations: dict[str, BoundComputation] = field(default_factory=dict)
    checks: dict[tuple[str, str], BoundCheck] = field(default_factory=dict)
    assets: dict[str, model.Asset] = field(default_factory=dict)
    pools: dict[str, model.Pool] = field(default_factory=dict)
    jobs: dict[str, model.Job] = field(default_factory=dict)
    schedules: dict[str, model.Schedule] = field(default_factory=dict)
    sensors: dict[str, BoundSensor] = field(default_factory=dict)
    reactions: dict[str, BoundReaction] = field(default_factory=dict)
    conditions: dict[str, BoundCondition] = field(default_factory=dict)
    resources: dict[type, Resource] = field(default_factory=dict)
    ios: dict[str, IO] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def evaluables(self) -> dict[tuple[EvaluationKind, str], Evaluable]:
        """What a runner may be told to evaluate, by kind and name."""
        kinds: dict[EvaluationKind, Mapping[str, Evaluable]] = {
            "sensor": self.sensors, "reaction": self.reactions, "condition": self.conditions,
        }  # fmt: skip
        return {(kind, name): one for kind, found in kinds.items() for name, one in found.items()}
