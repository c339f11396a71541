"""The scheduler's metrics for Prometheus, and the counters fed with what was recorded; observe.pictures draws the gauges."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from hedgerow_scheduler.automation.sensors import Outcome
from hedgerow_scheduler.lifecycle.changes import Measure

LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
QUEUE_STATES = (
    "ready",
    "rate_limited",
    "concurrency_limited",
    "pool_limited",
    "paused",
    "no_workers",
    "dispatched",
    "running",
)
SLOT_STATES = ("free", "busy", "draining")
OUTCOMES = ("succeeded", "failed", "timed_out", "cancelled", "skipped", "lost")
RETRY_REASONS = ("user_error", "worker_lost", "interrupted")
REDISPATCH_REASONS = ("refused", "superseded")
REJECTION_REASONS = ("late", "leaving", "other")
EVENT_KINDS = ("ingested", "duplicate", "gap", "quarantined")
BACKFILL_OUTCOMES = ("launched", "done", "failed", "upstream_failed", "skipped", "cancelled")
BACKFILL_ENDS = ("succeeded", "failed", "cancelled", "aborted")
SEVERITIES = ("warn", "error")
BACKFILL_STATES = ("canary", "running", "paused", "aborting", "cancelling")
TICK_OUTCOMES = ("launched", "skipped", "failed")
STALE_REASONS = (
    "unknown_attempt",
    "other_team",
    "other_token",
    "superseded",
    "ended",
    "not_started",
    "other_asset",
    "unknown_evaluation",
)


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
        self.terms = counter(
            "scheduler_terms_total", "Terms of leadership that ended, by why: told, failed, defect or rehearsed.", "end"
        )
        self.is_leader = gauge("scheduler_is_leader", "1 while this scheduler leads; sums to 1 over all instances.")
        self.last_step = gauge("scheduler_last_step_timestamp_seconds", "When the loop last completed a cycle.")
        self._phase = histogram("scheduler_step_duration_seconds", "Duration of a cycle's phases.", "phase")
        self.queue_steps = gauge("queue_steps", "Steps by what they wait for.", "team", "queue", "state")
        self.oldest = gauge(
            "queue_oldest_ready_age_seconds", "Age of the oldest ready step; 0 when there is none.", "team", "queue"
        )
        self.desired = gauge(
            "queue_desired_slots",
            "Slots that would be busy if there were enough: the autoscaling signal.",
            "team",
            "queue",
        )
        self.slots = gauge("queue_slots", "Slots of live workers.", "team", "queue", "state")
        self.limit_concurrency = gauge(
            "limit_concurrency", "Slots of a limit as it is now; +Inf means none.", "kind", "name"
        )
        self.limit_rate = gauge(
            "limit_rate_per_second", "Rate of a limit as it is now; +Inf means none.", "kind", "name"
        )
        self.limit_in_use = gauge("limit_in_use", "Slots of a limit that are taken.", "kind", "name")
        self.limit_throttled = counter(
            "limit_throttled_seconds_total", "Time in which a ready step waited for this limit.", "kind", "name"
        )
        self.load_errors = gauge(
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
            "orders_rejected": counter("orders_rejected_total", "Orders that a worker refused.", "team", "reason"),
            "events_ingested": counter("events_ingested_total", "Events folded.", "team"),
            "events_duplicate": counter("events_duplicate_total", "Events seen before.", "team"),
            "events_gap": counter("events_gap_total", "Events before which others are missing: they are sent again.", "team"),
            "events_quarantined": counter("events_quarantined_total", "Events that could not be understood.", "team"),
            "broker_losses": counter("broker_losses_total", "Times a broker was found to have lost data.", "team"),
            "asset_materializations": counter("asset_materializations_total", "Outputs recorded.", "team", "outcome"),
            "asset_checks": counter("asset_checks_total", "Verdicts of checks.", "team", "outcome", "severity"),
            "conditions_evaluated": counter("conditions_evaluated_total", "Times that the condition of an asset was asked.", "team"),
            "conditions_requested": counter("conditions_requested_total", "Partitions that conditions launched.", "team"),
            "conditions_broken": counter("conditions_broken_total", "Conditions that can't be asked, own functions of them that fail, and requests that can't be planned.", "team"),
            "reaction_deliveries": counter("reaction_deliveries_total", "What reactions were told, by what became of it.", "team", "outcome"),
            "sensor_evaluations": counter("sensor_evaluations_total", "Evaluations of sensors by what became of them.", "team", "outcome"),
            "backfill_partitions": counter("backfill_partitions_total", "Partitions that backfills launched, and how their steps ended.", "team", "outcome"),
            "backfills": counter("backfills_ended_total", "Backfills that ended, by how.", "state"),
            "schedule_ticks": counter("schedule_ticks_total", "Ticks of schedules by what became of them.", "team", "outcome"),
        }  # fmt: skip
        self._by_queue: dict[str, Histogram] = {
            "step_queue_wait": histogram("step_queue_wait_seconds", "From ready to running.", "team", "queue"),
            "step_start_latency": histogram(
                "step_start_latency_seconds", "From dispatched to running.", "team", "queue"
            ),
            "step_duration": histogram("step_duration_seconds", "From running to the end.", "team", "queue"),
        }
        turns = histogram(
            "condition_turn_seconds", "How long the conditions of one turn held the loop, over its cycles."
        )
        self._histograms: dict[str, Histogram] = {**self._by_queue, "condition_turn": turns}
        self.late_assets = gauge(
            "late_assets",
            "Assets that are late by their freshness policy (error), or of which something is warned of (warn).",
            "team",
            "severity",
        )
        self.backfills = gauge("backfills", "Backfills that have not ended.", "state")
        for state in BACKFILL_STATES:
            self.backfills.labels(state)
        for state in BACKFILL_ENDS:
            self._counters["backfills"].labels(state)
        self.teams: set[str] = set()

    def add_team(self, team: str) -> None:
        """A team is known: its counters exist from now on."""
        for name in ("leases_expired", "broker_losses", *(f"events_{kind}" for kind in EVENT_KINDS)):
            self._counters[name].labels(team)
        for reason in STALE_REASONS:
            self._counters["stale_events_rejected"].labels(team, reason)
        for reason in REJECTION_REASONS:
            self._counters["orders_rejected"].labels(team, reason)
        for outcome in ("current", "rejected", "discarded"):
            self._counters["asset_materializations"].labels(team, outcome)
        for outcome in ("passed", "failed"):
            for severity in SEVERITIES:
                self._counters["asset_checks"].labels(team, outcome, severity)
        for outcome in BACKFILL_OUTCOMES:
            self._counters["backfill_partitions"].labels(team, outcome)
        for outcome in TICK_OUTCOMES:
            self._counters["schedule_ticks"].labels(team, outcome)
        for outcome in Outcome:
            self._counters["sensor_evaluations"].labels(team, outcome.value)
        for severity in SEVERITIES:
            self.late_assets.labels(team, severity)
        for told in ("delivered", "given_up", "dropped", "suppressed", "retried"):
            self._counters["reaction_deliveries"].labels(team, told)
        for asked in ("evaluated", "requested", "broken"):
            self._counters[f"conditions_{asked}"].labels(team)
        self._ingest_lag.labels(team)
        self._stream_length.labels(team)
        self.teams.add(team)

    def count(self, name: str, labels: tuple[str, ...], by: float = 1) -> None:
        """Adds to a counter."""
        self._counters[name].labels(*labels).inc(by)

    def take(self, measures: Sequence[Measure]) -> None:
        """Takes in what was recorded in one cycle. Looking a label set up costs more than adding to it: each is looked up once."""
        counts: dict[tuple[str, tuple[str, ...]], float] = {}
        observed: dict[tuple[str, tuple[str, ...]], Histogram] = {}
        for measure in measures:
            key = (measure.metric, measure.labels)
            if measure.metric not in self._histograms:
                counts[key] = counts.get(key, 0.0) + measure.value
                continue
            child = observed.get(key)
            if child is None:
                histogram = self._histograms[measure.metric]
                child = observed[key] = histogram.labels(*measure.labels) if measure.labels else histogram
            child.observe(max(0.0, measure.value))
        for (name, labels), value in counts.items():
            self.count(name, labels, value)

    def counted(self, team: str, what: str, count: int) -> None:
        """Takes in what the fold counted."""
        kind, _, reason = what.partition(":")
        if kind == "stale":
            self.count("stale_events_rejected", (team, reason), count)
        else:
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

    # -- label sets --------------------------------------------------------------------------------------------------

    def add_queue(self, team: str, queue: str) -> None:
        """A queue is known: its counters exist from now on, so that `increase()` sees the first of everything."""
        self._counters["step_dispatches"].labels(team, queue)
        for name, values in _BY_QUEUE.items():
            for value in values:
                self._counters[name].labels(team, queue, value)
        for observed in self._by_queue.values():
            observed.labels(team, queue)

    def forget_queue(self, team: str, queue: str) -> None:
        """A queue is gone: so is all that was told of it."""
        self._counters["step_dispatches"].remove(team, queue)
        for name, values in _BY_QUEUE.items():
            for value in values:
                self._counters[name].remove(team, queue, value)
        for observed in self._by_queue.values():
            observed.remove(team, queue)
        for state in QUEUE_STATES:
            self.queue_steps.remove(team, queue, state)
        for state in SLOT_STATES:
            self.slots.remove(team, queue, state)
        self.oldest.remove(team, queue)
        self.desired.remove(team, queue)

    def forget_limit(self, kind: str, name: str) -> None:
        """A limit is gone."""
        for gauge in (self.limit_concurrency, self.limit_rate, self.limit_in_use):
            gauge.remove(kind, name)
        self.limit_throttled.remove(kind, name)


_BY_QUEUE = {"steps": OUTCOMES, "step_retries": RETRY_REASONS, "step_redispatches": REDISPATCH_REASONS}
