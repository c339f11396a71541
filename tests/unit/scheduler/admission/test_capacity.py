"""Capacity: which workers count, which code they serve, and how many orders may wait for them."""

from __future__ import annotations

from datetime import timedelta

from support.scheduling import LEASE, NOW

from hedgerow_scheduler.admission.capacity import capacity_of
from hedgerow_scheduler.lifecycle.model import Worker


def worker(
    manifest: str = "m1", slots: int = 2, state: str = "ready", queues: tuple[str, ...] = ("default",), ago: float = 0
) -> Worker:
    seen = NOW - timedelta(seconds=ago)
    return Worker("sales", "w", "sales", manifest, queues, slots, 0, state, seen, seen)


def test_slots_of_ready_workers_add_up() -> None:
    capacity = capacity_of([worker(slots=2), worker(slots=3)], ["m1"], NOW, LEASE)
    assert (capacity.manifest_hash, capacity.slots(), capacity.slots("default")) == ("m1", 5, 5)


def test_draining_starting_and_silent_workers_give_no_capacity() -> None:
    others = [worker(state="draining"), worker(state="starting"), worker(ago=LEASE.total_seconds() + 0.001)]
    capacity = capacity_of(others, ["m1"], NOW, LEASE)
    assert (capacity.manifest_hash, capacity.slots()) == (None, 0)
    assert capacity_of([worker(ago=LEASE.total_seconds())], ["m1"], NOW, LEASE).slots() == 2


def test_the_newest_manifest_that_a_ready_worker_serves_is_bound_and_older_workers_do_not_count() -> None:
    workers = [worker("old", 5), worker("new", 1)]
    assert capacity_of(workers, ["old", "new"], NOW, LEASE).slots() == 1
    assert capacity_of(workers, ["new", "old"], NOW, LEASE).manifest_hash == "old"
    still_starting = [worker("old", 5), worker("new", 1, state="starting")]
    assert capacity_of(still_starting, ["old", "new"], NOW, LEASE).manifest_hash == "old"


def test_workers_of_a_manifest_that_was_never_accepted_do_not_count() -> None:
    assert capacity_of([worker("refused")], ["m1"], NOW, LEASE).manifest_hash is None


def test_a_queue_has_the_slots_of_the_workers_that_serve_it() -> None:
    workers = [worker(queues=("heavy",), slots=1), worker(queues=("default", "heavy"), slots=4)]
    capacity = capacity_of(workers, ["m1"], NOW, LEASE)
    assert (capacity.slots("heavy"), capacity.slots("default"), capacity.slots("other"), capacity.slots()) == (
        5,
        4,
        0,
        5,
    )
