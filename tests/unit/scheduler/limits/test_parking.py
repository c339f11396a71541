"""Parking: of very many groups that wait for a limit only the next are looked at, in the order of their turns."""

from __future__ import annotations

from collections import Counter

import pytest
from support.scheduling import World, asset, live, manifest

from hedgerow.manifest.model import KeyLimit, Pool, PoolUse
from hedgerow.partitions.model import StaticPartitions
from hedgerow_scheduler.admission.drawing import MAX_DRAWN
from hedgerow_scheduler.admission.places import PlaceTurns
from hedgerow_scheduler.limits.lines import MANY
from hedgerow_scheduler.planning.limiting import use_overrides
from hedgerow_scheduler.planning.rules import Override

KEYS = StaticPartitions(tuple(f"{number:04}" for number in range(2_000)))
EACH = (KeyLimit("each", "partition", 1),)


def crowded(slots: int = 1, **more: object) -> World:
    """Two thousand steps, each in a group of its own, that want one pool."""
    made = [
        asset(name, partitions=KEYS, pools=(PoolUse("dw"),), limits=EACH, priority=priority)
        for name, priority in (("low", 0), ("high", 9))
    ]
    world = World(manifest("ada", *made, pools=(Pool("dw", slots),)))
    world.beat("ada", slots=100)
    return world


def settled(world: World) -> None:
    """Cycles until nothing more is to be done at once."""
    world.cycle()
    while world.admission.due == world.now:
        world.cycle()


def next_of(world: World) -> list[str]:
    """What starts when the steps end that are out."""
    for attempt in live(world.snapshot):
        world.begin(attempt)
        world.finish(attempt)
    before = len(world.orders)
    settled(world)
    return [f"{attempt.step.computation}[{attempt.step.partition}]" for attempt in world.orders[before:]]


def test_of_many_groups_a_cycle_tries_so_many_and_the_rest_at_once_after(monkeypatch: pytest.MonkeyPatch) -> None:
    world, tried = crowded(), 0
    world.start("low", all_partitions=True)
    plain = PlaceTurns._try

    def counted(turns: PlaceTurns, group: object) -> None:
        nonlocal tried
        tried += 1
        plain(turns, group)  # type: ignore[arg-type]

    monkeypatch.setattr(PlaceTurns, "_try", counted)
    world.cycle()
    assert tried <= MANY + MAX_DRAWN + 1
    assert world.admission.due == world.now
    settled(world)
    assert len(world.snapshot.limits.get(("pool", "ada/dw")).parked) == 1_999
    next_of(world)
    tried = 0
    assert next_of(world) == ["low[0002]"]
    assert tried <= 3


def test_the_best_band_goes_first_however_many_wait() -> None:
    world = crowded()
    world.start("low", all_partitions=True)
    settled(world)
    world.start("high", partitions=("1500", "0007"))
    settled(world)
    assert [next_of(world) for _ in range(3)] == [["high[0007]"], ["high[1500]"], ["low[0001]"]]


def test_runs_take_turns_however_many_groups_they_have() -> None:
    world = crowded(slots=2)
    world.start("low", all_partitions=True)
    settled(world)
    late = world.start("low", partitions=tuple(f"{number:04}" for number in range(1_990, 2_000)))
    settled(world)
    for _ in range(10):
        next_of(world)
    started = Counter(attempt.step.run.id == late.id for attempt in world.orders[2:])
    assert started == {True: 10, False: 10}


def test_a_run_that_joins_a_group_which_is_parked_has_its_turn_there() -> None:
    world = crowded()
    world.start("low", all_partitions=True)
    settled(world)
    next_of(world)
    late = world.start("low", partitions=("1999",))
    settled(world)
    assert "low[1999]" in [*next_of(world), *next_of(world)]
    assert late.counts["ready"] == 0


def test_who_leaves_while_parked_is_passed_over() -> None:
    world = crowded()
    run = world.start("low", all_partitions=True)
    settled(world)
    next_of(world)
    for number in range(2, 1_000):
        world.snapshot.cancel_step(run.steps[number], world.now, "on request")
    assert next_of(world) == ["low[1000]"]


def test_a_changed_limit_is_told_to_all_and_lets_go_of_as_many_as_it_may() -> None:
    world = crowded()
    world.start("low", all_partitions=True)
    settled(world)

    def put(field: str, value: float) -> None:
        override = Override("pool", "ada/dw", field, value, "op", "why", world.now)
        use_overrides(world.snapshot, [override], world.now)

    put("paused", 1)
    (line,) = world.snapshot.backlog.lines.values()
    assert Counter(group.cause for group in line.groups()) == {"paused": 1_999}
    put("concurrency", 20)
    settled(world)
    assert len(live(world.snapshot)) == 20
    assert Counter(group.cause for group in line.groups()) == {"pool_slots": 1_980}


def test_nothing_is_left_behind_when_all_is_done() -> None:
    world = crowded(slots=50)
    world.start("low", partitions=tuple(f"{number:04}" for number in range(400)))
    settled(world)
    while live(world.snapshot):
        next_of(world)
    assert world.snapshot.runs == {}
    parked = world.snapshot.limits.get(("pool", "ada/dw")).parked
    assert (len(parked), [*parked.places()], parked.has_filed()) == (0, [], False)
    assert all(not line.unparked and not line.crowd for line in world.snapshot.backlog.lines.values())
