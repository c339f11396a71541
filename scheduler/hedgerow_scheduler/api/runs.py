"""Routes of runs: launch, list, look at, cancel, retry, hurry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
from litestar import Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, PathParameter, QueryParameter
from sqlalchemy import Connection

from hedgerow import clock
from hedgerow.errors import Problem, RequestError
from hedgerow_scheduler.api.bodies import (
    Accepted,
    CancelRun,
    Launched,
    LaunchRun,
    LogPage,
    Plan,
    PlannedStepView,
    RetryRun,
    RunPage,
    SetPriority,
    StepPage,
)
from hedgerow_scheduler.api.services import Services, full_run_id
from hedgerow_scheduler.lifecycle.states import ENDED, RETRYABLE, RunState, StepState
from hedgerow_scheduler.metadata import audit, commands
from hedgerow_scheduler.metadata.read_runs import (
    ENDED_RUNS,
    RunDetail,
    StepDetail,
    get_run,
    get_step,
    list_attempts,
    list_runs,
    list_steps,
)
from hedgerow_scheduler.metadata.read_teams import list_locations
from hedgerow_scheduler.metadata.read_versions import read_statuses
from hedgerow_scheduler.metadata.runs import request_run
from hedgerow_scheduler.planning.planned import PlannedStep
from hedgerow_scheduler.planning.request import RunRequest
from hedgerow_scheduler.planning.staleness import keep_stale, pairs_of
from hedgerow_scheduler.planning.steps import plan_steps
from hedgerow_scheduler.planning.tuning import check_circumstances

MAX_TAGS = 50
MAX_TEXT = 255
MAX_PLAN_STEPS = 1000
MAX_RETRIED = 10_000
MAX_PRIORITY = 100

PageSize = Annotated[int, QueryParameter(ge=1, le=1000, description="How many at most.")]
Cursor = Annotated[str | None, QueryParameter(description="`next` of the page before.")]
RunId = Annotated[
    str, PathParameter(description="The run's id, or the beginning of it as long as no other run has the same.")
]


@post("/runs", tags=["runs"], sync_to_thread=True)
def launch_run(
    services: NamedDependency[Services],
    data: JSONBody[LaunchRun],
    idempotency_key: Annotated[
        str | None,
        HeaderParameter(
            name="Idempotency-Key",
            max_length=MAX_TEXT,
            description="The same key with the same body is the same run.",
        ),
    ] = None,
) -> Response[Launched]:
    """Ask for a run of a selection. It is checked at once and planned a moment later.

    201 with a new run, 200 when the idempotency key had been used for the same body, 409 when for another one.
    """
    _check_labels(data)
    request = data.request()
    with services.writing() as connection:
        run_id, created = request_run(connection, request, data.tags, data.author, idempotency_key)
        if created:
            _plan(services, connection, request)  # what it raises undoes the request
    return Response(Launched(run_id, created), status_code=201 if created else 200)


def _plan(services: Services, connection: Connection, request: RunRequest) -> tuple[PlannedStep, ...]:
    """The steps of a request, with the errors of `naming_broken_teams`."""
    with naming_broken_teams(connection):
        return plan_steps(services.catalog(connection), request, clock.now())


@contextmanager
def naming_broken_teams(connection: Connection) -> Iterator[None]:
    """When something that is asked for within the block is unknown, the error also names the teams whose code can't be loaded."""
    try:
        yield
    except RequestError as error:
        broken = sorted({place.team for place in list_locations(connection) if place.problems})
        if error.code != "HR-Q001" or not broken:
            raise
        hint = " ".join(
            f"Code of team '{team}' can't be loaded: see `hedgerow team show {team}`." for team in broken[:3]
        )
        raise RequestError(
            [msgspec.structs.replace(one, remedy=f"{one.remedy} {hint}") for one in error.problems]
        ) from error


def _check_labels(data: LaunchRun) -> None:
    long = [name for name, value in data.tags.items() if not name or len(name) > MAX_TEXT or len(value) > MAX_TEXT]
    if long or len(data.tags) > MAX_TAGS or len(data.author) > MAX_TEXT:
        what = f"Tag '{long[0][:40]}'" if long else "The author" if len(data.author) > MAX_TEXT else "The list of tags"
        raise RequestError.of(
            "HR-Q313",
            f"{what} is too long or empty.",
            f"At most {MAX_TAGS} tags; names and values have 1 to {MAX_TEXT} characters.",
        )


