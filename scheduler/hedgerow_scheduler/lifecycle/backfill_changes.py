"""What a cycle of the leader has to record of backfills."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from hedgerow.errors import Problem


class BackfillChange(msgspec.Struct, frozen=True):
    """A backfill as it is now; it was in the state `before`. See the table for what the fields mean."""

    id: str
    before: str
    state: str
    settings: Any
    passed: bool
    problem: Problem | None
    started_at: datetime | None
    ended_at: datetime | None
    since: datetime
    worked_ms: int


class TrackChange(msgspec.Struct, frozen=True):
    """How many partitions of a track are in which state now."""

    backfill_id: str
    number: int
    counts: dict[str, int]


class ChunkChange(msgspec.Struct, frozen=True):
    """The states of some partitions of a track."""

    backfill_id: str
    track: int
    chunk: int
    body: bytes


class BackfillChanges(msgspec.Struct, eq=False):
    """All of it, each thing once."""

    backfills: list[BackfillChange] = msgspec.field(default_factory=list)
    tracks: list[TrackChange] = msgspec.field(default_factory=list)
    chunks: list[ChunkChange] = msgspec.field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.backfills or self.tracks or self.chunks)
