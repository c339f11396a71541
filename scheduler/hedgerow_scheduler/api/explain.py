"""The route that says why something is not running."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from sqlalchemy import Connection

from hedgerow import clock
from hedgerow.errors import RequestError
from hedgerow.partitions import algebra
from hedgerow_scheduler.admission.waiting import Cause, explain_asset, explain_step, explain_unplanned
from hedgerow_scheduler.api.assets import find_asset
from hedgerow_scheduler.api.bodies import Explanation
from hedgerow_scheduler.api.runs import find_step
from hedgerow_scheduler.api.services import Services, full_run_id
from hedgerow_scheduler.lifecycle.states import LIVE, RunState
from hedgerow_scheduler.metadata.read_assets import last_step
from hedgerow_scheduler.metadata.read_explain import read_asset_facts, read_step_facts
from hedgerow_scheduler.metadata.read_health import get_leader
from hedgerow_scheduler.metadata.read_runs import Step, get_run, list_steps

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
    facts = read_step_facts(connection, services.catalog(connection), step, services.limits.worker_silence_s)
    return Explanation(f"{step.run_id}/{step.number}", step.state, step.assets, step.partition, explain_step(facts))


def _of_run(services: Services, connection: Connection, run_id: str) -> Explanation:
    run = get_run(connection, run_id)
    assert run is not None  # its id was read in the same snapshot
    if run.state == RunState.REQUESTED:
        leader = get_leader(connection)
        causes = explain_unplanned(leader.stale_s if leader else None)
        return Explanation(run_id, run.state, (), "", causes)
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
    causes = explain_asset(read_asset_facts(connection, catalog, asset, partition))
    return Explanation(key, "idle", (key,), partition or "", causes)


ROUTES = [explain]
