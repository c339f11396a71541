"""Checks of what another attempt has made: which attempt a step judges, and a verdict is about."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns; null in both means: its own."""
    for table in ("attempts", "check_results"):
        op.add_column(table, sa.Column("judged", sa.UUID(as_uuid=False), nullable=True))
    op.create_index(
        "ix_check_results_judged",
        "check_results",
        ["judged", "asset"],
        postgresql_where=sa.text("judged IS NOT NULL"),
    )


def downgrade() -> None:
    """Removes them."""
    op.drop_index("ix_check_results_judged", table_name="check_results")
    for table in ("check_results", "attempts"):
        op.drop_column(table, "judged")
