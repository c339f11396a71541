"""Takeover: reads everything that lives from PostgreSQL into a new snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

from sqlalchemy import Connection, select

from hedgerow_scheduler.lifecycle.model import Attempt, Run, Worker
from hedgerow_scheduler.lifecycle.states import AttemptState, StepState
from hedgerow_scheduler.limits.limit import Holding, LimitId
from hedgerow_scheduler.metadata import catalogs, inputs, limits, runs
from hedgerow_scheduler.metadata import tables as t
from hedgerow_scheduler.planning.limiting import use_overrides
from hedgerow_scheduler.planning.rules import PlatformLimits, queue_limit_name, sharer_of
from hedgerow_scheduler.planning.snapshot import Snapshot

# What an attempt holds beyond queue and team: limits, and how many slots of each.
Holds: TypeAlias = tuple[tuple[LimitId, int], ...]


def read_snapshot(
    connection: Connection,
    now: datetime,
    start_timeout: timedelta,
    lease: timedelta,
    platform: PlatformLimits | None = None,
) -> Snapshot:
    """The snapshot as PostgreSQL has it. Orders that may never have been published are taken back as soon as the team's stream was
    read to its end; what runs gets two leases' time to be heard of. Limits count what is out, and rates go on where they were.
    """
    snapshot = Snapshot(catalogs.read_catalog(connection), platform)
    use_overrides(snapshot, limits.read_overrides(connection), now)
    levels = {id: (row.tokens, row.at) for id, row in limits.read_buckets(connection).items()}
    snapshot.limits.restore_levels(levels)
    snapshot.owners = catalogs.read_owners(connection)
    snapshot.accepted = {published.hash: published for published in catalogs.read_accepted(connection)}
    snapshot.dispatch_seq = inputs.read_dispatch_seq(connection)
    sequences = t.worker_sequences.c
    for row in connection.execute(select(sequences.team, sequences.worker, sequences.acked)):
        snapshot.sequences[row.team, row.worker] = row.acked
    for row in connection.execute(select(t.workers)):
        snapshot.workers[row.team, row.id] = Worker(
            row.team, row.id, row.location, row.manifest_hash, tuple(row.queues), row.slots, row.busy, row.state,
            row.first_seen_at, row.last_seen_at, row.host, row.pid,
        )  # fmt: skip
    locations = t.locations.c
    broken = select(locations.team, locations.location).where(locations.problems.is_not(None))
    snapshot.broken = {(row.team, row.location) for row in connection.execute(broken)}
    take_up_runs(snapshot, runs.read_live(connection), runs.read_last_ends(connection), now)
    attempts = runs.read_attempts(connection, snapshot.runs, start_timeout)
    take_up_attempts(snapshot, attempts, runs.read_holds(connection, snapshot.runs), now, lease)
    return snapshot


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


def read_cursors(connection: Connection) -> dict[str, tuple[str, str]]:
    """How far each team's stream was folded: (position, epoch)."""
    cursors = t.cursors.c
    rows = connection.execute(select(cursors.team, cursors.position, cursors.epoch))
    return {row.team: (row.position, row.epoch) for row in rows}
