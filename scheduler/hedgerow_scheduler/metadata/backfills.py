"""The store of backfills: requesting one, and reading them back with the sets of their partitions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from pyroaring import BitMap
from sqlalchemy import Connection, Select, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from hedgerow.clock import uuid7
from hedgerow.errors import Problem, RequestError
from hedgerow.partitions.model import Partitions
from hedgerow_scheduler.lifecycle.backfills import BackfillState, PartitionState
from hedgerow_scheduler.lifecycle.judging import ANY_JUDGING
from hedgerow_scheduler.metadata import tables as t
from hedgerow_scheduler.metadata.database import WAKE_CHANNEL
from hedgerow_scheduler.metadata.read_rows import all_rows
from hedgerow_scheduler.metadata.tables_backfills import backfill_partitions, backfill_tracks, backfills
from hedgerow_scheduler.partitions.spaces import space_of
from hedgerow_scheduler.partitions.states import from_chunks
from hedgerow_scheduler.planning.backfill_request import BackfillRequest
from hedgerow_scheduler.planning.backfill_tracks import Track
from hedgerow_scheduler.planning.backfills import Settings

REQUESTED_AT_ONCE = 5


class StoredBackfill(msgspec.Struct, frozen=True, kw_only=True):
    """A backfill as its row tells."""

    id: str
    state: BackfillState
    request: BackfillRequest
    settings: Settings
    passed: bool
    author: str
    reason: str
    problem: Problem | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    since: datetime
    worked_ms: int


class StoredTrack(msgspec.Struct, frozen=True, kw_only=True):
    """A track as its row tells, without its partitions."""

    backfill_id: str
    number: int
    computation: str
    team: str
    assets: tuple[str, ...]
    partitions: Partitions | None
    per_run: int
    counts: dict[str, int]


class Known(msgspec.Struct, frozen=True):
    """A backfill with its tracks, ready to be gone on with."""

    stored: StoredBackfill
    tracks: tuple[Track, ...]


def request_backfill(
    connection: Connection,
    request: BackfillRequest,
    settings: Settings,
    tracks: Sequence[Track],
    author: str,
    reason: str,
    idempotency_key: str | None = None,
) -> tuple[str, bool]:
    """Writes a backfill in state `requested` and wakes the scheduler when the transaction commits.

    Returns its id and whether it is new: the same idempotency key gives the same backfill again. RequestError HR-Q030 when the key
    was used for another request.
    """
    body = msgspec.json.decode(msgspec.json.encode(request))
    values = {
        "id": uuid7(), "state": BackfillState.REQUESTED, "request": body, "settings": msgspec.to_builtins(settings),
        "passed": not settings.canary, "author": author, "reason": reason, "idempotency_key": idempotency_key,
    }  # fmt: skip
    statement = upsert(backfills).values(**values).on_conflict_do_nothing(index_elements=["idempotency_key"])
    backfill_id = connection.execute(statement.returning(backfills.c.id)).scalar_one_or_none()
    if backfill_id is None:
        found = select(backfills.c.id, backfills.c.request).where(backfills.c.idempotency_key == idempotency_key)
        existing = connection.execute(found).one()
        if existing.request != body:
            raise RequestError.of(
                "HR-Q030",
                f"The idempotency key '{idempotency_key}' was used for another request (backfill {existing.id}).",
                "Use a new key for a new request, or repeat the first one exactly.",
            )
        return str(existing.id), False
    connection.execute(insert(backfill_tracks), [_row(str(backfill_id), *each) for each in enumerate(tracks)])
    chunks = [
        {"backfill_id": backfill_id, "track": number, "chunk": chunk, "body": body}
        for number, track in enumerate(tracks)
        for chunk, body in track.sets.chunks().items()
    ]
    connection.execute(insert(backfill_partitions), chunks)
    connection.execute(text(f"NOTIFY {WAKE_CHANNEL}, 'backfill'"))
    return str(backfill_id), True


def _row(backfill_id: str, number: int, track: Track) -> dict[str, Any]:
    return {
        "backfill_id": backfill_id, "number": number, "computation": track.name, "team": track.team,
        "assets": list(track.assets), "per_run": track.per_run, "counts": track.sets.counts(),
        "partitions": msgspec.to_builtins(track.partitions) if track.partitions is not None else None,
    }  # fmt: skip


def read_requested(connection: Connection) -> list[Known]:
    """Backfills to take up, the oldest first."""
    c = backfills.c
    found = select(backfills).where(c.ended_at.is_(None), c.state == BackfillState.REQUESTED)
    return _with_tracks(connection, found.order_by(c.created_at).limit(REQUESTED_AT_ONCE))


def read_live(connection: Connection) -> list[Known]:
    """Backfills that were taken up and have not ended."""
    c = backfills.c
    return _with_tracks(connection, select(backfills).where(c.ended_at.is_(None), c.state != BackfillState.REQUESTED))


def read_backfill(connection: Connection, backfill_id: str) -> Known | None:
    """One backfill, whatever its state."""
    found = _with_tracks(connection, select(backfills).where(backfills.c.id == backfill_id))
    return found[0] if found else None


def read_tracks(connection: Connection, ids: Sequence[str]) -> dict[str, list[StoredTrack]]:
    """The tracks of backfills, without their partitions."""
    c = backfill_tracks.c
    statement = select(backfill_tracks).where(c.backfill_id.in_(list(ids))).order_by(c.backfill_id, c.number)
    found: dict[str, list[StoredTrack]] = {each: [] for each in ids}
    for track in all_rows(connection, statement, StoredTrack):
        found[track.backfill_id].append(track)
    return found


def _with_tracks(connection: Connection, statement: Select[Any]) -> list[Known]:
    stored = read_backfills(connection, statement)
    tracks = read_tracks(connection, [one.id for one in stored])
    return [Known(one, _tracks_of(connection, one.id, tracks[one.id])) for one in stored]


def read_backfills(connection: Connection, statement: Select[Any]) -> tuple[StoredBackfill, ...]:
    """The rows that a statement selects of the table of backfills."""
    return all_rows(connection, statement, StoredBackfill)


def _tracks_of(connection: Connection, backfill_id: str, stored: Sequence[StoredTrack]) -> tuple[Track, ...]:
    c = backfill_partitions.c
    chunks: dict[int, dict[int, bytes]] = {one.number: {} for one in stored}
    for row in connection.execute(select(c.track, c.chunk, c.body).where(c.backfill_id == backfill_id)):
        chunks[row.track][row.chunk] = bytes(row.body)
    return tuple(
        Track(
            one.computation, one.team, one.assets, one.partitions, one.per_run,
            from_chunks(PartitionState, chunks[one.number]),
        )
        for one in stored
    )  # fmt: skip


def read_materialized(connection: Connection, asset: str, partitions: Partitions | None) -> BitMap:
    """The partitions of an asset that have a current materialization."""
    p = t.current_materializations.c
    return _ordinals(connection, select(p.partition).where(p.asset == asset), {}, partitions)


def read_failed(connection: Connection, asset: str, partitions: Partitions | None) -> BitMap:
    """The partitions of an asset whose last step that came to an end failed."""
    return _ordinals(connection, _FAILED, {"asset": asset, "judging": ANY_JUDGING}, partitions)


def _ordinals(
    connection: Connection, statement: Any, parameters: dict[str, str], partitions: Partitions | None
) -> BitMap:
    space = space_of(partitions)
    rows = connection.execute(statement.execution_options(yield_per=10_000), parameters)
    ordinals = (space.ordinal(partition or None) for (partition,) in rows)
    return BitMap(ordinal for ordinal in ordinals if ordinal is not None)


_FAILED = text("""
SELECT partition FROM (
    SELECT DISTINCT ON (partition) partition, state FROM steps
    WHERE assets @> ARRAY[:asset] AND computation NOT LIKE :judging AND state IN ('succeeded', 'failed', 'poisoned')
    ORDER BY partition, ended_at DESC
) AS last WHERE state <> 'succeeded'
""")
