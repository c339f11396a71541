"""The store of teams."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.postgresql import insert

from hedgerow_scheduler.metadata import tables as t
from hedgerow_scheduler.metadata.database import WAKE_CHANNEL


def register(connection: Connection, names: Iterable[str]) -> list[str]:
    """Registers teams, and wakes the scheduler, which reads their streams from then on; returns those that are new."""
    fresh = []
    for name in sorted(set(names)):
        statement = insert(t.teams).values(name=name).on_conflict_do_nothing().returning(t.teams.c.name)
        fresh += list(connection.execute(statement).scalars())
    if fresh:
        connection.execute(text(f"NOTIFY {WAKE_CHANNEL}, 'teams'"))
    return fresh


def read_names(connection: Connection) -> list[str]:
    """Every registered team, sorted."""
    return list(connection.execute(select(t.teams.c.name).order_by(t.teams.c.name)).scalars())
