"""Capacity: which workers count, which code they serve, and how many orders may wait for them."""

from __future__ import annotations

from datetime import timedelta

from support.scheduling import LEASE, NOW, World, asset, manifest

from hedgerow_scheduler.admission.capacity import MAX_SERVED, LocationCapacity, capacity_of, offers_of
from hedgerow_scheduler.lifecycle.model import Worker


def worker(
    manifest: str = "m1", slots: int = 2, state: str = "ready", queues: tuple[str, ...] = ("default",), ago: float = 0
) -> Worker:
    seen = NOW - timedelta(seconds=ago)
    return Worker("sales", "w", "sales", manifest, queues, slots, 0, state, seen, seen)


def capacity(workers: list[Worker], accepted: list[str]) -> LocationCapacity:
    return capacity_of(offers_of(workers, NOW, LEASE), accepted)


def test_slots_of_ready_workers_add_up() -> None:
    found = capacity([worker(slots=2), worker(slots=3)], ["m1"])
    assert (found.manifest_hash, found.slots(), found.slots("default")) == ("m1", 5, 5)


def test_draining_starting_and_silent_workers_give_no_capacity() -> None:
    others = [worker(state="draining"), worker(state="starting"), worker(ago=LEASE.total_seconds() + 0.001)]
    found = capacity(others, ["m1"])
    assert (found.manifest_hash, found.slots()) == (None, 0)
    assert capacity([worker(ago=LEASE.total_seconds())], ["m1"]).slots() == 2


def test_the_newest_manifest_that_a_ready_worker_serves_is_bound_and_older_workers_do_not_count() -> None:
    workers = [worker("old", 5), worker("new", 1)]
    assert capacity(workers, ["old", "new"]).slots() == 1
    assert capacity(workers, ["new", "old"]).manifest_hash == "old"
    still_starting = [worker("old", 5), worker("new", 1, state="starting")]
    assert capacity(still_starting, ["old", "new"]).manifest_hash == "old"


def test_workers_of_a_manifest_that_was_never_accepted_do_not_count() -> None:
    assert capacity([worker("refused")], ["m1"]).manifest_hash is None


def test_a_queue_has_the_slots_of_the_workers_that_serve_it() -> None:
    workers = [worker(queues=("heavy",), slots=1), worker(queues=("default", "heavy"), slots=4)]
    found = capacity(workers, ["m1"])
    assert [found.slots(queue) for queue in ("heavy", "default", "other", None)] == [5, 4, 0, 5]


def test_of_many_manifests_served_at_once_the_newest_get_orders() -> None:
    hashes = [f"m{number}" for number in range(MAX_SERVED + 4)]
    found = capacity([worker(each) for each in hashes], hashes)
    assert found.served == tuple(reversed(hashes[4:]))
    assert found.slots(manifest="m0") == 0
    assert found.slots(manifest="m4") == 2


def test_a_location_whose_workers_stay_the_same_is_not_counted_again() -> None:
    world = World(manifest("sales", asset("a")), manifest("other", asset("b")))
    world.beat("sales", slots=2)
    world.beat("other", slots=1)
    before = world.admission.capacities(world.snapshot, world.now)
    world.after(seconds=5)
    world.beat("sales", slots=2)
    world.beat("other", slots=3)
    after = world.admission.capacities(world.snapshot, world.now)
    assert after["sales", "sales"] is before["sales", "sales"]
    assert [found["other", "other"].slots() for found in (before, after)] == [1, 3]
    world.after(seconds=LEASE.total_seconds() + 1)
    assert world.admission.capacities(world.snapshot, world.now)["sales", "sales"].slots() == 0
