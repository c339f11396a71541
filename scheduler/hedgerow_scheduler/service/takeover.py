"""Takeover: makes a new leader's snapshot of everything that the store remembers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from hedgerow_scheduler.ingest.manifests import put_aside
from hedgerow_scheduler.lifecycle.changes import LocationChange
from hedgerow_scheduler.lifecycle.model import Attempt, Run
from hedgerow_scheduler.lifecycle.states import AttemptState, StepState
from hedgerow_scheduler.limits.limit import Holding, LimitId
from hedgerow_scheduler.metadata.store import Holds, State
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest
from hedgerow_scheduler.planning.limiting import use_overrides
from hedgerow_scheduler.planning.rules import PlatformLimits, queue_limit_name, sharer_of
from hedgerow_scheduler.planning.snapshot import Snapshot

log = logging.getLogger("hedgerow.scheduler")


def snapshot_of(
    state: State,
    now: datetime,
    lease: timedelta,
    platform: PlatformLimits | None = None,
    new_id: Callable[[], str] | None = None,
    left_out: AbstractSet[str] = frozenset(),
) -> Snapshot:
    """The snapshot with which a leader begins. Orders that may never have been published are taken back as soon as the team's stream
    was read to its end; what runs gets two leases' time to be heard of. Limits count what is out, and rates go on where they were. Of
    what is in force, the manifests with the hashes `left_out` are withdrawn.
    """
    aside = [each for each in state.catalog.published.values() if each.hash in left_out]
    catalog = Catalog(each for each in state.catalog.published.values() if each.hash not in left_out)
    snapshot = Snapshot(catalog if aside else state.catalog, platform, new_id, state.key_sets)
    use_overrides(snapshot, state.overrides, now)
    snapshot.limits.restore_levels(state.levels)
    snapshot.owners = state.owners
    snapshot.accepted = {each.hash: each for each in state.accepted if each.hash not in left_out}
    snapshot.dispatch_seq = state.dispatch_seq
    snapshot.sequences = state.sequences
    snapshot.workers = {(worker.team, worker.id): worker for worker in state.workers}
    snapshot.broken = state.broken
    take_up_runs(snapshot, state.runs, state.last_ends, now)
    take_up_attempts(snapshot, state.attempts, state.holds, now, lease)
    for each in aside:
        _withdraw(snapshot, each, now)
    return snapshot


def _withdraw(snapshot: Snapshot, published: PublishedManifest, now: datetime) -> None:
    """The manifest is in force no more: the location shows why."""
    team, location = published.manifest.team, published.manifest.location
    problem = put_aside(published.hash)
    log.error(
        "terms seem to end by the manifest %s of location %s of team %s: this one begins without it",
        published.hash,
        location,
        team,
    )
    snapshot.changes.locations.append(LocationChange(team, location, None, (problem,), published.hash))
    snapshot.broken.add((team, location))
    snapshot.happenings.add("location_failed", team, now, (), problem.message, {"location": location, "problems": 1})


def take_up_runs(
    snapshot: Snapshot, live: Iterable[Run], last_ends: Mapping[tuple[str, int], datetime], now: datetime
) -> None:
    """Takes up runs that another leader planned. `last_ends` tells when the last attempt of a step ended, by run and number."""
    for run in live:
        snapshot.add_run(run, now)
        for step in run.steps:
            since = step.ready_at if step.state is StepState.WAITING else last_ends.get((run.id, step.number))
            step.since = since or run.started_at


def take_up_attempts(
    snapshot: Snapshot, attempts: Iterable[Attempt], holds: Mapping[str, Holds], now: datetime, lease: timedelta
) -> None:
    """Takes up the attempts of these runs whose outcome may still come; `holds` tells what those that are out hold."""
    holdings: dict[int, Holding] = {}
    for attempt in attempts:
        snapshot.attempts[attempt.id] = attempt
        if attempt.state is AttemptState.LOST:
            continue
        _hold(snapshot, attempt, holds.get(attempt.id, ()), holdings)
        attempt.step.since = attempt.dispatched_at
        attempt.step.cancelling = attempt.step.run.cancel_requested
        for lock in attempt.step.locks():
            snapshot.locks[lock] = attempt.id
        if attempt.state is AttemptState.DISPATCHED:
            attempt.start_before = now
        else:
            attempt.lease_until = now + 2 * lease


def _hold(snapshot: Snapshot, attempt: Attempt, held: Holds, holdings: dict[int, Holding]) -> None:
    """The attempt goes on holding what it held, together with those of its batch."""
    step = attempt.step
    known = holdings.get(attempt.batch)
    if known is not None and attempt.batch:
        known.attempts += 1
        step.holding = known
        return
    queue = queue_limit_name(step.team, step.location, step.queue)
    limits_run = snapshot.rules.limits_run(step.run.id) and all(id[0] != "run" for id, _ in held)
    if limits_run:  # it got its limit while this was out
        held = ((("run", step.run.id), 1), *held)
    ids: list[tuple[LimitId, int]] = [(("queue", queue), 1), (("team", step.team), 1), *held]
    needs = tuple((snapshot.limits.get(id), slots) for id, slots in ids)
    sharers = (step.queue, step.location, *(sharer_of(id, step) for id, _ in held))
    step.holding = holdings[attempt.batch] = Holding(needs, sharers, attempt.batch)
