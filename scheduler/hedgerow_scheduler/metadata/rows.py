"""The rows of recording: a struct for each statement that writes many, its fields named as the statement names them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from hedgerow.errors import Problem
from hedgerow.manifest.model import Column
from hedgerow.protocol.references import Reference
from hedgerow_scheduler.automation.schedules import Place
from hedgerow_scheduler.lifecycle.changes import (
    AcceptedEvent,
    CheckRecord,
    CommandOutcome,
    Quarantined,
    ScheduleMove,
    TickRecord,
)
from hedgerow_scheduler.lifecycle.model import Attempt, Materialization, Run, Step, Worker
from hedgerow_scheduler.limits.limit import Holding

MAX_EVENTS_BYTES = 256 * 1024


class NewStepRow(msgspec.Struct, frozen=True):
    """INSERT_STEPS."""

    number: int
    team: str
    location: str
    queue: str
    priority: int
    computation: str
    assets: tuple[str, ...]
    partition: str
    upstream: tuple[int, ...]
    state: str
    ready_at: datetime | None


class StepRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """UPDATE_STEPS; what stands at its default is left out, since reading JSON is half of what the statement costs."""

    run_id: str
    number: int
    before: str
    state: str
    attempt: int
    attempt_id: str | None = None
    failures: int = 0
    losses: int = 0
    deaths: int = 0
    not_before: datetime | None = None
    ready_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: Problem | None = None
    waits: dict[str, float] | None = None


class RunRow(msgspec.Struct, frozen=True):
    """UPDATE_RUNS."""

    id: str
    state: str
    started_at: datetime | None
    ended_at: datetime | None
    cancel: bool
    error: Problem | None
    priority: int


class NewAttemptRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """INSERT_ATTEMPTS and, with `after`, INSERT_ATTEMPTS_AFTER."""

    id: str
    run_id: str
    step_number: int
    number: int
    dispatch_seq: int
    state: str
    team: str
    location: str
    queue: str
    manifest_hash: str
    dispatched_at: datetime
    batch: int
    holds: tuple[tuple[str, str, int], ...] | None = None
    inputs: dict[str, Any] = {}
    after: dict[str, tuple[str, ...]] = {}
    judged: str | None = None


class AttemptRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """UPDATE_ATTEMPTS."""

    id: str
    before: str
    state: str
    worker: str = ""
    token: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: Problem | None = None
    log: str = ""


class OutputRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """UPSERT_OUTPUTS."""

    attempt_id: str
    asset: str
    partition: str
    run_id: str
    step_number: int
    dispatch_seq: int
    state: str
    reference: Reference | None = None
    data_version: str = ""
    code_version: str = ""
    metadata: dict[str, Any] = {}
    columns: tuple[Column, ...] = ()


class PointerRow(msgspec.Struct, frozen=True):
    """MOVE_POINTERS."""

    asset: str
    partition: str
    attempt_id: str
    dispatch_seq: int


class CheckRow(msgspec.Struct, frozen=True):
    """UPSERT_CHECKS."""

    attempt_id: str
    asset: str
    check_name: str
    partition: str
    run_id: str
    step_number: int
    passed: bool
    blocking: bool
    severity: str
    description: str
    metadata: dict[str, Any]
    error: str
    judged: str | None


class SequenceRow(msgspec.Struct, frozen=True):
    """UPSERT_SEQUENCES."""

    team: str
    worker: str
    acked: int


class CursorRow(msgspec.Struct, frozen=True):
    """UPSERT_CURSORS."""

    team: str
    position: str
    epoch: str


class QuarantineRow(msgspec.Struct, frozen=True):
    """INSERT_QUARANTINE; the body is hexadecimal, for it may be anything."""

    team: str
    entry_id: str
    reason: str
    body: str


class WorkerRow(msgspec.Struct, frozen=True):
    """UPSERT_WORKERS."""

    team: str
    id: str
    location: str
    manifest_hash: str
    queues: tuple[str, ...]
    slots: int
    busy: int
    state: str
    host: str
    pid: int
    first_seen_at: datetime
    last_seen_at: datetime


class KeyRow(msgspec.Struct, frozen=True):
    """UPSERT_OWNERS."""

    key: str


class WorkerKeyRow(msgspec.Struct, frozen=True):
    """DELETE_WORKERS."""

    team: str
    worker: str


class CommandRow(msgspec.Struct, frozen=True):
    """APPLY_COMMANDS."""

    id: int
    outcome: dict[str, Any]


def new_step(step: Step) -> NewStepRow:
    """A planned step's row."""
    return NewStepRow(
        step.number, step.team, step.location, step.queue, step.priority, step.computation, step.assets,
        step.partition or "", step.upstream, step.state, step.ready_at,
    )  # fmt: skip


def changed_step(step: Step) -> StepRow:
    """A changed step's row."""
    return StepRow(
        step.run.id, step.number, step.recorded, step.state, step.attempt, step.attempt_id, step.failures, step.losses,
        step.deaths, step.not_before, step.ready_at, step.started_at, step.ended_at, step.error,
        step.waits and {cause: round(seconds, 6) for cause, seconds in step.waits.items()},
    )  # fmt: skip


