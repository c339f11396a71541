"""Assembling a manifest from bound declarations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hedgerow.manifest.model import Environment, Manifest, Queue

if TYPE_CHECKING:
    from hedgerow.bound import Bound


def build_manifest(
    team: str, location: str, bound: Bound, queues: Iterable[Queue], environment: Environment
) -> Manifest:
    """The manifest of a location, sorted so that equal declarations give equal bytes."""
    return Manifest(
        team=team,
        location=location,
        assets=tuple(asset for _, asset in sorted(bound.assets.items())),
        computations=tuple(one.computation for _, one in sorted(bound.computations.items())),
        checks=tuple(one.check for _, one in sorted(bound.checks.items())),
        pools=tuple(pool for _, pool in sorted(bound.pools.items())),
        queues=tuple(sorted(queues, key=lambda queue: queue.name)),
        jobs=tuple(job for _, job in sorted(bound.jobs.items())),
        schedules=tuple(schedule for _, schedule in sorted(bound.schedules.items())),
        sensors=tuple(one.lowered for _, one in sorted(bound.sensors.items())),
        conditions=tuple(one.lowered for _, one in sorted(bound.conditions.items())),
        reactions=tuple(one.lowered for _, one in sorted(bound.reactions.items())),
        environment=environment,
    )
