"""The facts from which admission.waiting explains why a step is not running."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ARRAY, ColumnElement, Connection, Text, cast, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import distinct_on

from hedgerow_scheduler.admission.waiting_facts import (
    AssetFacts,
    BlockedInput,
    Holder,
    LocationFact,
    QueueFact,
    StepFacts,
    UpstreamStep,
    WorkerFact,
)
from hedgerow_scheduler.metadata.read_assets import count_current, has_current, last_step
from hedgerow_scheduler.metadata.read_health import get_leader
from hedgerow_scheduler.metadata.read_rows import all_rows
from hedgerow_scheduler.metadata.read_runs import Step, get_run
from hedgerow_scheduler.metadata.read_teams import list_locations, list_workers
from hedgerow_scheduler.metadata.tables import (
    check_results,
    current_materializations,
    materializations,
    steps,
)
from hedgerow_scheduler.planning.catalog import Catalog, CatalogAsset
from hedgerow_scheduler.planning.inputs import wanted_inputs

MAX_HOLDERS = 50
MAX_INPUTS = 1000
_LIVE = text("steps.state in ('waiting','ready','dispatched','running','retry_wait')")  # as ix_steps_live says it
_OUT = steps.c.state.in_(["dispatched", "running"])
_holder = select(
    steps.c.run_id, steps.c.number, steps.c.assets, steps.c.partition, steps.c.state, steps.c.started_at
).where(_LIVE, _OUT)


def read_step_facts(connection: Connection, catalog: Catalog, step: Step, within_s: float) -> StepFacts:
    """All that `admission.waiting.explain_step` wants to know of a step. Workers silent for over `within_s` count as gone."""
    run = get_run(connection, step.run_id)
    assert run is not None  # steps refer to their run
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    leader = get_leader(connection)
    queue = (steps.c.team == step.team, steps.c.location == step.location, steps.c.queue == step.queue)
    in_queue = _holder.where(*queue)
    holding = in_queue.order_by(steps.c.started_at.nulls_last(), steps.c.run_id, steps.c.number)
    in_use = connection.execute(select(func.count()).select_from(steps).where(_LIVE, _OUT, *queue)).scalar_one()
    same_output = _holder.where(
        steps.c.team == step.team,
        steps.c.partition == step.partition,
        steps.c.assets.op("&&")(cast(list(step.assets), ARRAY(Text))),
        (steps.c.run_id != step.run_id) | (steps.c.number != step.number),
    )
    ahead = _ready_before(connection, step, queue) if step.state == "ready" and step.ready_at is not None else 0
    limits = catalog.queue(step.team, step.location, step.queue)
    return StepFacts(
        now=now,
        run_id=step.run_id,
        number=step.number,
        state=step.state,
        team=step.team,
        location=step.location,
        queue=step.queue,
        assets=step.assets,
        partition=step.partition,
        attempt=step.attempt,
        not_before=step.not_before,
        started_at=step.started_at,
        error=step.error,
        cancel_requested=run.cancel_requested,
        leader_stale_s=None if leader is None else leader.stale_s,
        upstream=_upstream(connection, step),
        queue_fact=QueueFact(
            limits.concurrency, in_use, ahead, all_rows(connection, holding.limit(MAX_HOLDERS), Holder)
        ),
        same_output=all_rows(connection, same_output.limit(MAX_HOLDERS), Holder),
        workers=tuple(
            WorkerFact(w.id, w.location, w.state, w.slots, w.busy, w.manifest_hash, w.queues, w.silent_s, w.accepted)
            for w in list_workers(connection, within_s, step.team)
        ),
        locations=tuple(
            LocationFact(place.location, place.manifest_hash, place.problems or ())
            for place in list_locations(connection, step.team)
        ),
        declared=step.computation in catalog.computations,
        unresolved=_unresolved(catalog, step),
        blocked=_blocked(connection, catalog, step, now),
    )


def _ready_before(connection: Connection, step: Step, queue: Sequence[ColumnElement[bool]]) -> int:
    """How many ready steps of the queue come before this one."""
    earlier = (steps.c.priority == step.priority) & (steps.c.ready_at < step.ready_at)
    found = select(func.count()).select_from(steps).where(_LIVE, steps.c.state == "ready", *queue)
    return int(connection.execute(found.where((steps.c.priority > step.priority) | earlier)).scalar_one())


def _upstream(connection: Connection, step: Step) -> tuple[UpstreamStep, ...]:
    if not step.upstream:
        return ()
    found = select(steps.c.number, steps.c.computation, steps.c.partition, steps.c.state).where(
        steps.c.run_id == step.run_id, steps.c.number.in_(step.upstream)
    )
    return all_rows(connection, found.order_by(steps.c.number), UpstreamStep)


def _unresolved(catalog: Catalog, step: Step) -> tuple[str, ...]:
    computation = catalog.computations.get(step.computation)
    return () if computation is None else catalog.unresolved(computation)


def _blocked(connection: Connection, catalog: Catalog, step: Step, now: datetime) -> tuple[BlockedInput, ...]:
    """What the step reads that has no accepted output, because a blocking check rejected the last one."""
    computation = catalog.computations.get(step.computation)
    if computation is None:
        return ()
    wanted = wanted_inputs(catalog, computation, step.partition or None, now)
    pairs = [(want.asset, partition) for want in wanted for partition in want.partitions][:MAX_INPUTS]
    last = (
        select(materializations.c.asset, materializations.c.attempt_id, materializations.c.state)
        .ext(distinct_on(materializations.c.asset, materializations.c.partition))
        .where(tuple_(materializations.c.asset, materializations.c.partition).in_(pairs))
        .order_by(materializations.c.asset, materializations.c.partition, materializations.c.dispatch_seq.desc())
        .subquery()
    )
    accepted = select(current_materializations.c.asset).where(
        current_materializations.c.asset == check_results.c.asset,
        current_materializations.c.partition == check_results.c.partition,
    )
    found = (
        select(check_results.c.asset, check_results.c.check_name, check_results.c.partition, check_results.c.run_id)
        .join(last, (last.c.asset == check_results.c.asset) & (last.c.attempt_id == check_results.c.attempt_id))
        .where(last.c.state == "rejected", check_results.c.blocking, ~check_results.c.passed, ~accepted.exists())
        .order_by(check_results.c.asset, check_results.c.check_name)
    )
    return all_rows(connection, found.limit(MAX_HOLDERS), BlockedInput)


def read_asset_facts(
    connection: Connection, catalog: Catalog, asset: CatalogAsset, partition: str | None
) -> AssetFacts:
    """All that `admission.waiting.explain_asset` wants to know of an asset, or of one partition of it."""
    key = asset.key
    last = last_step(connection, asset.computation.name, key, partition) if asset.computation else None
    if partition is None:
        count = count_current(connection, [key]).get(key)
        current = count.partitions if count else 0
    else:
        current = int(has_current(connection, key, partition))
    declared = [upstream for upstream in catalog.upstream(key) if upstream in catalog.assets]
    stored = [upstream for upstream in declared if catalog.assets[upstream].computation is not None]
    return AssetFacts(
        asset=key,
        partition=partition,
        team=asset.team,
        external=asset.computation is None,
        partitioned=asset.definition.partitions is not None,
        current=current,
        last_run_id=last.run_id if last else None,
        last_number=last.number if last else None,
        last_state=last.state if last else None,
        last_error=last.error if last else None,
        upstream_missing=tuple(upstream for upstream in stored if not has_current(connection, upstream, None)),
        unresolved=catalog.unresolved(asset.computation) if asset.computation else (),
    )
