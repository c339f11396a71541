"""A worker that is to leave is told until it says that it does."""

from __future__ import annotations

from support.scheduling import LEASE, NOW, asset, catalog_of, manifest, published

from hedgerow_scheduler.admission.capacity import capacity_of, offers_of
from hedgerow_scheduler.lifecycle.changes import Effects
from hedgerow_scheduler.lifecycle.model import Worker
from hedgerow_scheduler.metadata.commands import PendingCommand
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.service.draining import drain

SALES = manifest("sales", asset("orders"))
HASH = published(SALES).hash
KEY = ("sales", "w1")


def command(author: str = "ann", reason: str = "new disk") -> PendingCommand:
    return PendingCommand(1, "drain_worker", {"team": "sales", "worker": "w1", "reason": reason}, author)


def snapshot_with(state: str) -> Snapshot:
    snapshot = Snapshot(catalog_of(SALES))
    snapshot.workers[KEY] = Worker("sales", "w1", "sales", HASH, ("default",), 2, 0, state, NOW, NOW)
    return snapshot


def told(snapshot: Snapshot) -> dict[tuple[str, str], str]:
    """The effects of a cycle, which ends here."""
    effects, snapshot.effects = snapshot.effects, Effects()
    return effects.drain


def test_a_worker_is_told_once_for_each_heartbeat_that_does_not_show_it() -> None:
    snapshot = snapshot_with("ready")
    assert drain(snapshot, command()) is None
    assert told(snapshot) == {KEY: "ann has it leave: new disk"}
    assert drain(snapshot, command()) is None
    assert told(snapshot) == {}
    snapshot.workers[KEY].state = "ready"  # as its next heartbeat says
    assert drain(snapshot, command()) is None
    assert told(snapshot) != {}


def test_a_worker_that_was_told_gets_no_more_orders_even_before_it_answers() -> None:
    snapshot = snapshot_with("ready")
    drain(snapshot, command())
    assert capacity_of(offers_of(snapshot.workers.values(), NOW, LEASE), [HASH]).slots("default") == 0


def test_the_command_is_done_when_the_worker_leaves_or_is_gone() -> None:
    snapshot = snapshot_with("draining")
    assert drain(snapshot, command()) == {"drained": "leaving"}
    assert told(snapshot) != {}, "it may leave for a reason of its own, and then waits without end for its steps"
    del snapshot.workers[KEY]
    assert drain(snapshot, command()) == {"drained": "gone"}
    assert told(snapshot) == {}


def test_a_worker_that_is_still_starting_is_told_too() -> None:
    snapshot = snapshot_with("starting")
    assert drain(snapshot, command(author="", reason="")) is None
    assert told(snapshot) == {KEY: "the scheduler asked for it"}
