"""Reservations: what is kept for steps that need several slots, and that keeping it takes nothing from those who can start."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from support.scheduling import World, asset, chunks, live, manifest

from hedgerow.manifest.model import KeyLimit, Pool, PoolUse
from hedgerow.partitions.model import StaticPartitions
from hedgerow.settings.platform import TeamPolicy
from hedgerow_scheduler.limits.fairness import AGEING
from hedgerow_scheduler.limits.limit import Limit
from hedgerow_scheduler.planning.limiting import use_overrides
from hedgerow_scheduler.planning.rules import Override, PlatformLimits

MANY = StaticPartitions(tuple(f"{number:05}" for number in range(3_000)))
TICK = timedelta(seconds=10)


class Shared:
    """Team bob has no end of steps that need one of the four slots of pool dw; what ada declares is the test's. Every step ends
    with the next tick.
    """

    def __init__(self, *made: object, pools: tuple[Pool, ...] = (), **policies: TeamPolicy) -> None:
        small = asset("bob/small", partitions=MANY, pools=(PoolUse("dw"),))
        self.world = World(
            manifest("ada", *made, pools=pools),  # type: ignore[arg-type]
            manifest("bob", small),
            platform=PlatformLimits(policies, {"dw": Pool("dw", 4)}),
        )
        self.world.start("bob/small", all_partitions=True)
        self.started: Counter[str] = Counter()
        self.times_kept = 0
        self.tick(0)

    @property
    def pool(self) -> Limit:
        return self.world.snapshot.limits.get(("pool", "dw"))

    def tick(self, ends: int = 4) -> Counter[str]:
        """`ends` of the steps that are out end, and what starts in the next cycles by computation."""
        world, fresh = self.world, Counter[str]()
        world.now += TICK
        world.beat("ada", "w-ada", slots=9)
        world.beat("bob", "w-bob", slots=9)
        for attempt in live(world.snapshot)[:ends]:
            world.begin(attempt)
            world.finish(attempt)
        kept = self.pool.reserved_for
        while True:
            some = world.cycle()
            fresh.update(attempt.step.computation for attempt in some)
            if not some and world.admission.due != world.now:
                break
        self.times_kept += self.pool.reserved_for not in (None, kept)
        self.started += fresh
        return fresh

    def set_slots(self, slots: float) -> None:
        override = Override("pool", "dw", "concurrency", slots, "op", "why", self.world.now)
        use_overrides(self.world.snapshot, [override], self.world.now)


@pytest.mark.parametrize("slots", [5, 1_000])
def test_nothing_is_kept_for_a_step_that_needs_more_than_there_is(slots: int) -> None:
    shared = Shared(asset("x", pools=(PoolUse("dw", slots),)))
    shared.world.start("x")
    for _ in range(2 * (AGEING // TICK)):
        assert shared.tick() == {"bob/small": 4}
    assert shared.pool.reserved_for is None


def test_nothing_is_kept_for_a_step_when_the_pool_was_lowered_below_its_need() -> None:
    shared = Shared(asset("x", pools=(PoolUse("dw", 4),)))
    shared.set_slots(3)
    shared.world.start("x")
    for _ in range(2 * (AGEING // TICK)):
        assert shared.tick() == {"bob/small": 3}


def test_what_is_kept_is_for_everyone_again_when_the_pool_is_lowered_below_the_need() -> None:
    shared = Shared(asset("x", pools=(PoolUse("dw", 4),)))
    shared.world.start("x")
    for _ in range(AGEING // TICK + 2):
        shared.tick(ends=1)
    assert shared.pool.reserved_for is not None
    shared.set_slots(3)
    assert shared.tick() == {"bob/small": 3}
    shared.set_slots(4)  # its turn was not its own fault: it is kept for it as soon as it has waited long enough
    for _ in range(AGEING // TICK + 8):
        shared.tick(ends=1)
    assert shared.started["x"] == 1


def test_a_pool_without_limit_keeps_nothing() -> None:
    shared = Shared(asset("x", pools=(PoolUse("dw", 4),)))
    shared.world.start("x")
    for _ in range(AGEING // TICK + 2):
        shared.tick(ends=1)
    override = Override("pool", "dw", "concurrency", None, "op", "why", shared.world.now)
    use_overrides(shared.world.snapshot, [override], shared.world.now)
    assert shared.tick()["x"] == 1
    assert shared.pool.reserved_for is None


def test_a_step_that_another_limit_holds_up_too_keeps_nothing_from_others() -> None:
    uses, own = (PoolUse("dw", 4), PoolUse("own")), (PoolUse("own"),)
    filler = asset("filler", partitions=MANY, priority=5, pools=own)
    shared = Shared(asset("x", pools=uses), filler, pools=(Pool("own", 1),))
    shared.world.start("filler", all_partitions=True)
    shared.world.start("x")
    for _ in range(4 * (AGEING // TICK)):
        assert shared.tick(ends=9)["bob/small"] == 4
    assert shared.started["x"] == 0


def test_with_the_slots_everything_else_that_the_step_needs_is_kept_for_it() -> None:
    filler = asset("filler", partitions=MANY, priority=5, pools=(PoolUse("own"),))
    shared = Shared(asset("x", pools=(PoolUse("dw", 3), PoolUse("own"))), filler, pools=(Pool("own", 1),))
    shared.world.start("x")
    while shared.pool.reserved_for is None:
        shared.tick(ends=1)
    shared.world.start("filler", all_partitions=True)
    ticks = [shared.tick(ends=1) for _ in range(3)]
    assert sum(tick["x"] for tick in ticks) == 1
    assert sum(tick["filler"] for tick in ticks) == 0


def test_slots_kept_to_no_purpose_count_as_a_turn_and_are_not_kept_again_soon() -> None:
    shared = Shared(asset("x", partitions=MANY, pools=(PoolUse("dw", 4),)))
    run = shared.world.start("x", all_partitions=True)
    for _ in range(AGEING // TICK + 2):
        shared.tick(ends=1)
    assert shared.pool.reserved_for is not None
    shared.world.beat("ada", "w-ada", slots=9, state="draining")
    taken_instead = len(shared.world.cycle())
    assert shared.pool.fair.lead("ada") == 4 - taken_instead
    assert shared.pool.reserved_for is None
    kept = shared.times_kept
    for _ in range(AGEING // TICK - 2):
        shared.tick(ends=1)
    assert shared.times_kept == kept
    assert run.id in shared.world.snapshot.runs


def test_a_team_with_many_steps_of_all_slots_takes_no_more_than_its_turns() -> None:
    each = (KeyLimit("each", "partition", 1),)
    shared = Shared(asset("x", partitions=MANY, pools=(PoolUse("dw", 4),), limits=each), bob=TeamPolicy(weight=3))
    shared.world.start("x", all_partitions=True)
    for _ in range(6 * (AGEING // TICK)):
        shared.tick(ends=1)
    ada, bob = 4 * shared.started["x"], shared.started["bob/small"]
    assert shared.started["x"] >= 4
    assert ada <= bob / 3 + 4 + 1 / 3


def test_who_can_never_start_keeps_no_other_from_having_slots_kept() -> None:
    shared = Shared(asset("never", pools=(PoolUse("dw", 5),)), asset("nor", pools=(PoolUse("dw"), PoolUse("nobodys"))))
    world = shared.world
    world.send("cleo", *chunks(manifest("cleo", asset("cleo/x", pools=(PoolUse("dw", 3),)))))
    world.start("never nor cleo/x")
    for _ in range(AGEING // TICK + 5):
        world.beat("cleo", "w-cleo", slots=9)
        shared.tick(ends=1)
    assert shared.started["cleo/x"] == 1
