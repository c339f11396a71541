"""What one cycle of the leader decided and must record in one transaction, before any of its effects."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from hedgerow.errors import Problem
from hedgerow.manifest.model import Manifest
from hedgerow.protocol.events import CheckEvaluated
from hedgerow_scheduler.automation.reactions import Delivery, Told
from hedgerow_scheduler.automation.schedules import Place, Standing
from hedgerow_scheduler.automation.sensors import Outcome, SensorStanding
from hedgerow_scheduler.lifecycle.backfill_changes import BackfillChanges
from hedgerow_scheduler.lifecycle.model import Attempt, Materialization, Run, Step, Worker
from hedgerow_scheduler.partitions.key_sets import StoredKey
from hedgerow_scheduler.planning.request import RunRequest


class AcceptedEvent(msgspec.Struct, frozen=True):
    """An event as it was received, in its envelope."""

    team: str
    worker: str
    seq: int
    body: bytes


class Quarantined(msgspec.Struct, frozen=True):
    """Something in a team's stream that can't be folded."""

    team: str
    entry_id: str
    reason: str
    body: bytes


class NewManifest(msgspec.Struct, frozen=True):
    """A manifest body that was not known; `accepted` False when it was refused whole."""

    hash: str
    manifest: Manifest
    body: bytes
    accepted: bool


class LocationChange(msgspec.Struct, frozen=True):
    """A location's manifest comes into force (`manifest_hash`), or what it tried has `problems`; or the one in force is `withdrawn`, and its
    location has none.
    """

    team: str
    location: str
    manifest_hash: str | None
    problems: tuple[Problem, ...] = ()
    withdrawn: str = ""


class CheckRecord(msgspec.Struct, frozen=True):
    """A check's verdict with the step it belongs to, and the attempt whose output it is about, if that is another than the step's own."""

    run_id: str
    step_number: int
    verdict: CheckEvaluated
    judged: str | None = None


class CommandOutcome(msgspec.Struct, frozen=True):
    """What became of a command."""

    id: int
    outcome: dict[str, Any]


class NewRun(msgspec.Struct, frozen=True):
    """A run that the scheduler launches itself, with what it asks for."""

    run: Run
    request: RunRequest


class TickRecord(msgspec.Struct, frozen=True):
    """What became of a tick: launched, skipped (with those before it, `ticks` in all) or failed."""

    place: Place
    tick: datetime
    outcome: Literal["launched", "skipped", "failed"]
    ticks: int = 1
    run_id: str | None = None
    reason: str = ""
    error: Problem | None = None


class ScheduleMove(msgspec.Struct, frozen=True):
    """A schedule has dealt with its ticks from `before` until `last_tick`."""

    place: Place
    before: datetime
    last_tick: datetime


class SensorEvaluation(msgspec.Struct, frozen=True):
    """What became of an evaluation of a sensor: the first of the runs that it `launched`, how many requests were `deduped`; the
    beginning of its new cursor, if it has one.
    """

    id: str
    team: str
    name: str
    at: datetime
    outcome: Outcome
    launched: int = 0
    deduped: int = 0
    run_ids: tuple[str, ...] = ()
    cursor: str | None = None
    reason: str = ""
    error: Problem | None = None
    log: str = ""
    duration_ms: int = 0


class SensorMove(msgspec.Struct, frozen=True):
    """A sensor goes on from its evaluation number `before`."""

    team: str
    name: str
    before: int
    number: int
    cursor: str | None
    failures: int
    last_at: datetime | None
    next_at: datetime | None


class SensorKey(msgspec.Struct, frozen=True):
    """A dedupe key of a sensor, with the run that it stands for."""

    team: str
    name: str
    key: str
    run_id: str


class BucketLevel(msgspec.Struct, frozen=True):
    """What is left in the token bucket of a limit as of `at`."""

    kind: str
    name: str
    tokens: float
    at: datetime


class EvaluationRecord(msgspec.Struct, frozen=True):
    """What the evaluation of an asset's condition found; `requested` are the first of `requested_count` partitions, made by `run_id`."""

    asset: str
    kind: str
    at: datetime
    condition: str
    findings: tuple[Any, ...]
    requested: tuple[str, ...]
    requested_count: int
    problem: str
    run_id: str | None


class FreshnessRecord(msgspec.Struct, frozen=True):
    """A partition ("" without) is warned of or late by its asset's policy, or neither any more."""

    asset: str
    partition: str
    team: str
    status: Literal["warn", "late", "on_time"]


