"""The store of runs: requesting one, and reading live ones back with their steps and attempts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.postgresql import insert

from hedgerow.clock import uuid7
from hedgerow.errors import Problem, RequestError
from hedgerow.manifest.model import Column
from hedgerow.protocol.references import Reference
from hedgerow_scheduler.lifecycle.model import Attempt, Materialization, Run, Step
from hedgerow_scheduler.lifecycle.states import AttemptState, MaterializationState, RunState, StepState
from hedgerow_scheduler.limits.limit import LimitId
from hedgerow_scheduler.metadata import tables as t
from hedgerow_scheduler.metadata.database import WAKE_CHANNEL
from hedgerow_scheduler.planning.request import RunRequest

REQUESTED_AT_ONCE = 20
STEPS_AT_ONCE = 10_000


class RequestedRun(msgspec.Struct, frozen=True):
    """A run that waits to be planned."""

    run: Run
    request: RunRequest


def request_run(
    connection: Connection,
    request: RunRequest,
    tags: dict[str, str],
    author: str,
    idempotency_key: str | None = None,
) -> tuple[str, bool]:
    """Writes a run in state `requested` and wakes the scheduler when the transaction commits.

    Returns its id and whether it is new: the same idempotency key gives the same run again. RequestError HR-Q030 when the key
    was used for another request.
    """
    body = msgspec.json.decode(msgspec.json.encode(request))  # as the database gives it back: lists, not tuples
    values = {"id": uuid7(), "state": RunState.REQUESTED, "request": body, "tags": tags, "author": author}
    statement = insert(t.runs).values(**values, idempotency_key=idempotency_key)
    statement = statement.on_conflict_do_nothing(index_elements=["idempotency_key"])
    run_id = connection.execute(statement.returning(t.runs.c.id)).scalar_one_or_none()
    if run_id is not None:
        connection.execute(text(f"NOTIFY {WAKE_CHANNEL}, 'run'"))
        return str(run_id), True
    existing = connection.execute(
        select(t.runs.c.id, t.runs.c.request, t.runs.c.tags).where(t.runs.c.idempotency_key == idempotency_key)
    ).one()
    if existing.request != body or existing.tags != tags:
        raise RequestError.of(
            "HR-Q030",
            f"The idempotency key '{idempotency_key}' was used for another request (run {existing.id}).",
            "Use a new key for a new request, or repeat the first one exactly.",
        )
    return str(existing.id), False


def read_requested(connection: Connection, limit: int = REQUESTED_AT_ONCE) -> list[RequestedRun]:
    """The runs to plan, oldest first."""
    rows = connection.execute(
        select(t.runs).where(t.runs.c.state == RunState.REQUESTED).order_by(t.runs.c.created_at).limit(limit)
    )
    return [RequestedRun(run_of(row), msgspec.convert(row.request, RunRequest)) for row in rows]


def read_live(connection: Connection, stay: Callable[[], None] = lambda: None) -> list[Run]:
    """Every running run with its steps. `stay` is called in between."""
    rows = connection.execute(
        select(t.runs).where(t.runs.c.state == RunState.RUNNING).order_by(t.runs.c.created_at)
    ).all()
    return [read_steps(connection, run_of(row), stay) for row in rows]


def read_run(connection: Connection, run_id: str, stay: Callable[[], None] = lambda: None) -> Run | None:
    """One run with its steps, whatever its state; None when there is none. `stay` is called in between."""
    row = connection.execute(select(t.runs).where(t.runs.c.id == run_id)).one_or_none()
    return None if row is None else read_steps(connection, run_of(row), stay)


def read_steps(connection: Connection, run: Run, stay: Callable[[], None] = lambda: None) -> Run:
    """`run` with its steps, read so many at once that each part takes a moment; `stay` is called in between."""
    s = t.steps.c
    found = select(t.steps).where(s.run_id == run.id).order_by(s.number).limit(STEPS_AT_ONCE)
    run.steps = []
    while part := connection.execute(found.where(s.number >= len(run.steps))).all():
        run.steps += [step_of(run, row) for row in part]
        stay()
        if len(part) < STEPS_AT_ONCE:
            break
    return run


def read_attempts(connection: Connection, runs: dict[str, Run], start_timeout: timedelta) -> list[Attempt]:
    """The current attempts of live runs whose outcome may still come: those out, and those whose lease expired, with their outputs."""
    a = t.attempts.c
    rows = connection.execute(
        select(t.attempts).where(
            a.run_id.in_(list(runs)), a.state.in_([AttemptState.DISPATCHED, AttemptState.RUNNING, AttemptState.LOST])
        )
    )
    found: dict[str, Attempt] = {}
    for row in rows:
        run = runs.get(row.run_id)
        if run is None or run.steps[row.step_number].attempt_id != row.id:
            continue
        found[row.id] = attempt_of(run.steps[row.step_number], row, start_timeout)
    m = t.materializations.c
    for row in connection.execute(select(t.materializations).where(m.attempt_id.in_(list(found)))):
        found[row.attempt_id].outputs[row.asset] = output_of(row)
    c = t.check_results.c
    failed = select(c.attempt_id, c.asset).where(
        c.attempt_id.in_(list(found)), c.blocking, ~c.passed, c.severity == "error"
    )
    for row in connection.execute(failed):
        found[row.attempt_id].rejected.add(row.asset)
    return list(found.values())


def read_holds(connection: Connection, runs: Collection[str]) -> dict[str, tuple[tuple[LimitId, int], ...]]:
    """What live attempts of these runs hold beyond queue and team: by attempt, limits with slots."""
    a = t.attempts.c
    live = a.state.in_([AttemptState.DISPATCHED, AttemptState.RUNNING])
    rows = connection.execute(select(a.id, a.holds).where(a.run_id.in_(list(runs)), live, a.holds.is_not(None)))
    return {row.id: tuple(((kind, name), slots) for kind, name, slots in row.holds) for row in rows}


def read_last_ends(connection: Connection) -> dict[tuple[str, int], datetime]:
    """When the last attempt ended of each step that waits for a retry, by run and number."""
    s, a = t.steps.c, t.attempts.c
    found = select(s.run_id, s.number, a.ended_at).join(t.attempts, a.id == s.attempt_id)
    rows = connection.execute(found.where(s.state == StepState.RETRY_WAIT, a.ended_at.is_not(None)))
    return {(row.run_id, row.number): row.ended_at for row in rows}


def _problem(value: dict[str, Any] | None) -> Problem | None:
    return msgspec.convert(value, Problem) if value else None


def run_of(row: Any) -> Run:
    """A run as its row tells."""
    return Run(
        row.id,
        RunState(row.state),
        row.created_at,
        dict(row.request.get("config", {})),
        row.tags,
        row.author,
        cancel_requested=row.cancel_requested,
        started_at=row.started_at,
        ended_at=row.ended_at,
        error=_problem(row.error),
        priority=row.priority,
        cap=row.cap,
        backfill_id=row.backfill_id,
    )


def step_of(run: Run, row: Any) -> Step:
    """A step as its row tells."""
    state = StepState(row.state)
    return Step(
        run, row.number, row.team, row.location, row.queue, row.priority, row.computation, tuple(row.assets),
        row.partition or None, tuple(row.upstream), state, state, 0, row.attempt, row.attempt_id, row.failures, row.losses,
        row.deaths, row.not_before, row.ready_at, row.started_at, row.ended_at, _problem(row.error),
        waits=row.waits,
    )  # fmt: skip


def attempt_of(step: Step, row: Any, start_timeout: timedelta) -> Attempt:
    """An attempt as its row tells, without its outputs."""
    state = AttemptState(row.state)
    return Attempt(
        row.id, step, row.number, row.dispatch_seq, state, state, row.manifest_hash, row.dispatched_at,
        row.dispatched_at + start_timeout, row.worker, row.token, row.started_at, batch=row.batch,
    )  # fmt: skip


def output_of(row: Any) -> Materialization:
    """An attempt's output as its row tells."""
    reference = msgspec.convert(row.reference, Reference) if row.reference else None
    return Materialization(
        row.attempt_id, row.asset, row.partition, row.run_id, row.step_number, row.dispatch_seq,
        MaterializationState(row.state), reference, row.data_version, row.code_version, row.metadata,
        msgspec.convert(row.columns, tuple[Column, ...]), row.created_at,
    )  # fmt: skip
