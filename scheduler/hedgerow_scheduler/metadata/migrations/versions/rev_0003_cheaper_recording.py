"""Cheaper recording: no index follows the states of steps and attempts, and their pages keep room for their updates."""

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
    op.execute("ALTER TABLE steps SET (fillfactor = 50)")
    op.execute("ALTER TABLE attempts SET (fillfactor = 60)")


def downgrade() -> None:
    """Gives them their former shape."""
    op.execute("ALTER TABLE attempts RESET (fillfactor)")
    op.execute("ALTER TABLE steps RESET (fillfactor)")
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
