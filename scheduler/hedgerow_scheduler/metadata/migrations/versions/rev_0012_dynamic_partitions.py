"""The keys of dynamic partitions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the table."""
    op.create_table(
        "dynamic_partitions",
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("is_there", sa.Boolean(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("changed_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("team", "name", "number", name=op.f("pk_dynamic_partitions")),
    )
    op.create_index("ux_dynamic_partitions_key", "dynamic_partitions", ["team", "name", "key"], unique=True)
    op.create_index("ix_dynamic_partitions_seq", "dynamic_partitions", ["seq"])


def downgrade() -> None:
    """Removes it."""
    op.drop_table("dynamic_partitions")
