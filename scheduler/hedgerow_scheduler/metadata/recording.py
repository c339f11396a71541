"""Recording: what a cycle decided, as writes guarded by the states that PostgreSQL is known to hold."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from hedgerow_scheduler.automation.reactions import OVER
from hedgerow_scheduler.lifecycle.changes import Changes
from hedgerow_scheduler.lifecycle.model import Materialization
from hedgerow_scheduler.lifecycle.states import MaterializationState
from hedgerow_scheduler.metadata import reaction_statements as reaction_sql
from hedgerow_scheduler.metadata import rows
from hedgerow_scheduler.metadata import sensor_statements as sensor_sql
from hedgerow_scheduler.metadata import statements as sql
from hedgerow_scheduler.metadata.freshness import DELETE_FRESHNESS, UPSERT_FRESHNESS, UPSERT_OBSERVATIONS, Observation
from hedgerow_scheduler.metadata.key_sets import UPSERT_KEYS, row_of
from hedgerow_scheduler.metadata.reactions import DELIVERIES_KEPT, DeliveryMove, ReactionName, Suppressed
from hedgerow_scheduler.metadata.statements_backfills import UPDATE_BACKFILLS, UPDATE_CHUNKS, UPDATE_TRACKS
from hedgerow_scheduler.metadata.writes import Writes, json_text

TICKS_KEPT = 100  # of each schedule
EVALUATIONS_KEPT = 50  # of each sensor and outcome: what finds nothing must not push out what failed


TRIMMED_EVERY = 10  # evaluations of a sensor


class SensorName(msgspec.Struct, frozen=True):
    """Which sensor."""

    team: str
    name: str


def record(connection: Connection, changes: Changes, now: datetime) -> None:
    """Writes everything in `changes` and marks it as recorded. StaleWriteError when a guard did not hold: nothing may be committed then."""
    writes = Writes()
    gather(writes, changes, now)
    writes.flush(connection)


def gather(writes: Writes, changes: Changes, now: datetime) -> None:
    """Adds everything in `changes` to `writes`, and marks it as recorded: if they fail, the snapshot is to be thrown away."""
    _definitions(writes, changes, now)
    _runs(writes, changes)
    _schedules(writes, changes, now)
    _sensors(writes, changes, now)
    _reactions(writes, changes, now)
    _backfills(writes, changes)
    keys = [row_of(stored, author) for stored, author in changes.partition_keys.values()]
    writes.rows(UPSERT_KEYS, keys, now=now)
    writes.rows(UPSERT_OBSERVATIONS, [Observation(asset, at) for asset, at in changes.observations.items()])
    told = list(changes.freshness.values())
    writes.rows(UPSERT_FRESHNESS, [one for one in told if one.status != "on_time"], now=now)
    writes.rows(DELETE_FRESHNESS, [one for one in told if one.status == "on_time"])
    writes.rows(sql.UPSERT_MEMORIES, [rows.MemoryRow(asset, body) for asset, body in changes.memories.items()])
    writes.rows(sql.UPSERT_EVALUATIONS, list(changes.evaluations.values()))
    _outputs(writes, list(changes.outputs.values()), now)
    _attempts(writes, changes)  # after the outputs: some are made from what has just become current
    # Two verdicts of one check in one batch would meet in one statement: the last one counts.
    verdicts = {(c.verdict.attempt_id, c.verdict.asset, c.verdict.check): c for c in changes.checks}
    writes.rows(sql.UPSERT_CHECKS, [rows.check(record) for record in verdicts.values()], now=now)
    if changes.events:
        writes.add(sql.INSERT_EVENTS, **rows.events(changes.events)._asdict(), now=now)
    sequences = [rows.SequenceRow(team, worker, acked) for (team, worker), acked in changes.sequences.items()]
    writes.rows(sql.UPSERT_SEQUENCES, sequences, now=now)
    cursors = [rows.CursorRow(team, position, epoch) for team, (position, epoch) in changes.cursors.items()]
    writes.rows(sql.UPSERT_CURSORS, cursors)
    writes.rows(sql.INSERT_QUARANTINE, [rows.quarantined(item) for item in changes.quarantined], now=now)
    writes.rows(sql.UPSERT_WORKERS, [rows.worker(worker) for worker in changes.workers.values()])
    writes.rows(sql.DELETE_WORKERS, [rows.WorkerKeyRow(team, worker) for team, worker in changes.gone_workers])
    writes.rows(sql.UPSERT_BUCKETS, changes.buckets)
    writes.rows(sql.APPLY_COMMANDS, [rows.command(command) for command in changes.commands], now=now)


def _definitions(writes: Writes, changes: Changes, now: datetime) -> None:
    for new in changes.manifests:
        manifest, body = new.manifest, new.body
        place: dict[str, Any] = {"team": manifest.team, "location": manifest.location, "now": now}
        accepted_at = now if new.accepted else None
        writes.add(sql.INSERT_MANIFEST, hash=new.hash, body=body, size=len(body), accepted_at=accepted_at, **place)
        if new.accepted:
            writes.rows(sql.UPSERT_OWNERS, [rows.KeyRow(asset.key) for asset in manifest.assets], **place)
    for change in changes.locations:
        place = {"team": change.team, "location": change.location, "now": now}
        if change.manifest_hash is not None:
            writes.add(sql.PUT_IN_FORCE, hash=change.manifest_hash, **place)
        elif change.withdrawn:
            writes.add(sql.WITHDRAW, hash=change.withdrawn, problems=json_text(change.problems), **place)
        else:
            writes.add(sql.LOCATION_FAILED, problems=json_text(change.problems), **place)


def _schedules(writes: Writes, changes: Changes, now: datetime) -> None:
    writes.rows(sql.DELETE_SCHEDULES, [rows.schedule(place) for place in changes.gone_schedules])
    writes.rows(sql.UPSERT_SCHEDULES, changes.schedules)
    moves = [rows.schedule_move(move) for move in changes.schedule_moves]
    writes.rows(sql.MOVE_SCHEDULES, moves, guarded=True, what="schedules")
    ticks = [rows.tick(record) for record in changes.schedule_ticks]
    writes.rows(sql.INSERT_TICKS, ticks, now=now)
    writes.rows(sql.TRIM_TICKS, [rows.schedule(record.place) for record in changes.schedule_ticks], kept=TICKS_KEPT)


def _sensors(writes: Writes, changes: Changes, now: datetime) -> None:
    writes.rows(sensor_sql.UPSERT_SENSORS, changes.sensors)
    writes.rows(sensor_sql.MOVE_SENSORS, changes.sensor_moves, guarded=True, what="sensors")
    writes.rows(sensor_sql.INSERT_KEYS, changes.sensor_keys, guarded=True, what="dedupe keys", now=now)
    writes.rows(sensor_sql.INSERT_EVALUATIONS, changes.sensor_evaluations, now=now)
    trimmed = [SensorName(one.team, one.name) for one in changes.sensor_moves if one.number % TRIMMED_EVERY == 1]
    writes.rows(sensor_sql.TRIM_EVALUATIONS, trimmed, kept=EVALUATIONS_KEPT)


def _reactions(writes: Writes, changes: Changes, now: datetime) -> None:
    writes.rows(reaction_sql.INSERT_DELIVERIES, changes.deliveries)
    writes.rows(reaction_sql.RETRY_DELIVERIES, changes.retried, guarded=True, what="deliveries to reactions")
    moves = [
        DeliveryMove(
            told.delivery.id, told.state.value, told.delivery.attempts, told.delivery.next_at, told.error, told.log,
            told.duration_ms,
        )
        for told in changes.told.values()
    ]  # fmt: skip
    writes.rows(reaction_sql.UPDATE_DELIVERIES, moves, guarded=True, what="deliveries to reactions", now=now)
    floods = [Suppressed(team, name, number) for (team, name), number in changes.suppressed.items()]
    writes.rows(reaction_sql.ADD_SUPPRESSED, floods, now=now)
    over = [
        ReactionName(told.delivery.team, told.delivery.name) for told in changes.told.values() if told.state in OVER
    ]
    writes.rows(reaction_sql.TRIM_DELIVERIES, over, kept=DELIVERIES_KEPT)


def _backfills(writes: Writes, changes: Changes) -> None:
    changed = changes.backfills
    writes.rows(UPDATE_BACKFILLS, changed.backfills, guarded=True, what="backfills")
    writes.rows(UPDATE_TRACKS, changed.tracks, guarded=True, what="tracks of backfills")
    writes.rows(UPDATE_CHUNKS, changed.chunks, guarded=True, what="sets of partitions of backfills")


def _runs(writes: Writes, changes: Changes) -> None:
    for new in changes.new_runs:
        run = new.run
        request, tags = json_text(new.request), json_text(run.tags)
        writes.add(
            sql.INSERT_RUN, id=run.id, request=request, tags=tags, author=run.author, created_at=run.created_at,
            priority=run.priority, backfill_id=run.backfill_id,
        )  # fmt: skip
    for run in changes.planned_runs:
        writes.add(
            sql.START_RUN, 1, "requested runs",
            id=run.id, state=run.state, steps=len(run.steps), started_at=run.started_at, ended_at=run.ended_at, cap=run.cap,
        )  # fmt: skip
        writes.rows(sql.INSERT_STEPS, [rows.new_step(step) for step in run.steps], run_id=run.id)
        for step in run.steps:
            step.recorded = step.state
    for run_id, problem in changes.failed_requests:
        writes.add(sql.FAIL_REQUEST, id=run_id, error=json_text(problem))
    steps = list(changes.steps.values())
    writes.rows(sql.UPDATE_STEPS, [rows.changed_step(step) for step in steps], guarded=True, what="steps")
    for step in steps:
        step.recorded = step.state
    writes.rows(sql.UPDATE_RUNS, [rows.changed_run(run) for run in changes.runs.values()])


def _attempts(writes: Writes, changes: Changes) -> None:
    fresh = [rows.new_attempt(attempt) for attempt in changes.new_attempts]
    writes.rows(sql.INSERT_ATTEMPTS, [row for row in fresh if not row.after])
    writes.rows(sql.INSERT_ATTEMPTS_AFTER, [row for row in fresh if row.after])
    for attempt in changes.new_attempts:
        attempt.recorded = attempt.state
        changes.attempts.pop(attempt.id, None)
    changed = list(changes.attempts.values())
    writes.rows(
        sql.UPDATE_ATTEMPTS, [rows.changed_attempt(attempt) for attempt in changed], guarded=True, what="attempts"
    )
    for attempt in changed:
        attempt.recorded = attempt.state


def _outputs(writes: Writes, outputs: list[Materialization], now: datetime) -> None:
    newest: dict[tuple[str, str], Materialization] = {}
    for found in outputs:
        if found.state is MaterializationState.CURRENT:
            known = newest.get((found.asset, found.partition))
            if known is None or known.dispatch_seq < found.dispatch_seq:
                newest[found.asset, found.partition] = found
    for found in outputs:
        if found.state is MaterializationState.CURRENT and newest[found.asset, found.partition] is not found:
            found.state = (
                MaterializationState.SUPERSEDED
            )  # one that was lost, and the one after it, ended in the same cycle
    writes.rows(sql.UPSERT_OUTPUTS, [rows.output(found) for found in outputs], now=now)
    writes.rows(
        sql.MOVE_POINTERS,
        [rows.PointerRow(m.asset, m.partition, m.attempt_id, m.dispatch_seq) for m in newest.values()],
    )
