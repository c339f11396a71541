"""The route that says why something is not running."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from sqlalchemy import Connection, func, select

from hedgerow import clock
from hedgerow.errors import RequestError
from hedgerow.partitions import algebra
from hedgerow_scheduler.admission.causes import Cause
from hedgerow_scheduler.admission.estimates import estimate
from hedgerow_scheduler.admission.wait_times import present_cause, shares, waits_of
from hedgerow_scheduler.admission.waiting import explain_asset, explain_step, explain_unplanned, no_scheduler
from hedgerow_scheduler.api.assets import find_asset
from hedgerow_scheduler.api.bodies import Explanation, Position, RunWaits
from hedgerow_scheduler.api.runs import RunId, find_step
from hedgerow_scheduler.api.services import Services, full_run_id
from hedgerow_scheduler.lifecycle.states import LIVE, RunState, StepState
from hedgerow_scheduler.metadata.read_assets import last_step
from hedgerow_scheduler.metadata.read_explain import read_asset_facts, read_step_facts
from hedgerow_scheduler.metadata.read_health import get_leader
from hedgerow_scheduler.metadata.read_runs import Step, get_run, list_steps
from hedgerow_scheduler.metadata.read_waits import read_run_times, read_wait_facts
from hedgerow_scheduler.planning.rules import queue_limit_name
from hedgerow_scheduler.planning.snapshot import WAITS

MAX_LOOKED_AT = 10  # computations of a run; what is left waits for what the largest waits for
UNENDED = ("ready", "retry_wait", "dispatched", "running", "waiting")


@get("/explain", tags=["explain"], sync_to_thread=True)
def explain(
    services: NamedDependency[Services],
    step: Annotated[str | None, QueryParameter(description="A step as RUN/NUMBER, or a run's id.")] = None,
    asset: Annotated[str | None, QueryParameter(description="An asset's key.")] = None,
    partition: Annotated[str | None, QueryParameter(description="With `asset`: only this partition.")] = None,
) -> Explanation:
    """Why a step is not running; of a run, its first step that has not ended; of an asset, the live step that makes it, or its last."""
    if (step is None) == (asset is None):
        raise RequestError.of(
            "HR-Q317", "Either a step or an asset can be explained.", "Give `step` or `asset`, not both."
        )
    with services.reading() as connection:
        if asset is not None:
            return _of_asset(services, connection, asset, partition)
        run_id, slash, number = (step or "").partition("/")
        if slash and not number.isdecimal():
            raise RequestError.of("HR-Q317", f"'{step}' names no step.", "Write RUN/NUMBER, such as 0190aa11/3.")
        if slash:
            return _of_step(services, connection, find_step(connection, run_id, int(number)))
        return _of_run(services, connection, full_run_id(connection, run_id))


def _of_step(services: Services, connection: Connection, step: Step) -> Explanation:
    facts = read_step_facts(connection, services.rules(connection), step, services.limits.worker_silence_s)
    causes = explain_step(facts)
    waits = waits_of(read_wait_facts(connection, step.run_id, step.number), present_cause(causes))
    expected = estimate(causes, facts.now)
    ready = step.state == StepState.READY
    return Explanation(
        f"{step.run_id}/{step.number}",
        step.state,
        step.assets,
        step.partition,
        causes,
        Position(queue_limit_name(step.team, step.location, step.queue), facts.ahead, facts.ready) if ready else None,
        expected.at,
        expected.text,
        sum(wait.seconds for wait in waits),
        waits,
    )


def _of_run(services: Services, connection: Connection, run_id: str) -> Explanation:
    run = get_run(connection, run_id)
    assert run is not None  # its id was read in the same snapshot
    if run.state == RunState.REQUESTED:
        leader = get_leader(connection)
        causes = explain_unplanned(leader.stale_s if leader else None)
        now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        waits = shares({present_cause(causes): max(0.0, (now - run.created_at).total_seconds())})
        told = estimate(causes, now)
        return Explanation(run_id, run.state, (), "", causes, None, told.at, told.text, waits[0].seconds, waits)
    for state in UNENDED:  # what waits for other steps of the run is the least telling
        found = list_steps(connection, run_id, states=[state], limit=1)
        if found:
            return _of_step(services, connection, found[0])
    error = f": {run.error.code} {run.error.message}" if run.error else ""
    return Explanation(run_id, run.state, (), "", (Cause("ended", f"The run has ended: {run.state}{error}."),))


def _of_asset(services: Services, connection: Connection, key: str, partition: str | None) -> Explanation:
    catalog = services.catalog(connection)
    asset = find_asset(catalog, key)
    if partition is not None:
        algebra.check_key(asset.definition.partitions, partition, clock.now())
    if asset.computation is not None:
        last = last_step(connection, asset.computation.name, key, partition)
        if last is not None and last.state in LIVE:
            return _of_step(services, connection, last)
    leader = get_leader(connection)
    causes = (
        *no_scheduler(leader.stale_s if leader else None),
        *explain_asset(read_asset_facts(connection, catalog, asset, partition)),
    )
    return Explanation(key, "idle", (key,), partition or "", causes)


@get("/runs/{run_id:str}/waits", tags=["explain"], sync_to_thread=True)
def show_waits(services: NamedDependency[Services], run_id: RunId) -> RunWaits:
    """Where the time of a run's steps went: seconds by cause, summed over its steps, with what waits now."""
    with services.reading() as connection:
        full = full_run_id(connection, run_id)
        run = get_run(connection, full)
        assert run is not None  # its id was read in the same snapshot
        times = read_run_times(connection, full)
        seconds = dict(times.recorded)
        looked_at: list[str] = []
        for group in times.standing:
            if group.state != StepState.READY:
                cause = _OF_STATE[group.state]
            elif len(looked_at) < MAX_LOOKED_AT:
                cause = _present(services, connection, full, group.number)
                looked_at.append(cause)
            else:
                cause = looked_at[0]
            seconds[cause] = seconds.get(cause, 0.0) + group.seconds
        waits = shares({cause: spent for cause, spent in seconds.items() if spent > 0})
        return RunWaits(full, run.state, run.steps, sum(wait.seconds for wait in waits), times.ran_s, waits)


def _present(services: Services, connection: Connection, run_id: str, number: int) -> str:
    """What a ready step waits for now, and the others of its computation with it."""
    (step,) = list_steps(connection, run_id, numbers=[number], limit=1)
    facts = read_step_facts(connection, services.rules(connection), step, services.limits.worker_silence_s)
    return present_cause(explain_step(facts))


_OF_STATE = {state.value: cause.value for state, cause in WAITS.items()}

ROUTES = [explain, show_waits]
