"""Freshness: the partitions that are warned of or late, and when external assets were seen to change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the tables."""
    op.create_table(
        "freshness",
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("partition", sa.Text(), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("since", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("asset", "partition", name=op.f("pk_freshness")),
    )
    op.create_table(
        "observations",
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("asset", name=op.f("pk_observations")),
    )


def downgrade() -> None:
    """Removes them."""
    op.drop_table("observations")
    op.drop_table("freshness")