@post("/plan", tags=["runs"], status_code=200, sync_to_thread=True)
def plan_run(services: NamedDependency[Services], data: JSONBody[RunRequest]) -> Plan:
    """What a request would run, without running it. Of more than 1,000 steps the first are shown."""
    with services.reading() as connection:
        planned, left_out = _plan(services, connection, data), 0
        if data.only_stale:
            catalog, now = services.catalog(connection), clock.now()
            plan = keep_stale(planned, read_statuses(connection, catalog, pairs_of(planned), now))
            planned, left_out = plan.steps, plan.stale_by_upstream
    return Plan(
        total=len(planned),
        assets=tuple(dict.fromkeys(key for step in planned for key in step.assets)),
        steps=tuple(
            PlannedStepView(s.number, s.team, s.queue, s.computation, s.assets, s.partition or "", s.upstream)
            for s in planned[:MAX_PLAN_STEPS]
        ),
        stale_by_upstream=left_out,
    )


@get("/runs", tags=["runs"], sync_to_thread=True)
def show_runs(
    services: NamedDependency[Services],
    states: Annotated[
        list[RunState] | None, QueryParameter(name="state", description="Runs in one of these states.")
    ] = None,
    asset: Annotated[str | None, QueryParameter(description="Runs that make this asset.")] = None,
    tag: Annotated[
        list[str] | None, QueryParameter(description="Runs with this tag, as name=value; all of them if repeated.")
    ] = None,
    author: FromQuery[str | None] = None,
    limit: PageSize = 50,
    cursor: Cursor = None,
) -> RunPage:
    """Runs, newest first."""
    with services.reading() as connection:
        found, more = list_runs(
            connection,
            states=states or (),
            asset=asset,
            tags=[_pair(text) for text in tag or ()],
            author=author,
            before=full_run_id(connection, cursor) if cursor else None,
            limit=limit,
        )
    return RunPage(found, found[-1].id if more else None)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise RequestError.of("HR-Q310", f"The tag '{text}' has no value.", "Write tags as name=value.")
    return name, value


@get("/runs/{run_id:str}", tags=["runs"], sync_to_thread=True)
def show_run(services: NamedDependency[Services], run_id: RunId) -> RunDetail:
    """A run with its steps counted by state."""
    with services.reading() as connection:
        run = get_run(connection, full_run_id(connection, run_id))
    assert run is not None  # its id was read in the same snapshot
    return run


@get("/runs/{run_id:str}/steps", tags=["runs"], sync_to_thread=True)
def show_steps(
    services: NamedDependency[Services],
    run_id: RunId,
    states: Annotated[
        list[StepState] | None, QueryParameter(name="state", description="Steps in one of these states.")
    ] = None,
    asset: Annotated[str | None, QueryParameter(description="Steps that make this asset.")] = None,
    team: FromQuery[str | None] = None,
    partition: FromQuery[str | None] = None,
    limit: PageSize = 100,
    cursor: Annotated[int | None, QueryParameter(description="`next` of the page before.")] = None,
) -> StepPage:
    """The steps of a run by number."""
    with services.reading() as connection:
        found = list_steps(
            connection,
            full_run_id(connection, run_id),
            states=states or (),
            asset=asset,
            team=team,
            partition=partition,
            after=cursor,
            limit=limit + 1,
        )
    return StepPage(found[:limit], str(found[limit - 1].number) if len(found) > limit else None)


@get("/runs/{run_id:str}/steps/{number:int}", tags=["runs"], sync_to_thread=True)
def show_step(services: NamedDependency[Services], run_id: RunId, number: FromPath[int]) -> StepDetail:
    """A step with its attempts and what they recorded."""
    with services.reading() as connection:
        return find_step(connection, run_id, number)


def find_step(connection: Connection, run_id: str, number: int) -> StepDetail:
    """A step; RequestError HR-Q306 when the run has none of that number."""
    full = full_run_id(connection, run_id)
    step = get_step(connection, full, number) if 0 <= number < 1 << 31 else None
    if step is None:
        raise RequestError.of(
            "HR-Q306", f"Run {full} has no step {number}.", f"See `hedgerow run show {full}` for its steps."
        )
    return step


@get("/runs/{run_id:str}/logs", tags=["runs"], sync_to_thread=True)
def show_logs(
    services: NamedDependency[Services],
    run_id: RunId,
    step: Annotated[int | None, QueryParameter(ge=0, description="Only this step.")] = None,
    attempt: Annotated[int | None, QueryParameter(ge=1, description="Only this attempt of each step.")] = None,
    offset: Annotated[int, QueryParameter(ge=0, description="Begin at this byte of each log.")] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=100, description="How many attempts at most.")] = 20,
    cursor: Cursor = None,
) -> LogPage:
    """What attempts printed: from storage when they have ended, the live tail before. At most about 1 MiB in one answer."""
    with services.reading() as connection:
        full = full_run_id(connection, run_id)
        found = list_attempts(
            connection, full, number=step, attempt=attempt, after=_attempt_cursor(cursor), limit=limit + 1
        )
    items = []
    left = services.limits.log_bytes
    for one in found[:limit]:
        if left <= 0:
            break
        items.append(services.logs.read(one, offset, left))
        left -= len(items[-1].text)
    following = f"{items[-1].step}.{items[-1].attempt}" if items and len(found) > len(items) else None
    return LogPage(tuple(items), following)


