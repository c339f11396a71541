"""The tables of backfills. The API writes them in state `requested`; from then on the scheduler's leader is their only writer.

States are those of hedgerow_scheduler.lifecycle.backfills. The partitions of a backfill are sets, not rows: nothing of them is in
`steps` before they are launched.
"""

from __future__ import annotations

from sqlalchemy import ARRAY, BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, UUID

from hedgerow_scheduler.metadata.tables import metadata

_Time = TIMESTAMP(timezone=True)
_Uuid = UUID(as_uuid=False)

# `request` is a BackfillRequest, `settings` how it is gone about now (planning.backfills.Settings); `passed`: its canary is over;
# `problem` a Problem. It has its state since `since`, and was launching for `worked_ms` before that.
backfills = Table(
    "backfills",
    metadata,
    Column("id", _Uuid, primary_key=True),
    Column("state", Text, nullable=False),
    Column("request", JSONB, nullable=False),
    Column("settings", JSONB, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("idempotency_key", Text, unique=True),
    Column("problem", JSONB),
    Column("created_at", _Time, nullable=False, server_default=text("clock_timestamp()")),
    Column("started_at", _Time),
    Column("ended_at", _Time),
    Column("since", _Time, nullable=False, server_default=text("clock_timestamp()")),
    Column("worked_ms", BigInteger, nullable=False, server_default="0"),
    Index("ix_backfills_live", "created_at", postgresql_where=text("ended_at IS NULL")),
)

# Each computation of a backfill, numbered in dependency order, with the partitions (a definition) by which it was numbered. `counts`: how
# many partitions are in which state.
backfill_tracks = Table(
    "backfill_tracks",
    metadata,
    Column("backfill_id", _Uuid, ForeignKey("backfills.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("computation", Text, nullable=False),
    Column("team", Text, nullable=False),
    Column("assets", ARRAY(Text), nullable=False),
    Column("partitions", JSONB),
    Column("per_run", Integer, nullable=False),
    Column("counts", JSONB, nullable=False),
)

# The states of 65,536 partitions of a track (partitions.states), a few hundred bytes as a rule.
backfill_partitions = Table(
    "backfill_partitions",
    metadata,
    Column("backfill_id", _Uuid, ForeignKey("backfills.id"), primary_key=True),
    Column("track", Integer, primary_key=True),
    Column("chunk", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)
