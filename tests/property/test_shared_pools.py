"""A shared pool beside a team that declares whatever it likes: steps that never fit, that something of its own holds up as well,
that need many slots, by the hundred. It gets no more than its turns, and keeps no slots idle beyond what they stand for.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.crowds import crowds
from support.scheduling import World, asset, live, manifest

from hedgerow.manifest.model import KeyLimit, Pool, PoolUse
from hedgerow.partitions.model import StaticPartitions
from hedgerow.settings.platform import TeamPolicy
from hedgerow_scheduler.limits.fairness import AGEING
from hedgerow_scheduler.planning.limiting import use_overrides
from hedgerow_scheduler.planning.rules import Override, PlatformLimits

SLOTS = 4
TICK_S = 15
TICKS = 120
MANY = StaticPartitions(tuple(f"{number:05}" for number in range(SLOTS * TICKS + 1)))
SOME = StaticPartitions(tuple(f"{number:02}" for number in range(30)))

# What a greedy step takes of the shared pool and of one of its team's own, and how long it lasts.
GREEDY = st.tuples(st.integers(0, SLOTS + 2), st.integers(0, 2), st.booleans(), st.integers(1, 4), st.integers(-5, 5))


@pytest.mark.parametrize("many", [False, True])
@settings(max_examples=40)
# Ways to more than one's turns that were found: several groups in turn, one beside what ends them, one that keeps two limits.
@example([(1, 0, False, 1, 0), (2, 0, True, 1, 0)], 3.0, 2, [])
@example([(2, 0, True, 1, 0)], 3.0, 3, [])
@example([(2, 2, True, 3, 0)], 3.0, 2, [])
@given(
    st.lists(GREEDY, min_size=1, max_size=4),
    st.sampled_from([1.0, 3.0]),
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(0, TICKS), st.integers(1, SLOTS)), max_size=3),
)
def test_no_team_takes_more_of_a_shared_pool_than_its_turns(
    many: bool,
    greedy: list[tuple[int, int, bool, int, int]],
    weight: float,
    lasts: int,
    lowered: list[tuple[int, int]],
) -> None:
    with crowds(many):
        check(greedy, weight, lasts, lowered)


def check(
    greedy: list[tuple[int, int, bool, int, int]], weight: float, lasts: int, lowered: list[tuple[int, int]]
) -> None:
    made = [
        asset(
            f"greedy/{number}",
            partitions=SOME,
            priority=priority,
            pools=tuple(PoolUse(pool, slots) for pool, slots in (("dw", shared), ("own", own)) if slots),
            limits=(KeyLimit(f"each{number}", "partition", 1),) if alone else (),
        )
        for number, (shared, own, alone, _, priority) in enumerate(greedy)
    ]
    world = World(
        manifest("greedy", *made, pools=(Pool("own", 2),)),
        manifest("honest", asset("honest/step", partitions=MANY, pools=(PoolUse("dw"),))),
        platform=PlatformLimits({"honest": TeamPolicy(weight=weight)}, {"dw": Pool("dw", SLOTS)}),
    )
    world.start("honest/step", all_partitions=True)
    world.start("greedy/*", all_partitions=True)
    pool = world.snapshot.limits.get(("pool", "dw"))
    ends: dict[str, int] = {}
    served, largest = Counter[str](), Counter({"honest": 1, "greedy": 0})
    turns_kept = idle = kept_ticks = 0
    for tick in range(TICKS):
        world.after(seconds=TICK_S)
        if slots := [slots for at, slots in lowered if at == tick]:
            override = Override("pool", "dw", "concurrency", float(slots[0]), "op", "why", world.now)
            use_overrides(world.snapshot, [override], world.now)
        for team in ("greedy", "honest"):
            world.beat(team, f"w-{team}", slots=50)
        for attempt in [attempt for attempt in live(world.snapshot) if ends[attempt.id] <= tick]:
            world.begin(attempt)
            world.finish(attempt)
        before = pool.reserved_for
        while (fresh := world.cycle()) or world.admission.due == world.now:
            for attempt in fresh:
                taken = dict(attempt.step.holding.needs).get(pool, 0)
                served[attempt.step.team] += taken
                largest[attempt.step.team] = max(largest[attempt.step.team], taken)
                length = lasts if attempt.step.team == "honest" else greedy[int(attempt.step.computation[-1])][3]
                ends[attempt.id] = tick + length
        turns_kept += pool.reserved_for is not None and pool.reserved_for is not before
        kept_ticks += pool.reserved_for is not None
        idle += max(0, (pool.values.concurrency or 0) - pool.used) if pool.reserved_for is None else 0
    # Fair sharing by weights, as of any two who wait all the time; one turn more for what was kept for it out of its turn.
    assert served["greedy"] <= served["honest"] / weight + 2 * largest["greedy"] + 1 / weight
    # Nothing is idle but what is kept, that is never long, and never more often than turns were taken or 5 minutes went by.
    assert idle == 0
    longest = max([lasts, *(length for *_, length, _ in greedy)])
    assert turns_kept <= served["greedy"] + 1 + TICKS * TICK_S // AGEING.total_seconds()
    assert kept_ticks <= turns_kept * (longest + 1)
