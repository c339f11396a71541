"""Schedules: their times, what became of their ticks, and the pauses that hold back whatever is launched by itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_Time = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Adds the tables."""
    op.create_table(
        "schedules",
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("tz", sa.Text(), nullable=False),
        sa.Column("last_tick", _Time, nullable=True),
        sa.PrimaryKeyConstraint("team", "location", "name", name=op.f("pk_schedules")),
    )
    op.create_table(
        "schedule_ticks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tick", _Time, nullable=False),
        sa.Column("ticks", sa.Integer(), server_default="1", nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("run_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("error", postgresql.JSONB(), nullable=True),
        sa.Column("at", _Time, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule_ticks")),
    )
    op.create_index("ix_schedule_ticks_schedule", "schedule_ticks", ["team", "location", "name", "id"])
    op.create_table(
        "pauses",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", _Time, nullable=False),
        sa.Column("until", _Time, nullable=True),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_pauses")),
    )


def downgrade() -> None:
    """Removes them."""
    for table in ("pauses", "schedule_ticks", "schedules"):
        op.drop_table(table)
