"""Draining: tells a worker to leave for as long as it does not say that it does."""

from __future__ import annotations

from typing import Any

from hedgerow_scheduler.metadata.commands import PendingCommand
from hedgerow_scheduler.planning.snapshot import Snapshot

# The state of a worker between being told and its next heartbeat, in the leader's memory alone: it gets no more orders. When the
# heartbeat says `ready` the message was lost, or has crossed it, and the worker is told once more.
TOLD = "told to drain"


def drain(snapshot: Snapshot, command: PendingCommand) -> dict[str, Any] | None:
    """What became of the command; None while the worker has still to be seen leaving, so that the command stays pending."""
    key = (str(command.body.get("team", "")), str(command.body.get("worker", "")))
    worker = snapshot.workers.get(key)
    if worker is None:
        return {"drained": "gone"}
    if worker.state == "draining":
        # One that leaves because its code changed waits for its steps without end, until it is asked.
        snapshot.effects.drain[key] = _why(command)
        return {"drained": "leaving"}
    if worker.state != TOLD:
        worker.state = TOLD
        snapshot.effects.drain[key] = _why(command)
    return None


def _why(command: PendingCommand) -> str:
    by = f"{command.author} has it leave" if command.author else "the scheduler asked for it"
    reason = str(command.body.get("reason", ""))
    return f"{by}: {reason}" if reason else by