class Changes(msgspec.Struct, eq=False):
    """Everything to record, each thing once however often it changed within the cycle."""

    planned_runs: list[Run] = msgspec.field(default_factory=list)
    runs: dict[str, Run] = msgspec.field(default_factory=dict)
    steps: dict[tuple[str, int], Step] = msgspec.field(default_factory=dict)
    new_attempts: list[Attempt] = msgspec.field(default_factory=list)
    attempts: dict[str, Attempt] = msgspec.field(default_factory=dict)
    outputs: dict[tuple[str, str], Materialization] = msgspec.field(default_factory=dict)
    checks: list[CheckRecord] = msgspec.field(default_factory=list)
    events: list[AcceptedEvent] = msgspec.field(default_factory=list)
    sequences: dict[tuple[str, str], int] = msgspec.field(default_factory=dict)
    cursors: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)
    quarantined: list[Quarantined] = msgspec.field(default_factory=list)
    manifests: list[NewManifest] = msgspec.field(default_factory=list)
    locations: list[LocationChange] = msgspec.field(default_factory=list)
    workers: dict[tuple[str, str], Worker] = msgspec.field(default_factory=dict)
    gone_workers: set[tuple[str, str]] = msgspec.field(default_factory=set)
    commands: list[CommandOutcome] = msgspec.field(default_factory=list)
    failed_requests: list[tuple[str, Problem]] = msgspec.field(default_factory=list)
    buckets: list[BucketLevel] = msgspec.field(default_factory=list)
    new_runs: list[NewRun] = msgspec.field(default_factory=list)
    schedules: list[Standing] = msgspec.field(default_factory=list)
    gone_schedules: list[Place] = msgspec.field(default_factory=list)
    schedule_moves: list[ScheduleMove] = msgspec.field(default_factory=list)
    schedule_ticks: list[TickRecord] = msgspec.field(default_factory=list)
    sensors: list[SensorStanding] = msgspec.field(default_factory=list)
    sensor_moves: list[SensorMove] = msgspec.field(default_factory=list)
    sensor_evaluations: list[SensorEvaluation] = msgspec.field(default_factory=list)
    sensor_keys: list[SensorKey] = msgspec.field(default_factory=list)
    memories: dict[str, bytes] = msgspec.field(default_factory=dict)
    partition_keys: dict[tuple[str, str, int], tuple[StoredKey, str]] = msgspec.field(default_factory=dict)
    evaluations: dict[tuple[str, str], EvaluationRecord] = msgspec.field(default_factory=dict)

    observations: dict[str, datetime] = msgspec.field(default_factory=dict)
    freshness: dict[tuple[str, str], FreshnessRecord] = msgspec.field(default_factory=dict)
    deliveries: list[Delivery] = msgspec.field(default_factory=list)
    retried: list[Delivery] = msgspec.field(default_factory=list)
    told: dict[str, Told] = msgspec.field(default_factory=dict)
    suppressed: dict[tuple[str, str], int] = msgspec.field(default_factory=dict)
    backfills: BackfillChanges = msgspec.field(default_factory=BackfillChanges)

    def is_empty(self) -> bool:
        """Whether there is nothing to record."""
        return not any(getattr(self, name) for name in self.__struct_fields__)


class Measure(msgspec.Struct, frozen=True):
    """Something to count or observe once it is recorded: a metric's name, its labels in order, a count or seconds."""

    metric: str
    labels: tuple[str, ...]
    value: float = 1.0


class Effects(msgspec.Struct, eq=False):
    """What is to be done on the broker after the cycle was recorded; each may be repeated or lost without harm.

    `acks` maps (team, worker) to the highest contiguous sequence number; `revoke` are attempts whose claims to take,
    `drain` maps the workers that are to leave to the reason.
    """

    publish: list[Attempt] = msgspec.field(default_factory=list)
    revoke: list[Attempt] = msgspec.field(default_factory=list)
    cancel: list[Attempt] = msgspec.field(default_factory=list)
    drain: dict[tuple[str, str], str] = msgspec.field(default_factory=dict)
    acks: dict[tuple[str, str], int] = msgspec.field(default_factory=dict)
    send_manifest: dict[str, str] = msgspec.field(default_factory=dict)
    resend: dict[tuple[str, str], int] = msgspec.field(default_factory=dict)
    measures: list[Measure] = msgspec.field(default_factory=list)
