"""Cheaper recording: no index follows the states of steps and attempts, their pages keep room for their updates, and a row holds a
whole stretch of a worker's events.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Reshapes indexes and sets how full pages are made."""
    op.drop_index("ix_steps_live", table_name="steps")
    op.create_index("ix_steps_live", "steps", ["team", "queue"], postgresql_where=sa.text("ended_at is null"))
    op.drop_index("ix_attempts_live", table_name="attempts")
    op.drop_index("ix_events_attempt_id", table_name="events")
    op.drop_column("events", "attempt_id")
    op.drop_column("events", "kind")
    op.alter_column("events", "seq", new_column_name="first_seq")
    op.add_column("events", sa.Column("last_seq", sa.BigInteger(), nullable=True))
    op.execute("UPDATE events SET last_seq = first_seq, body = '['::bytea || body || ']'::bytea")
    op.alter_column("events", "last_seq", nullable=False)
    op.execute("ALTER TABLE steps SET (fillfactor = 50)")
    op.execute("ALTER TABLE attempts SET (fillfactor = 60)")


def downgrade() -> None:
    """Gives them their former shape."""
    op.execute("ALTER TABLE attempts RESET (fillfactor)")
    op.execute("ALTER TABLE steps RESET (fillfactor)")
    op.execute("DELETE FROM events")  # a row can't be taken apart into its events again
    op.drop_column("events", "last_seq")
    op.alter_column("events", "first_seq", new_column_name="seq")
    op.add_column("events", sa.Column("kind", sa.Text(), nullable=False))
    op.add_column("events", sa.Column("attempt_id", sa.UUID(as_uuid=False), nullable=True))
    op.create_index(
        "ix_events_attempt_id", "events", ["attempt_id"], postgresql_where=sa.text("attempt_id is not null")
    )
    op.create_index(
        "ix_attempts_live", "attempts", ["id"], postgresql_where=sa.text("state in ('dispatched', 'running')")
    )
    op.drop_index("ix_steps_live", table_name="steps")
    op.create_index(
        "ix_steps_live",
        "steps",
        ["team", "queue", "state"],
        postgresql_where=sa.text("state in ('waiting','ready','dispatched','running','retry_wait')"),
    )
