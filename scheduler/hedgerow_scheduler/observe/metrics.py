"""The scheduler's metrics for Prometheus: counters fed with what was recorded, gauges drawn from the leader's snapshot."""

from __future__ import annotations

import math
import platform
from collections import Counter as Tally
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from hedgerow_scheduler.admission.capacity import LocationCapacity
from hedgerow_scheduler.lifecycle.changes import Measure
from hedgerow_scheduler.lifecycle.states import StepState
from hedgerow_scheduler.limits.backlog import QueueName, queue_of
from hedgerow_scheduler.planning.snapshot import Snapshot

LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
QUEUE_STATES = ("ready", "concurrency_limited", "no_workers", "dispatched", "running")
SLOT_STATES = ("free", "busy", "draining")
OUTCOMES = ("succeeded", "failed", "timed_out", "cancelled", "skipped", "lost")
RETRY_REASONS = ("user_error", "worker_lost", "interrupted")


class SchedulerMetrics:
    """All metrics of one scheduler process. Label sets exist at zero from the moment a team or queue is known."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"hedgerow_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"hedgerow_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(f"hedgerow_{name}", text, labels, buckets=LATENCY, registry=registry)

        build = gauge("build_info", "Always 1; the labels say what runs.", "version", "python", "role")
        build.labels(version("hedgerow"), platform.python_version(), "scheduler").set(1)
        self.is_leader = gauge("scheduler_is_leader", "1 while this scheduler leads; sums to 1 over all instances.")
        self.last_step = gauge("scheduler_last_step_timestamp_seconds", "When the loop last completed a cycle.")
        self._phase = histogram("scheduler_step_duration_seconds", "Duration of a cycle's phases.", "phase")
        self._queue_steps = gauge("queue_steps", "Steps by what they wait for.", "team", "queue", "state")
        self._oldest = gauge(
            "queue_oldest_ready_age_seconds", "Age of the oldest ready step; 0 when there is none.", "team", "queue"
        )
        self._desired = gauge(
            "queue_desired_slots",
            "Slots that would be busy if there were enough: the autoscaling signal.",
            "team",
            "queue",
        )
        self._slots = gauge("queue_slots", "Slots of live workers.", "team", "queue", "state")
        self._limit = gauge("limit_concurrency", "Effective limit; +Inf means none.", "kind", "name")
        self._in_use = gauge("limit_in_use", "How much of a limit is taken.", "kind", "name")
        self._load_errors = gauge(
            "definitions_load_errors", "Code locations whose latest code can't be loaded or was refused.", "team"
        )
        self._ingest_lag = gauge(
            "event_ingest_lag_seconds", "Age of the newest event when it was folded; 0 when all are.", "team"
        )
        self._stream_length = gauge("event_stream_length", "Entries in a team's stream.", "team")
        self._counters: dict[str, Counter] = {
            "step_dispatches": counter("step_dispatches_total", "Attempts dispatched.", "team", "queue"),
            "step_redispatches": counter("step_redispatches_total", "Attempts taken back unstarted.", "team", "queue", "reason"),
            "steps": counter("steps_total", "Attempts that ended.", "team", "queue", "outcome"),
            "step_retries": counter("step_retries_total", "Retries that were scheduled.", "team", "queue", "reason"),
            "leases_expired": counter("leases_expired_total", "Attempts whose worker fell silent.", "team"),
            "stale_events_rejected": counter("stale_events_rejected_total", "Events about attempts that are not theirs.", "team", "reason"),
            "events_ingested": counter("events_ingested_total", "Events folded.", "team"),
            "events_duplicate": counter("events_duplicate_total", "Events seen before.", "team"),
            "events_quarantined": counter("events_quarantined_total", "Events that could not be understood.", "team"),
            "broker_losses": counter("broker_losses_total", "Times a broker was found to have lost data.", "team"),
            "asset_materializations": counter("asset_materializations_total", "Outputs recorded.", "team", "outcome"),
            "asset_checks": counter("asset_checks_total", "Verdicts of checks.", "team", "outcome"),
        }  # fmt: skip
        self._histograms: dict[str, Histogram] = {
            "step_queue_wait": histogram("step_queue_wait_seconds", "From ready to running.", "team", "queue"),
            "step_start_latency": histogram(
                "step_start_latency_seconds", "From dispatched to running.", "team", "queue"
            ),
            "step_duration": histogram("step_duration_seconds", "From running to the end.", "team", "queue"),
        }
        self._queues: set[tuple[str, str]] = set()
        self._teams: set[str] = set()

    def add_team(self, team: str) -> None:
        """A team is known: its counters exist from now on."""
        for name in ("leases_expired", "events_ingested", "events_duplicate", "events_quarantined", "broker_losses"):
            self._counters[name].labels(team)
        for outcome in ("current", "rejected", "discarded"):
            self._counters["asset_materializations"].labels(team, outcome)
        for outcome in ("passed", "failed"):
            self._counters["asset_checks"].labels(team, outcome)
        self._ingest_lag.labels(team)
        self._stream_length.labels(team)
        self._teams.add(team)

    def count(self, name: str, labels: tuple[str, ...], by: float = 1) -> None:
        """Adds to a counter."""
        self._counters[name].labels(*labels).inc(by)

    def observe(self, measure: Measure) -> None:
        """Takes in something that was recorded."""
        if measure.metric in self._histograms:
            self._histograms[measure.metric].labels(*measure.labels).observe(max(0.0, measure.value))
        else:
            self.count(measure.metric, measure.labels, measure.value)

    def counted(self, team: str, what: str, count: int) -> None:
        """Takes in what the fold counted."""
        kind, _, reason = what.partition(":")
        if kind == "stale":
            self.count("stale_events_rejected", (team, reason), count)
        elif kind in ("ingested", "duplicate", "quarantined"):
            self.count(f"events_{kind}", (team,), count)

    def stream(self, team: str, lag_s: float, length: int | None) -> None:
        """Takes in how far behind a team's stream is, and how long it is if that is known."""
        self._ingest_lag.labels(team).set(max(0.0, lag_s))
        if length is not None:
            self._stream_length.labels(team).set(length)

    def phases(self, **seconds: float) -> None:
        """Takes in the durations of a cycle's phases."""
        for phase, value in seconds.items():
            self._phase.labels(phase).observe(value)

    def picture(
        self, snapshot: Snapshot, capacities: Mapping[tuple[str, str], LocationCapacity], now: datetime
    ) -> None:
        """Draws the gauges anew from the snapshot."""
        self.last_step.set(now.timestamp())
        broken = Tally(team for team, _ in snapshot.broken)
        for team in self._teams:
            self._load_errors.labels(team).set(broken[team])
        ready: Tally[QueueName] = Tally()
        oldest: dict[QueueName, datetime] = {}
        for step in snapshot.backlog:
            if step.state is StepState.READY and step.ready_at is not None:
                name = queue_of(step)
                ready[name] += 1
                oldest[name] = min(oldest.get(name, step.ready_at), step.ready_at)
        running: Tally[QueueName] = Tally(
            queue_of(attempt.step) for attempt in snapshot.live_attempts() if attempt.step.state is StepState.RUNNING
        )
        declared = {
            (team, location, queue.name)
            for (team, location), published in snapshot.catalog.published.items()
            for queue in published.manifest.queues
        }
        names = declared | set(ready) | {name for name, held in snapshot.held.items() if held}
        locations: dict[tuple[str, str], list[str]] = {}
        for team, location, queue in names:
            locations.setdefault((team, queue), []).append(location)
        for gone in self._queues - set(locations):
            self._forget(*gone)
        for (team, queue), places in locations.items():
            if (team, queue) not in self._queues:
                self._at_zero(team, queue)
            self._queue(snapshot, [(team, place, queue) for place in places], capacities, ready, running)
            since = [oldest[name] for place in places if (name := (team, place, queue)) in oldest]
            self._oldest.labels(team, queue).set((now - min(since)).total_seconds() if since else 0)
        self._queues = set(locations)

    def _queue(
        self, snapshot: Snapshot, names: list[QueueName], capacities: Mapping[tuple[str, str], LocationCapacity],
        ready: Tally[QueueName], running: Tally[QueueName],
    ) -> None:  # fmt: skip
        """Sets a queue's gauges to the sums over the locations of the team that have a queue of that name."""
        team, _, queue = names[0]
        states, slots = dict.fromkeys(QUEUE_STATES, 0), dict.fromkeys(SLOT_STATES, 0)
        in_use, desired, most = 0, 0, 0.0
        for name in names:
            capacity = capacities.get(name[:2])
            there = capacity.slots(queue) if capacity else 0
            held = snapshot.held[name]
            limit = snapshot.catalog.queue(*name).concurrency
            admissible = ready[name] if limit is None else min(ready[name], max(0, limit - held))
            states["dispatched"] += held - running[name]
            states["running"] += running[name]
            states["concurrency_limited"] += ready[name] - admissible
            states["ready" if there else "no_workers"] += admissible
            slots["free"] += max(0, there - held)
            slots["busy"] += min(there, held)
            in_use += held
            desired += held + admissible
            most += math.inf if limit is None else limit
        places = {name[:2] for name in names}
        slots["draining"] = sum(
            worker.slots
            for worker in snapshot.workers.values()
            if worker.state == "draining" and (worker.team, worker.location) in places and queue in worker.queues
        )
        for state, value in states.items():
            self._queue_steps.labels(team, queue, state).set(value)
        for state, value in slots.items():
            self._slots.labels(team, queue, state).set(value)
        self._desired.labels(team, queue).set(desired)
        self._limit.labels("queue", f"{team}.{queue}").set(most)
        self._in_use.labels("queue", f"{team}.{queue}").set(in_use)

    def _at_zero(self, team: str, queue: str) -> None:
        self._counters["step_dispatches"].labels(team, queue)
        for outcome in OUTCOMES:
            self._counters["steps"].labels(team, queue, outcome)
        for reason in RETRY_REASONS:
            self._counters["step_retries"].labels(team, queue, reason)
        for observed in self._histograms.values():
            observed.labels(team, queue)

    def _forget(self, team: str, queue: str) -> None:
        for state in QUEUE_STATES:
            self._queue_steps.remove(team, queue, state)
        for state in SLOT_STATES:
            self._slots.remove(team, queue, state)
        self._oldest.remove(team, queue)
        self._desired.remove(team, queue)
        self._limit.remove("queue", f"{team}.{queue}")
        self._in_use.remove("queue", f"{team}.{queue}")
