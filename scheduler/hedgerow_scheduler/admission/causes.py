"""Causes: the one answer to why a step is not running, its words, and what of it programs can read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from hedgerow_scheduler.admission.waiting_facts import Holder

SHOWN = 3

# Where lifecycle.waits.Cause has a member for it, the kind has its name.
CauseKind: TypeAlias = Literal[
    "scheduler_down",  # no leader renewed lately
    "planning",  # the scheduler has not taken the run up yet
    "cancelling",  # cancellation was asked for
    "no_manifest",  # the team's code was never published
    "undeclared",  # the definition has vanished
    "location_failed",  # the team's code can't be loaded
    "upstream",  # steps of the same run come first
    "retry_wait",  # a retry comes later
    "paused",  # an operator paused the queue, the team, the run, or a pool that it needs
    "queue_concurrency",  # the queue's own limit
    "queue_rate",  # the queue starts no more for now
    "team_slots",  # as many steps of the team are out as may be
    "no_workers",  # nobody serves the team's queue
    "workers_starting",  # they are there, but not warm yet
    "refused_code",  # they serve a manifest that did not come into force
    "slots_busy",  # every slot of the live workers is taken
    "run_concurrency",  # as many steps of the run are out as may be
    "pool_slots",  # a pool has fewer free slots than it needs, or nobody declares it
    "pool_rate",  # a pool starts no more for now
    "key_concurrency",  # as many steps of the same key are out as may be
    "no_code",  # no worker serves code that declares it
    "unresolved",  # an upstream key that nobody declares
    "same_output",  # another attempt makes the same asset and partition
    "blocked_by_check",  # the only output of an upstream was rejected
    "turn",  # others come first
    "dispatch",  # its order is on the way to a worker
    "next",  # nothing holds it: it starts in a moment
    "running",
    "ended",
    "never_run",  # an asset that no run ever made
    "external",  # of an asset: it is never made here
    "last_run",  # of an asset: the step that made it last
    "has_data",  # of an asset
    "held_back",  # its newest output was rejected by a check, or has not passed it yet
    "no_data",  # of an asset
]


class LimitState(msgspec.Struct, frozen=True):
    """The limit of a cause: what it is set to now, how much of it is taken, and how much the step needs. None: without that limit.

    `ahead` of the ready steps that wait for it come first.
    """

    kind: str
    name: str
    concurrency: int | None
    rate_per_s: float | None
    in_use: int
    needs: int
    ahead: int


class Cause(msgspec.Struct, frozen=True):
    """One reason: its kind, what and which as a sentence, and what to do about it ("" when waiting is enough).

    `holders` are some of the steps that hold what is waited for. `due_s` is in how many seconds this cause is likely to let the
    step go, None when nobody can tell.
    """

    kind: CauseKind
    text: str
    remedy: str = ""
    limit: LimitState | None = None
    holders: tuple[Holder, ...] = ()
    due_s: float | None = None


def holders_text(holders: Sequence[Holder], count: int, now: datetime) -> str:
    """The first holders, and what others hold of `count` slots."""
    if not holders:
        return "steps that have just ended"
    shown = ", ".join(_holder_text(holder, now) for holder in holders[:SHOWN])
    if all(holder.slots == 1 for holder in holders):
        return shown + more(max(count, len(holders)))
    left = count - sum(holder.slots for holder in holders[:SHOWN])
    return f"{shown} and others with {left} slots" if left > 0 else shown


def _holder_text(holder: Holder, now: datetime) -> str:
    name = f"{holder.run_id}/{holder.number} {output_text(holder.assets, holder.partition)}"
    together = f" with {holder.together - 1} more of its message" if holder.together > 1 else ""
    slots = "1 slot" if holder.slots == 1 else f"{holder.slots} slots"
    held = duration(max(0.0, (now - holder.since).total_seconds()))
    return f"{name}{together} ({slots}, team {holder.team}, for {held})"


def more(count: int, shown: int = SHOWN) -> str:
    """What is said of those that are not shown."""
    return f" and {count - shown} more" if count > shown else ""


def output_text(assets: Sequence[str], partition: str) -> str:
    """What a step makes.

    >>> output_text(("sales/orders", "sales/items"), "2024-01-01")
    'sales/orders (+1)[2024-01-01]'
    """
    name = assets[0] + (f" (+{len(assets) - 1})" if len(assets) > 1 else "")
    return f"{name}[{partition}]" if partition else name


def duration(seconds: float) -> str:
    """Seconds as people say them: two units at most.

    >>> duration(0.0123), duration(5.25), duration(125), duration(7300), duration(200000)
    ('12 ms', '5.2 s', '2 m 05 s', '2 h 01 m', '2 d 07 h')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} m"
    return f"{whole // 86400} d {whole % 86400 // 3600:02} h"
