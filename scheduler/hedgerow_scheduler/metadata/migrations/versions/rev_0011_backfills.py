"""Backfills: what is to be made, as sets of partitions, and which backfill launched a run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0008"
branch_labels = None
depends_on = None

_Time = postgresql.TIMESTAMP(timezone=True)
_Uuid = sa.UUID(as_uuid=False)


def upgrade() -> None:
    """Adds the tables and the column."""
    op.create_table(
        "backfills",
        sa.Column("id", _Uuid, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("request", postgresql.JSONB(), nullable=False),
        sa.Column("settings", postgresql.JSONB(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("problem", postgresql.JSONB(), nullable=True),
        sa.Column("created_at", _Time, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("started_at", _Time, nullable=True),
        sa.Column("ended_at", _Time, nullable=True),
        sa.Column("since", _Time, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("worked_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backfills")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_backfills_idempotency_key")),
    )
    op.create_index("ix_backfills_live", "backfills", ["created_at"], postgresql_where=sa.text("ended_at IS NULL"))
    op.create_table(
        "backfill_tracks",
        sa.Column("backfill_id", _Uuid, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("computation", sa.Text(), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("assets", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("partitions", postgresql.JSONB(), nullable=True),
        sa.Column("per_run", sa.Integer(), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["backfill_id"], ["backfills.id"], name=op.f("fk_backfill_tracks_backfill_id")),
        sa.PrimaryKeyConstraint("backfill_id", "number", name=op.f("pk_backfill_tracks")),
    )
    op.create_table(
        "backfill_partitions",
        sa.Column("backfill_id", _Uuid, nullable=False),
        sa.Column("track", sa.Integer(), nullable=False),
        sa.Column("chunk", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["backfill_id"], ["backfills.id"], name=op.f("fk_backfill_partitions_backfill_id")),
        sa.PrimaryKeyConstraint("backfill_id", "track", "chunk", name=op.f("pk_backfill_partitions")),
    )
    op.add_column("runs", sa.Column("backfill_id", _Uuid, nullable=True))
    op.create_index(
        "ix_runs_backfill_id",
        "runs",
        ["backfill_id", "created_at"],
        postgresql_where=sa.text("backfill_id IS NOT NULL"),
    )


def downgrade() -> None:
    """Removes them."""
    op.drop_index("ix_runs_backfill_id", "runs")
    op.drop_column("runs", "backfill_id")
    for table in ("backfill_partitions", "backfill_tracks", "backfills"):
        op.drop_table(table)
