"""Pictures: the gauges of queues and limits, drawn anew from the leader's snapshot. A picture costs by queues, not by steps."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from prometheus_client import Gauge

from hedgerow_scheduler.admission.capacity import LocationCapacity
from hedgerow_scheduler.lifecycle.states import StepState
from hedgerow_scheduler.lifecycle.waits import Cause
from hedgerow_scheduler.limits.backlog import queue_of
from hedgerow_scheduler.limits.limit import Limit, LimitId
from hedgerow_scheduler.limits.lines import Line, Place, QueueName
from hedgerow_scheduler.observe.metrics import BACKFILL_STATES, QUEUE_STATES, SEVERITIES, SLOT_STATES, SchedulerMetrics
from hedgerow_scheduler.planning.snapshot import Snapshot

# What holds ready steps up, as the metric tells it; all else is "ready": more slots would start them.
_STATES: dict[Cause, str] = {
    Cause.PAUSED: "paused",
    Cause.QUEUE_RATE: "rate_limited",
    Cause.POOL_RATE: "rate_limited",
    Cause.QUEUE_CONCURRENCY: "concurrency_limited",
    Cause.TEAM_SLOTS: "concurrency_limited",
    Cause.RUN_CONCURRENCY: "concurrency_limited",
    Cause.KEY_CONCURRENCY: "concurrency_limited",
    Cause.POOL_SLOTS: "pool_limited",
    Cause.NO_WORKERS: "no_workers",
    Cause.NO_CODE: "no_workers",
}
_OF_QUEUE = frozenset({Cause.QUEUE_CONCURRENCY, Cause.QUEUE_RATE, Cause.PAUSED})
NEW_AT_ONCE = 200  # queues: making all the label sets of one takes 0.2 ms; the others follow with the next pictures
SHOWN_KINDS = ("queue", "pool", "team")  # the names of runs and keys have no bounds


class _Queue(msgspec.Struct):
    """One team's queues of one name, over its locations."""

    states: Counter[str] = msgspec.field(default_factory=Counter)
    slots: Counter[str] = msgspec.field(default_factory=Counter)
    desired: int = 0
    oldest: datetime | None = None


class _Shown(msgspec.Struct):
    """A gauge with its labels, and what it was last set to."""

    child: Gauge
    value: float | None = None


class Pictures:
    """Draws into one scheduler's metrics. Queues and limits appear at zero when they are declared, and go with them."""

    def __init__(self, metrics: SchedulerMetrics) -> None:
        self._metrics = metrics
        self._queues: set[tuple[str, str]] = set()
        self._limits: set[LimitId] = set()
        # Looking a label set up costs more than all else: each is looked up once, and set when it has changed.
        self._shown: defaultdict[tuple[str, str], dict[tuple[Gauge, str], _Shown]] = defaultdict(dict)

    def draw(self, snapshot: Snapshot, capacities: Mapping[Place, LocationCapacity], now: datetime) -> None:
        """The state of everything at `now`."""
        metrics = self._metrics
        metrics.last_step.set(now.timestamp())
        broken = Counter(team for team, _ in snapshot.broken)
        for team in metrics.teams:
            metrics.load_errors.labels(team).set(broken[team])
        self._draw_queues(_queues(snapshot, capacities), now)
        self._draw_limits(snapshot, now)

    def draw_freshness(self, assets: Iterable[tuple[str, bool, bool]]) -> None:
        """The assets that are not fresh, each with its team, and whether something of it is warned of and late: it counts as the worse."""
        counts = Counter((team, "error" if late else "warn") for team, _, late in assets)
        for team in self._metrics.teams:
            for severity in SEVERITIES:
                self._metrics.late_assets.labels(team, severity).set(counts[team, severity])

    def draw_backfills(self, states: Sequence[str]) -> None:
        """The backfills that have not ended."""
        counts = Counter(states)
        for state in BACKFILL_STATES:
            self._metrics.backfills.labels(state).set(counts[state])

    def _draw_queues(self, found: Mapping[tuple[str, str], _Queue], now: datetime) -> None:
        metrics = self._metrics
        for gone in self._queues - set(found):
            metrics.forget_queue(*gone)
            self._shown.pop(gone, None)
        self._queues &= found.keys()
        for team, queue in [name for name in found if name not in self._queues][:NEW_AT_ONCE]:
            metrics.add_queue(team, queue)
            self._queues.add((team, queue))
        for name in self._queues:
            drawn = found[name]
            for state in QUEUE_STATES:
                self._show(metrics.queue_steps, name, drawn.states[state], state)
            for state in SLOT_STATES:
                self._show(metrics.slots, name, drawn.slots[state], state)
            self._show(metrics.desired, name, drawn.desired)
            self._show(metrics.oldest, name, max(0, (now - drawn.oldest).total_seconds()) if drawn.oldest else 0)

    def _show(self, gauge: Gauge, name: tuple[str, str], value: float, state: str = "") -> None:
        """Sets a gauge of a queue or limit."""
        of_name = self._shown[name]
        shown = of_name.get((gauge, state))
        if shown is None:
            shown = of_name[gauge, state] = _Shown(gauge.labels(*name, state) if state else gauge.labels(*name))
        if shown.value != value:
            shown.value = value
            shown.child.set(value)

    def _draw_limits(self, snapshot: Snapshot, now: datetime) -> None:
        metrics = self._metrics
        shown = {id for id in snapshot.rules.known() if id[0] in SHOWN_KINDS}
        shown |= {limit.id for limit in snapshot.limits.lasting() if limit.used or limit.parked}
        for gone in self._limits - shown:
            metrics.forget_limit(*gone)
            self._shown.pop(gone, None)
        before_shown, self._limits = self._limits, shown
        held_up = _held_up(snapshot)
        for id in shown:
            limit = snapshot.limits.get(id)
            before = limit.throttled_s
            limit.throttles(limit in held_up, now)
            values = limit.values
            self._show(metrics.limit_concurrency, id, 0 if values.paused else _bound(values.concurrency))
            self._show(metrics.limit_rate, id, 0 if values.paused else _bound(values.rate))
            self._show(metrics.limit_in_use, id, limit.used)
            if id not in before_shown or limit.throttled_s > before:
                metrics.limit_throttled.labels(*id).inc(limit.throttled_s - before)


