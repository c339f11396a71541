"""Inputs: what each attempt is made from, so that a materialization can be told to be stale."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column. Of attempts before it nothing is known."""
    op.add_column("attempts", sa.Column("inputs", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    """Takes it away."""
    op.drop_column("attempts", "inputs")
