"""Reactions: what each is told, and how much was only counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0010"
branch_labels = None
depends_on = None

_Time = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Adds the tables."""
    op.create_table(
        "reaction_deliveries",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("event", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("created_at", _Time, nullable=False),
        sa.Column("next_at", _Time, nullable=False),
        sa.Column("ended_at", _Time, nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", postgresql.JSONB(), nullable=True),
        sa.Column("log", sa.Text(), server_default="", nullable=False),
        sa.Column("duration_ms", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reaction_deliveries")),
    )
    op.create_index("ix_reaction_deliveries_reaction", "reaction_deliveries", ["team", "name", "created_at"])
    op.create_index(
        "ix_reaction_deliveries_waiting",
        "reaction_deliveries",
        ["created_at"],
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "reaction_floods",
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("suppressed", sa.BigInteger(), nullable=False),
        sa.Column("last_at", _Time, nullable=False),
        sa.PrimaryKeyConstraint("team", "name", name=op.f("pk_reaction_floods")),
    )


def downgrade() -> None:
    """Removes them."""
    for table in ("reaction_floods", "reaction_deliveries"):
        op.drop_table(table)
