"""The audit record: who changed what of the platform, and why."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select

from hedgerow_scheduler.metadata import tables as t
from hedgerow_scheduler.metadata.read_rows import all_rows


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change; `before` and `after` are what was set, by field."""

    id: int
    at: datetime
    author: str
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str


def write(
    connection: Connection,
    author: str,
    action: str,
    subject: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    reason: str,
) -> None:
    """Notes a change in the transaction that makes it."""
    plain = [None if value is None else msgspec.to_builtins(value) for value in (before, after)]
    values = {
        "author": author,
        "action": action,
        "subject": subject,
        "before": plain[0],
        "after": plain[1],
        "reason": reason,
    }
    connection.execute(insert(t.audit).values(values))


def list_entries(
    connection: Connection, *, subject: str | None = None, before: int | None = None, limit: int
) -> tuple[AuditEntry, ...]:
    """The last changes, the newest first; of a subject, or those older than the entry `before`."""
    found = select(t.audit)
    if subject is not None:
        found = found.where(t.audit.c.subject == subject)
    if before is not None:
        found = found.where(t.audit.c.id < before)
    return all_rows(connection, found.order_by(t.audit.c.id.desc()).limit(limit), AuditEntry)
