"""Takeover: reads everything that lives from PostgreSQL into a new snapshot."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from hedgerow_scheduler.lifecycle.model import Attempt, Worker
from hedgerow_scheduler.lifecycle.states import AttemptState
from hedgerow_scheduler.limits.limit import Holding, LimitId
from hedgerow_scheduler.metadata import catalogs, inputs, limits, runs
from hedgerow_scheduler.metadata import tables as t
from hedgerow_scheduler.planning.limiting import use_overrides
from hedgerow_scheduler.planning.rules import PlatformLimits, queue_limit_name, sharer_of
from hedgerow_scheduler.planning.snapshot import Snapshot


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
    last_ends = runs.read_last_ends(connection)
    for run in runs.read_live(connection):
        snapshot.add_run(run, now)
        for step in run.steps:
            step.since = last_ends.get((run.id, step.number), run.started_at)
    holds = runs.read_holds(connection, snapshot.runs)
    holdings: dict[int, Holding] = {}
    for attempt in runs.read_attempts(connection, snapshot.runs, start_timeout):
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
    return snapshot


def _hold(
    snapshot: Snapshot, attempt: Attempt, held: tuple[tuple[LimitId, int], ...], holdings: dict[int, Holding]
) -> None:
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
