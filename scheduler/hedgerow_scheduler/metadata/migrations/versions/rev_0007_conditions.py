"""Conditions: what they remember, and what their last evaluations found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_Time = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Adds the tables."""
    op.create_table(
        "automation_memories",
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("asset", name=op.f("pk_automation_memories")),
    )
    op.create_table(
        "automation_evaluations",
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", _Time, nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("findings", postgresql.JSONB(), nullable=False),
        sa.Column("requested", postgresql.JSONB(), nullable=False),
        sa.Column("requested_count", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), server_default="", nullable=False),
        sa.Column("run_id", sa.UUID(as_uuid=False), nullable=True),
        sa.PrimaryKeyConstraint("asset", "kind", name=op.f("pk_automation_evaluations")),
    )


def downgrade() -> None:
    """Removes them."""
    for table in ("automation_evaluations", "automation_memories"):
        op.drop_table(table)
