"""Budgets of a cycle: however much could start at once, it takes a bounded part of it, and everyone's turn comes."""

from __future__ import annotations

from collections import Counter

import pytest
from support.scheduling import World, asset, live, manifest

from hedgerow.manifest.model import Pool, PoolUse, Queue
from hedgerow.partitions.model import StaticPartitions
from hedgerow_scheduler.admission.cycle import MAX_TAKEN
from hedgerow_scheduler.admission.places import MAX_TAKEN_OF_PLACE, PlaceTurns
from hedgerow_scheduler.planning.rules import PlatformLimits

MANY = StaticPartitions(tuple(f"{number:05}" for number in range(3_000)))


def test_a_location_starts_so_many_in_one_cycle_over_all_its_queues_and_the_rest_at_once_after() -> None:
    queues = tuple(Queue(f"q{number}") for number in range(3))
    made = [asset(f"a{number}", partitions=MANY, queue=f"q{number}") for number in range(3)]
    world = World(manifest("ada", *made, queues=queues))
    world.beat("ada", slots=10_000, queues=tuple(queue.name for queue in queues))
    world.start("*", all_partitions=True)
    assert len(world.cycle()) == MAX_TAKEN_OF_PLACE
    assert world.admission.due == world.now
    while world.admission.due == world.now:
        world.cycle()
    assert len(world.orders) == 9_000
    assert Counter(attempt.step.queue for attempt in world.orders[:900]) == {"q0": 300, "q1": 300, "q2": 300}


def test_who_got_nothing_in_a_cycle_comes_first_in_the_next() -> None:
    teams = [f"t{number}" for number in range(8)]
    world = World(*(manifest(team, asset(f"{team}/a", partitions=MANY)) for team in teams))
    for team in teams:
        world.beat(team, slots=10_000)
    world.start("*", all_partitions=True)
    for cycles in (1, 2):
        assert len(world.cycle()) <= MAX_TAKEN
        assert world.admission.due == world.now
        started = Counter(attempt.step.team for attempt in world.orders)
        assert len(started) >= min(8, 3 * cycles)
    world.cycle()
    assert {attempt.step.team for attempt in world.orders} == set(teams)


def test_steps_that_are_held_up_one_by_one_are_counted_as_well() -> None:
    world = World(manifest("ada", asset("a")))
    world.beat("ada", slots=10_000)
    for _ in range(1_000):
        world.start("a")
    assert len(world.cycle()) == 1
    assert world.admission.due == world.now
    assert sum(1 for _ in world.snapshot.backlog.parked()) == MAX_TAKEN_OF_PLACE - 1
    world.cycle()
    assert sum(1 for _ in world.snapshot.backlog.parked()) == 999


def test_many_locations_at_a_full_pool_are_asked_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    places = [f"l{number:03}" for number in range(200)]
    made = [
        manifest("ada", asset(f"{place}/a", partitions=MANY, pools=(PoolUse("dw"),)), location=place)
        for place in places
    ]
    world = World(*made, platform=PlatformLimits({}, {"dw": Pool("dw", 4)}))
    for place in places:
        world.beat("ada", place, slots=4, location=place)
        world.start(f"{place}/a", partitions=("00001",))
    asked = 0
    plain = PlaceTurns.turn

    def counted(turn: PlaceTurns) -> object:
        nonlocal asked
        asked += 1
        return plain(turn)

    monkeypatch.setattr(PlaceTurns, "turn", counted)
    assert len(world.cycle()) == 4
    assert asked <= 6 * len(places)
    for attempt in live(world.snapshot):
        world.begin(attempt, worker=attempt.step.location)
        world.finish(attempt, worker=attempt.step.location)
    asked = 0
    assert len(world.cycle()) == 4
    assert asked <= 6 * len(places)
