"""A world with attempts that were just dispatched, to be told what becomes of them."""

from __future__ import annotations

from hedgerow.manifest.model import Retry
from hedgerow_scheduler.lifecycle.model import Attempt

from .scheduling import World, asset, manifest, multi

SALES = manifest(
    "sales", asset("a", retry=Retry(1, delay_ms=10_000, jitter=False)), asset("b", "a"), multi(("x", "y")), asset("z")
)
OTHER = manifest("other", asset("o"))


def dispatched(*selection: str) -> tuple[World, list[Attempt]]:
    """Two teams with workers, and the attempts of a run of the selection (`a` if there is none)."""
    world = World(SALES, OTHER)
    world.beat("sales", slots=9)
    world.beat("other", "w9", slots=9)
    world.start(*(selection or ("a",)))
    attempts = world.cycle()
    world.recorded()
    return world, attempts


def counted(world: World, what: str, team: str = "sales") -> int:
    """How often something was counted."""
    return world.fold.counted[team, what]
