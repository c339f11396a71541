"""Runs, steps and attempts as people look at them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, any_, func, literal, select

from hedgerow.errors import Problem
from hedgerow_scheduler.lifecycle.states import RunState
from hedgerow_scheduler.metadata.read_rows import all_rows, id_bounds, one_row, page_rows
from hedgerow_scheduler.metadata.tables import attempts, check_results, commands, materializations, runs, steps
from hedgerow_scheduler.planning.unchanged import UNCHANGED

MAX_MATCHES = 5
ENDED_RUNS = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run. `steps` is how many it has, 0 before it is planned; `request` is what was asked for. `priority` is its urgency to
    operators, `cap` how many of its steps may be out at once.
    """

    id: str
    state: str
    request: dict[str, Any]
    tags: dict[str, str]
    author: str
    steps: int
    error: Problem | None
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    priority: int = 0
    cap: int | None = None


class Progress(msgspec.Struct, frozen=True):
    """How many steps of one computation stand in which state; from the first start to the last end."""

    team: str
    computation: str
    assets: tuple[str, ...]
    states: dict[str, int]
    started_at: datetime | None
    ended_at: datetime | None


class Verdicts(msgspec.Struct, frozen=True):
    """How many checks passed and how many did not."""

    passed: int
    failed: int


class RunDetail(Run, frozen=True, kw_only=True):
    """A run with its steps counted: over all of it by state, and for each computation in the order of its first step.

    `materializations` counts what was recorded, whatever became of it; `unchanged` the steps that succeeded without running, as what they
    would make is unchanged; `pending` the commands for it that wait for the scheduler.
    """

    counts: dict[str, int]
    progress: tuple[Progress, ...]
    materializations: int
    unchanged: int
    checks: Verdicts
    pending: int


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step. `upstream` are numbers of steps of the same run; `attempt` counts all attempts, `failures` the user's only."""

    run_id: str
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
    attempt: int
    failures: int
    losses: int
    deaths: int
    not_before: datetime | None
    ready_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    error: Problem | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a step; `number` counts from 1 within the step. `log` is the URL of what it printed, or says what was dropped."""

    id: str
    step_number: int
    number: int
    state: str
    team: str
    queue: str
    manifest_hash: str
    worker: str
    dispatched_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    error: Problem | None
    log: str


class Materialization(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded output. `state` is candidate, current, superseded, rejected or discarded."""

    attempt_id: str
    asset: str
    partition: str
    run_id: str
    step_number: int
    dispatch_seq: int
    state: str
    reference: dict[str, Any] | None
    data_version: str
    code_version: str
    metadata: dict[str, Any]
    columns: list[dict[str, Any]]
    created_at: datetime


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict of one check on one output."""

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
    created_at: datetime


class StepDetail(Step, frozen=True, kw_only=True):
    """A step with its attempts, oldest first, and what they recorded."""

    attempts: tuple[Attempt, ...]
    materializations: tuple[Materialization, ...]
    checks: tuple[CheckResult, ...]


def list_runs(
    connection: Connection,
    *,
    states: Sequence[str] = (),
    asset: str | None = None,
    tags: Sequence[tuple[str, str]] = (),
    author: str | None = None,
    before: str | None = None,
    limit: int,
) -> tuple[tuple[Run, ...], bool]:
    """A page of the runs that fit every filter, newest first, those before the run with id `before`; and whether there are more."""
    where: list[ColumnElement[bool]] = []
    if states:
        where.append(runs.c.state.in_(states))
    if asset is not None:
        where.append(
            select(literal(1)).where(steps.c.run_id == runs.c.id, literal(asset) == any_(steps.c.assets)).exists()
        )
    where.extend(runs.c.tags.contains({name: value}) for name, value in tags)
    if author is not None:
        where.append(runs.c.author == author)
    if before is not None:
        where.append(runs.c.id < before)
    return page_rows(connection, select(runs).where(*where).order_by(runs.c.id.desc()), Run, limit)


def read_caps(connection: Connection) -> dict[str, int]:
    """How many steps of each live run may be out at once, of those that have a cap."""
    live = select(runs.c.id, runs.c.cap).where(runs.c.state.in_(["requested", "running"]), runs.c.cap.is_not(None))
    return {row.id: row.cap for row in connection.execute(live)}


def match_run(connection: Connection, prefix: str) -> tuple[str, ...]:
    """The ids of up to five runs that begin with `prefix`, newest first."""
    bounds = id_bounds(prefix)
    if bounds is None:
        return ()
    found = select(runs.c.id).where(runs.c.id.between(*bounds)).order_by(runs.c.id.desc()).limit(MAX_MATCHES)
    return tuple(connection.execute(found).scalars())


def get_run(connection: Connection, run_id: str) -> RunDetail | None:
    """The run with this full id."""
    run = one_row(connection, select(runs).where(runs.c.id == run_id), Run)
    if run is None:
        return None
    counted = connection.execute(
        select(
            steps.c.team,
            steps.c.computation,
            steps.c.state,
            func.count().label("steps"),
            func.min(steps.c.number).label("first"),
            func.min(steps.c.assets).label("assets"),
            func.min(steps.c.started_at).label("started_at"),
            func.max(steps.c.ended_at).label("ended_at"),
            func.count().filter(steps.c.error["code"].astext == UNCHANGED).label("unchanged"),
        )
        .where(steps.c.run_id == run_id)
        .group_by(steps.c.team, steps.c.computation, steps.c.state)
        .order_by(func.min(steps.c.number))
    ).all()
    counts: dict[str, int] = {}
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in counted:
        counts[row.state] = counts.get(row.state, 0) + row.steps
        groups.setdefault((row.team, row.computation), []).append(row)
    outputs = select(func.count()).select_from(materializations).where(materializations.c.run_id == run_id)
    passed = func.count().filter(check_results.c.passed)
    verdicts = select(passed, func.count() - passed).where(check_results.c.run_id == run_id)
    pending = (
        select(func.count())
        .select_from(commands)
        .where(commands.c.applied_at.is_(None), commands.c.body["run_id"].astext == run_id)
    )
    return RunDetail(
        **msgspec.structs.asdict(run),
        counts=counts,
        progress=tuple(_progress(*group, rows) for group, rows in groups.items()),
        materializations=connection.execute(outputs).scalar_one(),
        unchanged=sum(row.unchanged for row in counted),
        checks=Verdicts(*connection.execute(verdicts).one()),
        pending=connection.execute(pending).scalar_one(),
    )


def _progress(team: str, computation: str, rows: Sequence[Any]) -> Progress:
    started = [row.started_at for row in rows if row.started_at is not None]
    ended = [row.ended_at for row in rows if row.ended_at is not None]
    return Progress(
        team,
        computation,
        tuple(rows[0].assets),
        {row.state: row.steps for row in rows},
        min(started, default=None),
        max(ended, default=None),
    )


def list_steps(
    connection: Connection,
    run_id: str,
    *,
    states: Sequence[str] = (),
    asset: str | None = None,
    team: str | None = None,
    partition: str | None = None,
    numbers: Sequence[int] | None = None,
    after: int | None = None,
    limit: int,
) -> tuple[Step, ...]:
    """Steps of a run that fit every filter, by number; those after number `after`, at most `limit`."""
    found = select(steps).where(steps.c.run_id == run_id)
    if states:
        found = found.where(steps.c.state.in_(states))
    if asset is not None:
        found = found.where(literal(asset) == any_(steps.c.assets))
    if team is not None:
        found = found.where(steps.c.team == team)
    if partition is not None:
        found = found.where(steps.c.partition == partition)
    if numbers is not None:
        found = found.where(steps.c.number.in_(numbers))
    if after is not None:
        found = found.where(steps.c.number > after)
    return all_rows(connection, found.order_by(steps.c.number).limit(limit), Step)


def _of_step(table_select: Select[Any], run_id: str, number: int) -> Select[Any]:
    columns = table_select.selected_columns
    return table_select.where(columns.run_id == run_id, columns.step_number == number)


def get_step(connection: Connection, run_id: str, number: int) -> StepDetail | None:
    """One step of a run."""
    step = one_row(connection, select(steps).where(steps.c.run_id == run_id, steps.c.number == number), Step)
    if step is None:
        return None
    tries = _of_step(select(attempts), run_id, number).order_by(attempts.c.number)
    outputs = _of_step(select(materializations), run_id, number)
    verdicts = _of_step(select(check_results), run_id, number)
    return StepDetail(
        **msgspec.structs.asdict(step),
        attempts=all_rows(connection, tries, Attempt),
        materializations=all_rows(
            connection, outputs.order_by(materializations.c.dispatch_seq, materializations.c.asset), Materialization
        ),
        checks=all_rows(connection, verdicts.order_by(check_results.c.created_at), CheckResult),
    )


def list_attempts(
    connection: Connection,
    run_id: str,
    *,
    number: int | None = None,
    attempt: int | None = None,
    after: tuple[int, int] | None = None,
    limit: int,
) -> tuple[Attempt, ...]:
    """Attempts of a run, or of its step `number`, by step and attempt; those after the pair `after`, at most `limit`."""
    found = select(attempts).where(attempts.c.run_id == run_id)
    if number is not None:
        found = found.where(attempts.c.step_number == number)
    if attempt is not None:
        found = found.where(attempts.c.number == attempt)
    if after is not None:
        found = found.where(func.row(attempts.c.step_number, attempts.c.number) > func.row(*after))
    return all_rows(connection, found.order_by(attempts.c.step_number, attempts.c.number).limit(limit), Attempt)
