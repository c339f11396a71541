"""Wait times: where the time between a run's creation and a step's start went, by cause; so far, for a step that still waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from hedgerow_scheduler.admission.causes import Cause
from hedgerow_scheduler.lifecycle import waits

ENDED = "ended"  # the step was over until someone had it tried again
WAITING = frozenset({"waiting", "ready", "retry_wait", "dispatched"})
_KNOWN = frozenset(cause.value for cause in waits.Cause)
_COUNTED_AS = {
    "scheduler_down": "takeover",
    "workers_starting": "no_workers",
    "refused_code": "no_workers",
    "no_manifest": "no_workers",
    "undeclared": "no_code",
    "next": "turn",
}


class Wait(msgspec.Struct, frozen=True):
    """Seconds that went to one cause, and their share of the whole wait."""

    cause: str
    seconds: float
    share: float


class Try(msgspec.Struct, frozen=True):
    """When an attempt was dispatched, started and ended."""

    dispatched_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class WaitFacts(msgspec.Struct, frozen=True):
    """What is known of a step's past at `now`: its run was created, then planned; `recorded` are seconds by cause, as the
    scheduler counted them up to the step's last move; `tries` are its attempts, oldest first.
    """

    now: datetime
    state: str
    created_at: datetime
    planned_at: datetime | None
    ready_at: datetime | None
    ended_at: datetime | None
    recorded: Mapping[str, float] | None
    tries: tuple[Try, ...] = ()


def present_cause(causes: Iterable[Cause]) -> str:
    """Which cause of lifecycle.waits the time counts for that passes now: the first that holds the step."""
    for cause in causes:
        kind = _COUNTED_AS.get(cause.kind, cause.kind)
        if kind in _KNOWN:
            return kind
    return waits.Cause.TURN.value


def waits_of(facts: WaitFacts, present: str) -> tuple[Wait, ...]:
    """The whole wait by cause, the longest first: from the run's creation to the last start, or until now for a step that waits.
    The time in which earlier attempts ran is no wait.

    What the scheduler has not recorded yet passes in the present state, and counts for `present`.
    """
    seconds = dict(recorded_of(facts))
    rest = _whole_s(facts) - sum(seconds.values())
    if facts.state in WAITING:
        since = _present_since(facts)
        now_s = rest if since is None else min(rest, (facts.now - since).total_seconds())
        _add(seconds, present, now_s)
        _add(seconds, ENDED, rest - max(0.0, now_s))
    elif _last_start(facts) is None:
        _add(seconds, waits.Cause.UPSTREAM.value, rest)
    else:
        _add(seconds, ENDED, rest)
    return shares(seconds)


def recorded_of(facts: WaitFacts) -> Mapping[str, float]:
    """What the scheduler has recorded; before its first word, what the planning of the run took."""
    if facts.recorded:
        return facts.recorded
    planning: dict[str, float] = {}
    _add(
        planning,
        waits.Cause.PLANNING.value,
        ((facts.planned_at or facts.created_at) - facts.created_at).total_seconds(),
    )
    return planning


def shares(seconds: Mapping[str, float]) -> tuple[Wait, ...]:
    """Seconds by cause with their shares, the longest first.

    >>> [(wait.cause, wait.share) for wait in shares({"turn": 1.0, "upstream": 3.0})]
    [('upstream', 0.75), ('turn', 0.25)]
    """
    whole = sum(seconds.values()) or 1.0
    longest: Sequence[tuple[str, float]] = sorted(seconds.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Wait(cause, spent, spent / whole) for cause, spent in longest)


def _whole_s(facts: WaitFacts) -> float:
    """The seconds of the whole wait."""
    started = _last_start(facts)
    waits_still = facts.state in WAITING
    if waits_still or started is None:
        end, earlier = (facts.now if waits_still else facts.ended_at or facts.now), facts.tries
    else:
        end, earlier = started, facts.tries[:-1]
    ran = sum(
        (one.ended_at - one.started_at).total_seconds()
        for one in earlier
        if one.started_at is not None and one.ended_at is not None
    )
    return max(0.0, (end - facts.created_at).total_seconds() - ran)


def _last_start(facts: WaitFacts) -> datetime | None:
    return facts.tries[-1].started_at if facts.tries else None


def _present_since(facts: WaitFacts) -> datetime | None:
    """When the present state began, if that is known."""
    last = facts.tries[-1] if facts.tries else None
    if facts.state == "ready":
        return facts.ready_at
    if facts.state == "dispatched":
        return last.dispatched_at if last else None
    return last.ended_at if facts.state == "retry_wait" and last else None


def _add(seconds: dict[str, float], cause: str, more: float) -> None:
    if more > 1e-6:
        seconds[cause] = seconds.get(cause, 0.0) + more