def _attempt_cursor(cursor: str | None) -> tuple[int, int] | None:
    if cursor is None:
        return None
    step, _, attempt = cursor.partition(".")
    if not (step.isdecimal() and attempt.isdecimal() and len(cursor) < 20):
        raise RequestError.of("HR-Q310", f"The cursor '{cursor}' is not one.", "Use `next` of the page before.")
    return int(step), int(attempt)


@post("/runs/{run_id:str}/cancel", tags=["runs"], status_code=202, sync_to_thread=True)
def cancel_run(services: NamedDependency[Services], run_id: RunId, data: JSONBody[CancelRun | None] = None) -> Accepted:
    """Cancel a run: what has not started is cancelled at once, what runs within seconds."""
    author = data.author if data else ""
    with services.writing() as connection:
        run = get_run(connection, full_run_id(connection, run_id))
        assert run is not None  # its id was read a moment ago, and runs are never deleted
        if run.state in ENDED_RUNS:
            raise RequestError.of("HR-Q311", f"Run {run.id} has ended: {run.state}.", "There is nothing to cancel.")
        return Accepted(run.id, commands.write(connection, "cancel_run", {"run_id": run.id}, author))


@post("/runs/{run_id:str}/retry", tags=["runs"], status_code=202, sync_to_thread=True)
def retry_run(services: NamedDependency[Services], run_id: RunId, data: JSONBody[RetryRun | None] = None) -> Accepted:
    """Try steps of a run again that ended without success: those given, or all of them; each with what hangs on it."""
    wanted = data or RetryRun()
    numbers = tuple(dict.fromkeys(wanted.steps))
    if len(numbers) > MAX_RETRIED:
        raise RequestError.of(
            "HR-Q301",
            f"{len(numbers):,} steps are given; at most {MAX_RETRIED:,} can be.",
            "Give none to try every step again that can be.",
        )
    with services.writing() as connection:
        full = full_run_id(connection, run_id)
        body: dict[str, Any] = {"run_id": full}
        if numbers:
            found = {step.number: step for step in list_steps(connection, full, numbers=numbers, limit=len(numbers))}
            for number in numbers:
                if number not in found:
                    raise RequestError.of(
                        "HR-Q306", f"Run {full} has no step {number}.", f"See `hedgerow run show {full}`."
                    )
                state = found[number].state
                if state not in RETRYABLE:
                    ended = "has ended" if state in ENDED else "is live"
                    raise RequestError.of(
                        "HR-Q312",
                        f"Step {full}/{number} {ended}: {state}.",
                        "Only steps that ended without success can be tried again.",
                    )
            body["steps"] = list(numbers)
        elif not list_steps(connection, full, states=sorted(RETRYABLE), limit=1):
            raise RequestError.of(
                "HR-Q312",
                f"Run {full} has no step to try again.",
                "Only steps that ended without success can be tried again.",
            )
        return Accepted(full, commands.write(connection, "retry_run", body, wanted.author))


@put("/runs/{run_id:str}/priority", tags=["runs"], status_code=202, sync_to_thread=True)
def set_run_priority(services: NamedDependency[Services], run_id: RunId, data: JSONBody[SetPriority]) -> Accepted:
    """Give a run another urgency: it goes before other runs, also those of other teams where limits are shared."""
    with services.writing() as connection:
        run = get_run(connection, full_run_id(connection, run_id))
        assert run is not None  # its id was read a moment ago, and runs are never deleted
        problems = list(check_circumstances(data.author, data.reason, run.created_at, None))
        if not -MAX_PRIORITY <= data.priority <= MAX_PRIORITY:
            message = f"A run's priority can't be {data.priority}."
            problems.append(Problem("HR-Q335", message, f"Give a whole number from {-MAX_PRIORITY} to {MAX_PRIORITY}."))
        if run.state in ENDED_RUNS:
            problems.append(Problem("HR-Q311", f"Run {run.id} has ended: {run.state}.", "There is nothing to hurry."))
        if problems:
            raise RequestError(problems)
        before, after = {"priority": run.priority}, {"priority": data.priority}
        audit.write(connection, data.author, "set priority", f"run {run.id}", before, after, data.reason)
        body = {"run_id": run.id, "priority": data.priority}
        return Accepted(run.id, commands.write(connection, "set_run_priority", body, data.author))


ROUTES = [
    launch_run,
    plan_run,
    show_runs,
    show_run,
    show_steps,
    show_step,
    show_logs,
    cancel_run,
    retry_run,
    set_run_priority,
]
