"""Gauges: one team's queues of the same name in several locations are shown as one."""

from __future__ import annotations

from support.scheduling import World, asset, manifest

from hedgerow.manifest.model import Queue
from hedgerow_scheduler.observe.metrics import SchedulerMetrics
from hedgerow_scheduler.planning.catalog import Catalog


def drawn(metrics: SchedulerMetrics, world: World) -> None:
    metrics.picture(world.snapshot, world.admission.capacities(world.snapshot, world.now), world.now)


def test_queues_of_the_same_name_in_two_locations_add_up_and_one_may_go() -> None:
    queues = (Queue("default", concurrency=3),)
    north = manifest("sales", asset("a"), location="north", queues=queues)
    south = manifest("sales", asset("b"), location="south", queues=queues)
    world, metrics = World(north, south), SchedulerMetrics()
    world.beat("sales", "w1", slots=2, location="north")
    world.beat("sales", "w2", slots=5, location="south")
    world.start("a")
    world.start("b")
    labels = {"team": "sales", "queue": "default"}
    value = metrics.registry.get_sample_value

    drawn(metrics, world)
    assert value("hedgerow_queue_steps", labels | {"state": "ready"}) == 2
    assert value("hedgerow_queue_slots", labels | {"state": "free"}) == 7
    assert value("hedgerow_queue_desired_slots", labels) == 2
    assert value("hedgerow_limit_concurrency", {"kind": "queue", "name": "sales.default"}) == 6

    for attempt in world.cycle():
        world.begin(attempt)
        world.finish(attempt)
    catalog = world.snapshot.catalog
    world.snapshot.catalog = Catalog([catalog.published["sales", "south"]])
    drawn(metrics, world)
    assert value("hedgerow_limit_concurrency", {"kind": "queue", "name": "sales.default"}) == 3
    world.snapshot.catalog = Catalog()
    drawn(metrics, world)
    assert value("hedgerow_queue_desired_slots", labels) is None
