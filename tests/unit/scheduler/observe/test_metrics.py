"""Gauges: one team's queues of the same name in several locations are shown as one."""

from __future__ import annotations

import pytest
from prometheus_client import Gauge
from support.scheduling import World, asset, manifest, token_of

from hedgerow.manifest.model import Pool, PoolUse, Queue
from hedgerow.protocol.events import CheckEvaluated
from hedgerow_scheduler.observe.metrics import SchedulerMetrics
from hedgerow_scheduler.observe.pictures import Pictures
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.limiting import use_catalog


def drawn(pictures: Pictures, world: World) -> None:
    pictures.draw(world.snapshot, world.admission.capacities(world.snapshot, world.now), world.now)


def test_queues_of_the_same_name_in_two_locations_add_up_and_one_may_go() -> None:
    queues = (Queue("default", concurrency=3),)
    north = manifest("sales", asset("a"), location="north", queues=queues)
    south = manifest("sales", asset("b"), location="south", queues=queues)
    world, metrics = World(north, south), SchedulerMetrics()
    pictures = Pictures(metrics)
    world.beat("sales", "w1", slots=2, location="north")
    world.beat("sales", "w2", slots=5, location="south")
    world.start("a")
    world.start("b")
    labels = {"team": "sales", "queue": "default"}
    value = metrics.registry.get_sample_value

    drawn(pictures, world)
    assert value("hedgerow_queue_steps", labels | {"state": "ready"}) == 2
    assert value("hedgerow_queue_slots", labels | {"state": "free"}) == 7
    assert value("hedgerow_queue_desired_slots", labels) == 2
    for location in ("north", "south"):
        assert value("hedgerow_limit_concurrency", {"kind": "queue", "name": f"sales/{location}/default"}) == 3

    for attempt in world.cycle():
        world.begin(attempt)
        world.finish(attempt)
    catalog = world.snapshot.catalog
    use_catalog(world.snapshot, Catalog([catalog.published["sales", "south"]]), world.now)
    drawn(pictures, world)
    assert value("hedgerow_limit_concurrency", {"kind": "queue", "name": "sales/north/default"}) is None
    assert value("hedgerow_limit_concurrency", {"kind": "queue", "name": "sales/south/default"}) == 3
    use_catalog(world.snapshot, Catalog(), world.now)
    drawn(pictures, world)
    assert value("hedgerow_queue_desired_slots", labels) is None
    assert value("hedgerow_steps_total", labels | {"outcome": "succeeded"}) is None


def test_what_holds_ready_steps_up_is_told_apart() -> None:
    queues = (Queue("default"), Queue("full", concurrency=1), Queue("slow", rate_per_s=0.001, burst=1.0))
    made = [asset(f"{queue}{number}", queue=queue) for queue in ("full", "slow") for number in range(3)]
    pooled = [asset(f"pooled{number}", pools=(PoolUse("dw"),)) for number in range(4)]
    world, metrics = World(manifest("sales", *made, *pooled, queues=queues, pools=(Pool("dw", 1),))), SchedulerMetrics()
    pictures = Pictures(metrics)
    world.beat("sales", slots=50, queues=("default", "full", "slow"))
    world.start("*")
    world.cycle()
    drawn(pictures, world)
    world.after(seconds=2)
    drawn(pictures, world)

    def steps(queue: str, state: str) -> float | None:
        labels = {"team": "sales", "queue": queue, "state": state}
        return metrics.registry.get_sample_value("hedgerow_queue_steps", labels)

    assert (steps("full", "concurrency_limited"), steps("slow", "rate_limited"), steps("default", "pool_limited")) == (
        2,
        2,
        3,
    )
    for kind, name in (("queue", "sales/full"), ("queue", "sales/slow"), ("pool", "sales/dw")):
        labels = {"kind": kind, "name": name}
        assert metrics.registry.get_sample_value("hedgerow_limit_throttled_seconds_total", labels) == 2
    assert (
        metrics.registry.get_sample_value("hedgerow_queue_oldest_ready_age_seconds", {"team": "sales", "queue": "full"})
        == 2
    )


def test_what_has_not_changed_is_not_set_again_and_what_drains_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    queues = tuple(Queue(f"q{number}") for number in range(20))
    world, metrics = World(manifest("sales", asset("a"), queues=queues)), SchedulerMetrics()
    pictures = Pictures(metrics)
    world.beat("sales", slots=3, queues=("q1", "q2"), state="draining")
    world.beat("sales", "w2", slots=2, queues=("q2",))
    drawn(pictures, world)
    value = metrics.registry.get_sample_value
    for queue, state, slots in (("q1", "draining", 3), ("q2", "draining", 3), ("q2", "free", 2), ("q3", "draining", 0)):
        assert value("hedgerow_queue_slots", {"team": "sales", "queue": queue, "state": state}) == slots
    looked_up: list[tuple[str, ...]] = []
    plain = Gauge.labels
    monkeypatch.setattr(Gauge, "labels", lambda gauge, *labels: looked_up.append(labels) or plain(gauge, *labels))
    world.beat("sales", "w2", slots=4, queues=("q2",))
    drawn(pictures, world)
    assert value("hedgerow_queue_slots", {"team": "sales", "queue": "q2", "state": "free"}) == 4
    assert [labels for labels in looked_up if len(labels) > 1] == []


def test_verdicts_are_counted_by_severity_from_zero() -> None:
    world, metrics = World(manifest("sales", asset("a"))), SchedulerMetrics()
    metrics.add_team("sales")
    world.beat("sales")
    world.start("a")
    (attempt,) = world.cycle()
    world.begin(attempt)
    world.send("sales", CheckEvaluated(attempt.id, "a", "rows", False, token_of(attempt), severity="warn"))
    metrics.take(world.recorded()[1].measures)
    verdicts = {
        (outcome, severity): metrics.registry.get_sample_value(
            "hedgerow_asset_checks_total", {"team": "sales", "outcome": outcome, "severity": severity}
        )
        for outcome in ("passed", "failed")
        for severity in ("warn", "error")
    }
    assert verdicts == {("passed", "warn"): 0, ("passed", "error"): 0, ("failed", "warn"): 1, ("failed", "error"): 0}
