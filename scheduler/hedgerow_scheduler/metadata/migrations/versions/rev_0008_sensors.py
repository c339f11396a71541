"""Sensors: where each left off, what became of its last evaluations, and its dedupe keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_Time = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Adds the tables."""
    op.create_table(
        "sensors",
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("number", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_at", _Time, nullable=True),
        sa.Column("next_at", _Time, nullable=True),
        sa.PrimaryKeyConstraint("team", "name", name=op.f("pk_sensors")),
    )
    op.create_table(
        "sensor_evaluations",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", _Time, nullable=False),
        sa.Column("ended_at", _Time, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("launched", sa.Integer(), nullable=False),
        sa.Column("deduped", sa.Integer(), nullable=False),
        sa.Column("run_ids", postgresql.JSONB(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("error", postgresql.JSONB(), nullable=True),
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sensor_evaluations")),
    )
    op.create_index("ix_sensor_evaluations_sensor", "sensor_evaluations", ["team", "name", "ended_at"])
    op.create_table(
        "sensor_keys",
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("run_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("at", _Time, nullable=False),
        sa.PrimaryKeyConstraint("team", "name", "key", name=op.f("pk_sensor_keys")),
    )


def downgrade() -> None:
    """Removes them."""
    for table in ("sensor_keys", "sensor_evaluations", "sensors"):
        op.drop_table(table)
