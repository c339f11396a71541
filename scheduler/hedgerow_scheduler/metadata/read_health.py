"""Whether the platform is fit to work: its schema and its leader."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, Double, func, select

from hedgerow_scheduler.metadata.read_rows import one_row
from hedgerow_scheduler.metadata.tables import leader


class Leader(msgspec.Struct, frozen=True):
    """The scheduler that leads, or was the last to; `stale_s` is how long ago it renewed, on PostgreSQL's clock."""

    holder: str
    epoch: int
    stale_s: float


def get_leader(connection: Connection) -> Leader | None:
    """The leader's row; None when no scheduler ever ran."""
    stale = func.extract("epoch", func.clock_timestamp() - leader.c.renewed_at)
    return one_row(connection, select(leader, stale.cast(Double()).label("stale_s")), Leader)
