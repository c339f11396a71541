"""The store of limits: operators' overrides, and what is left in token buckets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from hedgerow_scheduler.limits.limit import LimitId
from hedgerow_scheduler.metadata import audit
from hedgerow_scheduler.metadata import tables as t
from hedgerow_scheduler.metadata.database import WAKE_CHANNEL
from hedgerow_scheduler.metadata.read_rows import all_rows
from hedgerow_scheduler.planning.rules import Override


def read_overrides(connection: Connection) -> tuple[Override, ...]:
    """Every override that has not expired, by kind, name and field."""
    o = t.limit_overrides.c
    found = select(t.limit_overrides).where(o.expires_at.is_(None) | (o.expires_at > func.clock_timestamp()))
    return all_rows(connection, found.order_by(o.kind, o.name, o.field), Override)


def set_overrides(
    connection: Connection,
    id: LimitId,
    fields: dict[str, float | None],
    author: str,
    reason: str,
    expires_at: datetime | None,
) -> None:
    """Sets fields of a limit, leaves an audit row with what they were overridden to before, and wakes the scheduler."""
    kind, name = id
    before = _fields(connection, id, list(fields))
    rows = [
        {"kind": kind, "name": name, "field": field, "value": value, "author": author, "reason": reason,
         "expires_at": expires_at}
        for field, value in fields.items()
    ]  # fmt: skip
    statement = insert(t.limit_overrides)
    fresh = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["kind", "name", "field"],
        set_={
            "value": fresh.value,
            "author": fresh.author,
            "reason": fresh.reason,
            "set_at": func.clock_timestamp(),
            "expires_at": fresh.expires_at,
        },
    )
    connection.execute(statement, rows)
    after = {**fields, **({"expires_at": expires_at} if expires_at else {})}
    audit.write(connection, author, "set limit", f"{kind} {name}", before, after, reason)
    connection.execute(text(f"NOTIFY {WAKE_CHANNEL}, 'limits'"))


def clear_overrides(
    connection: Connection, id: LimitId, fields: Sequence[str], author: str, reason: str
) -> tuple[str, ...]:
    """Goes back to what is declared, for these fields of a limit; returns those that were overridden."""
    before = _fields(connection, id, fields)
    if not before:
        return ()
    o = t.limit_overrides.c
    connection.execute(delete(t.limit_overrides).where(o.kind == id[0], o.name == id[1], o.field.in_(list(before))))
    audit.write(connection, author, "clear limit", f"{id[0]} {id[1]}", before, None, reason)
    connection.execute(text(f"NOTIFY {WAKE_CHANNEL}, 'limits'"))
    return tuple(before)


def remove_expired(connection: Connection, gone: Sequence[Override]) -> None:
    """Removes overrides whose time is over, each with an audit row; one that was set anew meanwhile stays."""
    o = t.limit_overrides.c
    for override in gone:
        removed = connection.execute(
            delete(t.limit_overrides).where(
                o.kind == override.kind, o.name == override.name, o.field == override.field, o.set_at == override.set_at
            )
        ).rowcount
        if removed:
            subject, before = f"{override.kind} {override.name}", {override.field: override.value}
            audit.write(connection, override.author, "limit expired", subject, before, None, override.reason)


def _fields(connection: Connection, id: LimitId, fields: Sequence[str]) -> dict[str, float | None]:
    o = t.limit_overrides.c
    rows = connection.execute(
        select(o.field, o.value).where(o.kind == id[0], o.name == id[1], o.field.in_(list(fields))).with_for_update()
    )
    return {row.field: row.value for row in rows}


class BucketRow(msgspec.Struct, frozen=True):
    """A token bucket as it was last recorded."""

    kind: str
    name: str
    tokens: float
    at: datetime


def read_buckets(connection: Connection) -> dict[LimitId, BucketRow]:
    """Every token bucket that was ever used."""
    rows = all_rows(connection, select(t.token_buckets), BucketRow)
    return {(row.kind, row.name): row for row in rows}  # type: ignore[misc]