def changed_run(run: Run) -> RunRow:
    """A changed run's row."""
    return RunRow(run.id, run.state, run.started_at, run.ended_at, run.cancel_requested, run.error, run.priority)


def new_attempt(attempt: Attempt) -> NewAttemptRow:
    """A dispatched attempt's row."""
    step = attempt.step
    return NewAttemptRow(
        attempt.id, step.run.id, step.number, attempt.number, attempt.dispatch_seq, attempt.state, step.team,
        step.location, step.queue, attempt.manifest_hash, attempt.dispatched_at, attempt.batch, _holds(step),
        attempt.inputs, attempt.after, attempt.judged.attempt_id if attempt.judged is not None else None,
    )  # fmt: skip


def _holds(step: Step) -> tuple[tuple[str, str, int], ...] | None:
    """What the step's attempt holds beyond its queue's and its team's limits."""
    holding: Holding | None = step.holding
    if holding is None or len(holding.needs) == 2:
        return None
    return tuple((*limit.id, slots) for limit, slots in holding.needs[2:])


def changed_attempt(attempt: Attempt) -> AttemptRow:
    """A changed attempt's row."""
    return AttemptRow(
        attempt.id, attempt.recorded, attempt.state, attempt.worker, attempt.token, attempt.started_at, attempt.ended_at,
        attempt.error, attempt.log,
    )  # fmt: skip


def output(found: Materialization) -> OutputRow:
    """A materialization's row."""
    return OutputRow(
        found.attempt_id, found.asset, found.partition, found.run_id, found.step_number, found.dispatch_seq, found.state,
        found.reference, found.data_version, found.code_version, found.metadata, found.columns,
    )  # fmt: skip


def check(record: CheckRecord) -> CheckRow:
    """A verdict's row."""
    verdict = record.verdict
    return CheckRow(
        verdict.attempt_id, verdict.asset, verdict.check, verdict.partition or "", record.run_id, record.step_number,
        verdict.passed, verdict.blocking, verdict.severity, verdict.description, verdict.metadata, verdict.error, record.judged,
    )  # fmt: skip


class EventRows(NamedTuple):
    """INSERT_EVENTS, by columns: a row for each stretch of one worker's events, with a JSON array of their envelopes."""

    teams: list[str]
    workers: list[str]
    first: list[int]
    last: list[int]
    bodies: list[bytes]


def events(accepted: Sequence[AcceptedEvent]) -> EventRows:
    """Events, in order for each worker, as rows of at most about MAX_EVENTS_BYTES."""
    found = EventRows([], [], [], [], [])
    places: dict[tuple[str, str], list[AcceptedEvent]] = {}
    for event in accepted:
        places.setdefault((event.team, event.worker), []).append(event)
    for (team, worker), theirs in places.items():
        start, size = 0, 0
        for index, event in enumerate(theirs):
            size += len(event.body)
            if index + 1 == len(theirs) or size >= MAX_EVENTS_BYTES:
                stretch = theirs[start : index + 1]
                found.teams.append(team)
                found.workers.append(worker)
                found.first.append(stretch[0].seq)
                found.last.append(stretch[-1].seq)
                found.bodies.append(b"[" + b",".join([each.body for each in stretch]) + b"]")
                start, size = index + 1, 0
    return found


def quarantined(item: Quarantined) -> QuarantineRow:
    """A quarantined item's row."""
    return QuarantineRow(item.team, item.entry_id, item.reason, item.body.hex())


def worker(seen: Worker) -> WorkerRow:
    """A worker's row."""
    return WorkerRow(
        seen.team, seen.id, seen.location, seen.manifest_hash, seen.queues, seen.slots, seen.busy, seen.state, seen.host,
        seen.pid, seen.first_seen, seen.last_seen,
    )  # fmt: skip


def command(applied: CommandOutcome) -> CommandRow:
    """A command's row."""
    return CommandRow(applied.id, applied.outcome)


class ScheduleRow(msgspec.Struct, frozen=True):
    """DELETE_SCHEDULES, TRIM_TICKS."""

    team: str
    location: str
    name: str


class MoveRow(msgspec.Struct, frozen=True):
    """MOVE_SCHEDULES."""

    team: str
    location: str
    name: str
    before: datetime
    last_tick: datetime


class TickRow(msgspec.Struct, frozen=True):
    """INSERT_TICKS."""

    team: str
    location: str
    name: str
    tick: datetime
    ticks: int
    outcome: str
    run_id: str | None
    reason: str
    error: Problem | None


def schedule(place: Place) -> ScheduleRow:
    """Which schedule."""
    return ScheduleRow(*place)


def schedule_move(move: ScheduleMove) -> MoveRow:
    """A schedule that went on."""
    return MoveRow(*move.place, move.before, move.last_tick)


def tick(record: TickRecord) -> TickRow:
    """What became of a tick."""
    return TickRow(*record.place, record.tick, record.ticks, record.outcome, record.run_id, record.reason, record.error)


class MemoryRow(msgspec.Struct, frozen=True):
    """UPSERT_MEMORIES; the body travels as base64."""

    asset: str
    body: bytes
