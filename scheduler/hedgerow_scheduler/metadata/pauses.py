"""The store of pauses: what operators hold back of everything automatic."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from hedgerow_scheduler.automation.pauses import Pause, PauseKind
from hedgerow_scheduler.metadata import audit
from hedgerow_scheduler.metadata.database import WAKE_CHANNEL
from hedgerow_scheduler.metadata.read_rows import all_rows
from hedgerow_scheduler.metadata.tables_automation import pauses


def read_pauses(connection: Connection) -> tuple[Pause, ...]:
    """Every pause whose time is not over, by kind and name."""
    c = pauses.c
    found = select(pauses).where(c.until.is_(None) | (c.until > func.clock_timestamp()))
    return all_rows(connection, found.order_by(c.kind, c.name), Pause)


def pause(connection: Connection, kind: PauseKind, name: str, author: str, reason: str, until: datetime | None) -> None:
    """Holds something back, or goes on holding it with another reason and end; leaves an audit row and wakes the scheduler."""
    before = _find(connection, kind, name)
    values = {"author": author, "reason": reason, "at": func.clock_timestamp(), "until": until}
    statement = insert(pauses).values(kind=kind, name=name, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["kind", "name"], set_=values))
    _note(connection, author, "pause", kind, name, before, {"paused": True, "until": until}, reason)


def resume(connection: Connection, kind: PauseKind, name: str, author: str, reason: str) -> bool:
    """Lets something go on, as `pause` notes it; False when it was not paused."""
    before = _find(connection, kind, name)
    if before is None:
        return False
    connection.execute(delete(pauses).where(pauses.c.kind == kind, pauses.c.name == name))
    _note(connection, author, "resume", kind, name, before, None, reason)
    return True


def _find(connection: Connection, kind: str, name: str) -> Pause | None:
    found = all_rows(connection, select(pauses).where(pauses.c.kind == kind, pauses.c.name == name), Pause)
    return found[0] if found else None


def _note(
    connection: Connection,
    author: str,
    action: str,
    kind: str,
    name: str,
    before: Pause | None,
    after: dict[str, object] | None,
    reason: str,
) -> None:
    was = {"paused": True, "until": before.until} if before is not None else None
    audit.write(connection, author, action, f"{kind} {name}".strip(), was, after, reason)
    connection.execute(text(f"NOTIFY {WAKE_CHANNEL}, 'pauses'"))