def _bound(value: float | None) -> float:
    return math.inf if value is None else value


def _held_up(snapshot: Snapshot) -> set[Limit]:
    """The limits for which some ready step waits."""
    found = {limit for limit in snapshot.limits.lasting() if limit.parked}
    for line in snapshot.backlog.lines.values():
        if line.size and line.cause in _OF_QUEUE:
            found.add(line.team_limit if line.cause is Cause.PAUSED and line.team_limit.values.paused else line.limit)
        elif line.size and line.cause is Cause.TEAM_SLOTS:
            found.add(line.team_limit)
    return found


def _queues(snapshot: Snapshot, capacities: Mapping[Place, LocationCapacity]) -> dict[tuple[str, str], _Queue]:
    names: set[QueueName] = {
        (team, location, queue.name)
        for (team, location), published in snapshot.catalog.published.items()
        for queue in published.manifest.queues
    }
    lines = snapshot.backlog.lines
    names |= {name for name, line in lines.items() if line.size} | {
        name for name, held in snapshot.held.items() if held
    }
    running = Counter(
        queue_of(attempt.step) for attempt in snapshot.live_attempts() if attempt.step.state is StepState.RUNNING
    )
    found: dict[tuple[str, str], _Queue] = defaultdict(_Queue)
    for step in snapshot.backlog.parked():
        name = queue_of(step)
        names.add(name)
        drawn = found[name[0], name[2]]
        drawn.states[_STATES.get(step.ticket.parked, "ready")] += 1
        drawn.oldest = _earlier(drawn.oldest, step.ready_at)
    draining: Counter[QueueName] = Counter()
    for worker in snapshot.workers.values():
        if worker.state == "draining":
            for queue in dict.fromkeys(worker.queues):
                draining[worker.team, worker.location, queue] += worker.slots
    for name in names:
        drawn = found[name[0], name[2]]
        drawn.slots["draining"] += draining[name]
        _add_queue(drawn, snapshot, name, lines.get(name), capacities.get(name[:2]), running[name])
    return found


def _add_queue(
    drawn: _Queue,
    snapshot: Snapshot,
    name: QueueName,
    line: Line | None,
    capacity: LocationCapacity | None,
    running: int,
) -> None:
    there, held = capacity.slots(name[2]) if capacity else 0, snapshot.held[name]
    drawn.states["dispatched"] += held - running
    drawn.states["running"] += running
    drawn.slots["free"] += max(0, there - held)
    drawn.slots["busy"] += min(there, held)
    free = 0
    for group in line.groups() if line else ():
        state = _STATES.get(group.cause, "ready")
        drawn.states[state] += group.size
        drawn.oldest = _earlier(drawn.oldest, group.oldest())
        if state in ("ready", "no_workers"):
            free += group.size
    drawn.desired += held + _admissible(free, line)


def _admissible(waiting: int, line: Line | None) -> int:
    """How many of the steps that nothing else holds up their queue's and team's limits would let out."""
    for limit in (line.limit, line.team_limit) if line else ():
        if limit.values.concurrency is not None:
            waiting = min(waiting, max(0, limit.values.concurrency - limit.used))
    return waiting


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((each for each in (one, other) if each is not None), default=None)
