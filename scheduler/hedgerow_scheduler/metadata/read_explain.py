"""The facts from which admission.waiting explains why a step is not running."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Connection, Row, Text, cast, func, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on

from hedgerow.errors import RequestError
from hedgerow.manifest import model as manifest_model
from hedgerow.manifest.model import Computation
from hedgerow_scheduler.admission.positions import Crowd, ahead_of
from hedgerow_scheduler.admission.waiting_facts import (
    AssetFacts,
    BlockedInput,
    Holder,
    LimitFact,
    LocationFact,
    Pace,
    SlotsFact,
    StepFacts,
    UpstreamStep,
    WorkerFact,
)
from hedgerow_scheduler.lifecycle import model
from hedgerow_scheduler.lifecycle.states import RunState, StepState
from hedgerow_scheduler.limits.limit import LimitId
from hedgerow_scheduler.metadata.inputs import read_stored
from hedgerow_scheduler.metadata.read_assets import count_current, has_current, last_step, list_materializations
from hedgerow_scheduler.metadata.read_health import get_leader
from hedgerow_scheduler.metadata.read_holders import (
    Out,
    count_before,
    held_by,
    of_computations,
    read_crowds,
    read_out,
    read_pace,
    read_tokens,
)
from hedgerow_scheduler.metadata.read_rows import all_rows
from hedgerow_scheduler.metadata.read_runs import Step
from hedgerow_scheduler.metadata.read_teams import list_locations, list_workers
from hedgerow_scheduler.metadata.tables import (
    attempts,
    check_results,
    manifests,
    materializations,
    runs,
    steps,
)
from hedgerow_scheduler.planning.catalog import Catalog, CatalogAsset
from hedgerow_scheduler.planning.inputs import choose_inputs, wanted_inputs
from hedgerow_scheduler.planning.rules import NOBODYS, Rules, Wants, queue_limit_name, spec_name

MAX_HOLDERS = 50
MAX_INPUTS = 1000
MAX_BLOCKED = 50


def read_step_facts(connection: Connection, rules: Rules, step: Step, within_s: float) -> StepFacts:
    """All that `admission.waiting.explain_step` wants to know of a step. Workers silent for over `within_s` count as gone."""
    return _Reading(connection, rules, step).facts(within_s)


class _Reading:
    """What is read of one step, at one moment."""

    def __init__(self, connection: Connection, rules: Rules, step: Step) -> None:
        self.connection, self.step, self.catalog = connection, step, rules.catalog
        self.now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        self.run = connection.execute(select(runs).where(runs.c.id == step.run_id)).one()
        self.rules = rules.with_runs({} if self.run.cap is None else {step.run_id: self.run.cap})
        published = self.catalog.published.get((step.team, step.location))
        self.computation = published.computations.get(step.computation) if published else None
        self.queue = (step.team, step.location, step.queue)

    def facts(self, within_s: float) -> StepFacts:
        """Everything."""
        step, connection = self.step, self.connection
        leader = get_leader(connection)
        needs = self._needs()
        live = step.state in ("ready", "dispatched")
        out = read_out(connection, step.team, step.run_id, [need[0] for need in needs]) if live else ()
        shared = [need[0] for need in needs if need[0][0] == "pool"]
        pace: dict[LimitId | None, Pace] = {None: Pace()}
        if live:
            pace = read_pace(connection, self.queue, step.computation, shared)
        crowds = self._crowds() if step.state == "ready" else ()
        ahead = self._ahead(crowds) if step.state == "ready" else 0
        workers = tuple(
            WorkerFact(w.id, w.location, w.state, w.slots, w.busy, w.manifest_hash, w.queues, w.silent_s, w.accepted)
            for w in list_workers(connection, within_s, step.team)
        )
        return StepFacts(
            now=self.now,
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
            cancel_requested=self.run.cancel_requested,
            leader_stale_s=None if leader is None else leader.stale_s,
            upstream=_upstream(connection, step),
            limits=tuple(self._limit(need, out, pace, ahead) for need in needs) if live else (),
            ahead=ahead,
            ready=sum(crowd.steps for crowd in crowds),
            pace=pace[None],
            slots=self._slots(out),
            same_output=self._same_output(),
            workers=workers,
            locations=tuple(
                LocationFact(place.location, place.manifest_hash, place.problems or ())
                for place in list_locations(connection, step.team)
            ),
            declared=self.computation is not None,
            code_served=self._is_served(workers),
            unresolved=() if self.computation is None else self.catalog.unresolved(self.computation),
            blocked=()
            if self.computation is None or step.state != "ready"
            else _blocked(connection, self.catalog, self.computation, step.partition, self.now),
        )

    # -- limits ------------------------------------------------------------------------------------------------------

    def _needs(self) -> tuple[Wants, ...]:
        """The limits of the step, in the order in which admission looks at them."""
        step, run = self.step, self.run
        of_run = model.Run(
            step.run_id, RunState(run.state), run.created_at, dict(run.request.get("config", {})), run.tags
        )
        as_admitted = model.Step(
            of_run, step.number, step.team, step.location, step.queue, step.priority, step.computation, step.assets,
            step.partition or None, step.upstream, StepState(step.state), StepState(step.state),
        )  # fmt: skip
        queue: Wants = (("queue", queue_limit_name(*self.queue)), 1, step.queue)
        team: Wants = (("team", step.team), 1, step.location)
        return (queue, team, *self.rules.wants(as_admitted, self.computation))

    def _limit(
        self, need: Wants, out: tuple[Out, ...], pace: dict[LimitId | None, Pace], ahead_in_queue: int
    ) -> LimitFact:
        id, slots, sharer = need
        values = self.rules.values(id, self.now)
        in_use, holders = held_by(out, lambda one: self._slots_of(one, id))
        tokens, next_token_s = (
            (None, None) if values.rate is None else read_tokens(self.connection, id, values, self.now)
        )
        ready = self.step.state == "ready"
        ahead = {"queue": ahead_in_queue, "team": ahead_in_queue}.get(id[0], 0)
        if ready and id[0] == "pool":
            ahead = self._ahead_in_pool(id, sharer)
        elif ready and id[0] == "run":
            ahead = count_before(self.connection, self.step.run_id, self.step.number, self.step.priority)
        return LimitFact(
            kind=id[0],
            name=id[1],
            values=values,
            declared=self.rules.declared(id),
            slots=slots,
            in_use=in_use,
            holders=holders,
            overrides=tuple(
                override
                for override in self.rules.overrides
                if (override.kind, override.name) == (id[0], spec_name(id))
                and (override.expires_at is None or self.now < override.expires_at)
            ),
            tokens=tokens,
            next_token_s=next_token_s,
            ahead=ahead,
            pace=pace.get(id if id[0] == "pool" else None, Pace()) if id[0] in ("queue", "pool") else Pace(None, pace[None].mean_s),
            known=self.rules.declared(id) is not NOBODYS,
        )  # fmt: skip

    def _slots_of(self, out: Out, id: LimitId) -> int:
        if id[0] == "queue":
            return int((out.team, out.location, out.queue) == self.queue)
        if id[0] == "team":
            return int(out.team == id[1])
        return out.slots_of(id)

    # -- who comes first ---------------------------------------------------------------------------------------------

    def _mine(self, sharer: str = "", weight: float = 1.0) -> Crowd:
        step, run = self.step, self.run
        return Crowd(step.run_id, run.created_at, run.priority, run.priority + step.priority, 0, sharer, weight)

    def _in_queue(self) -> tuple[ColumnElement[bool], ...]:
        return (steps.c.team == self.queue[0], steps.c.location == self.queue[1], steps.c.queue == self.queue[2])

    def _crowds(self) -> tuple[Crowd, ...]:
        return read_crowds(self.connection, *self._in_queue())

    def _ahead(self, crowds: tuple[Crowd, ...]) -> int:
        step = self.step
        place = count_before(self.connection, step.run_id, step.number, step.priority, *self._in_queue())
        return ahead_of(self._mine(), place, crowds)

    def _ahead_in_pool(self, id: LimitId, sharer: str) -> int:
        """How many ready steps that need a pool come first. Teams share one of the platform, locations one of their team."""
        between_teams = "/" not in id[1]
        users = [
            (team, location, computation.name)
            for (team, location), published in self.catalog.published.items()
            for computation in published.manifest.computations
            if any(want[0] == id for want in self.rules.shape(team, location, computation).pools)
        ]

        def weight(of: str) -> float:
            return self.rules.values(("team", of), self.now).weight if between_teams else 1.0

        def charged(row: Row[Any]) -> str:
            return str(row.team if between_teams else row.location)

        step, needing = self.step, of_computations(users)
        place = count_before(self.connection, step.run_id, step.number, step.priority, needing)
        crowds = read_crowds(self.connection, needing, sharer=charged, weight=weight)
        return ahead_of(self._mine(sharer, weight(sharer)), place, crowds)

    # -- workers, code, outputs --------------------------------------------------------------------------------------

    def _slots(self, out: tuple[Out, ...]) -> SlotsFact:
        here = [one for one in out if (one.team, one.location) == self.queue[:2]]
        mine = [one for one in here if one.queue == self.queue[2]]
        others = [one for one in here if one.queue != self.queue[2]]
        return SlotsFact(
            len(mine), len(here), held_by(mine, lambda _: 1)[1], (*held_by(mine, lambda _: 1)[1], *held_by(others, lambda _: 1)[1])
        )  # fmt: skip

    def _is_served(self, workers: tuple[WorkerFact, ...]) -> bool:
        """Whether some worker that takes steps of the location serves code that declares the step."""
        served = {
            w.manifest_hash for w in workers if w.location == self.step.location and w.state == "ready" and w.accepted
        }
        in_force = self.catalog.manifest_hash(self.step.team, self.step.location)
        if in_force in served and self.computation is not None:
            return True
        bodies = select(manifests.c.body).where(manifests.c.hash.in_(served - {in_force}))
        return any(self._declares(manifest_model.decode(row.body)) for row in self.connection.execute(bodies))

    def _declares(self, manifest: manifest_model.Manifest) -> bool:
        wanted = set(self.step.assets)
        return any(one.name == self.step.computation and wanted <= set(one.assets) for one in manifest.computations)

    def _same_output(self) -> tuple[Holder, ...]:
        """The steps whose attempts are making the same asset and partition."""
        step, a = self.step, attempts.c
        found = (
            select(
                steps.c.run_id, steps.c.number, steps.c.team, steps.c.assets, steps.c.partition, steps.c.state,
                a.dispatched_at.label("since"),
            )
            .join(attempts, a.id == steps.c.attempt_id)
            .where(
                steps.c.ended_at.is_(None),  # as ix_steps_live says it
                steps.c.state.in_(["dispatched", "running"]),
                steps.c.team == step.team,
                steps.c.partition == step.partition,
                steps.c.assets.op("&&")(cast(list(step.assets), ARRAY(Text))),
                (steps.c.run_id != step.run_id) | (steps.c.number != step.number),
            )
        )  # fmt: skip
        return all_rows(self.connection, found.limit(MAX_HOLDERS), Holder)


def _upstream(connection: Connection, step: Step) -> tuple[UpstreamStep, ...]:
    if not step.upstream:
        return ()
    found = select(steps.c.number, steps.c.computation, steps.c.partition, steps.c.state).where(
        steps.c.run_id == step.run_id, steps.c.number.in_(step.upstream)
    )
    return all_rows(connection, found.order_by(steps.c.number), UpstreamStep)


def _blocked(
    connection: Connection, catalog: Catalog, computation: Computation, key: str, now: datetime
) -> tuple[BlockedInput, ...]:
    """What the step reads that checks hold back, as dispatch would find it; with the check that failed, if one has already."""
    try:
        wanted = wanted_inputs(catalog, computation, key or None, now)
    except RequestError:
        return ()  # the definitions have changed so that it can't be read: the step fails when its turn comes
    pairs = [(want.asset, partition) for want in wanted for partition in want.partitions]
    if not pairs or len(pairs) > MAX_INPUTS:
        return ()
    stored = read_stored(connection, pairs)
    waiting = choose_inputs(wanted, stored.current, stored.held_back).held_back
    chosen = [pair for pair in stored.held_back if pair[0] in waiting]
    m, c = materializations.c, check_results.c
    about = (c.attempt_id == m.attempt_id) | (c.judged == m.attempt_id)
    failed = (c.asset == m.asset) & about & c.blocking & ~c.passed
    found = (
        select(m.asset, func.coalesce(c.check_name, "").label("check_name"), m.partition, m.run_id)
        .ext(distinct_on(m.asset, m.partition))
        .outerjoin(check_results, failed)
        .where(tuple_(m.asset, m.partition).in_(chosen), m.state.in_(["candidate", "unchecked", "rejected"]))
        .order_by(m.asset, m.partition, m.dispatch_seq.desc(), c.check_name)
    )
    return all_rows(connection, found.limit(MAX_BLOCKED), BlockedInput) if chosen else ()


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
        held_back=_held_back(connection, asset, partition),
        upstream_missing=tuple(upstream for upstream in stored if not has_current(connection, upstream, None)),
        unresolved=catalog.unresolved(asset.computation) if asset.computation else (),
    )


def _held_back(connection: Connection, asset: CatalogAsset, partition: str | None) -> str:
    """What became of the newest output of a partition where checks hold it back."""
    if asset.definition.partitions is not None and partition is None:
        return ""
    states = ("unchecked", "current", "rejected")
    newest, _ = list_materializations(connection, asset.key, partition=partition or "", states=states, limit=1)
    return newest[0].state if newest and newest[0].state != "current" else ""
