"""Limits: live overrides, token buckets, what attempts hold, why steps waited, and the record of who changed what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_Time = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Adds the tables and columns."""
    op.create_table(
        "limit_overrides",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_at", _Time, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("expires_at", _Time, nullable=True),
        sa.PrimaryKeyConstraint("kind", "name", "field", name=op.f("pk_limit_overrides")),
    )
    op.create_table(
        "token_buckets",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Double(), nullable=False),
        sa.Column("at", _Time, nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_token_buckets")),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", _Time, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(), nullable=True),
        sa.Column("after", postgresql.JSONB(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_subject", "audit", ["subject", "id"])
    op.add_column("runs", sa.Column("priority", sa.SmallInteger(), server_default="0", nullable=False))
    op.add_column("runs", sa.Column("cap", sa.Integer(), nullable=True))
    op.add_column("steps", sa.Column("waits", postgresql.JSONB(), nullable=True))
    op.add_column("attempts", sa.Column("batch", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("attempts", sa.Column("holds", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    """Removes them."""
    for table, column in (
        ("attempts", "holds"),
        ("attempts", "batch"),
        ("steps", "waits"),
        ("runs", "cap"),
        ("runs", "priority"),
    ):
        op.drop_column(table, column)
    for table in ("audit", "token_buckets", "limit_overrides"):
        op.drop_table(table)
