"""The store of commands: what people ask of the scheduler."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, text

from hedgerow_scheduler.metadata import tables as t
from hedgerow_scheduler.metadata.database import WAKE_CHANNEL

COMMANDS_AT_ONCE = 500


class PendingCommand(msgspec.Struct, frozen=True):
    """A command that was not applied yet."""

    id: int
    kind: str
    body: dict[str, Any]
    author: str


def write(connection: Connection, kind: str, body: dict[str, Any], author: str) -> int:
    """Writes a command and wakes the scheduler when the transaction commits. Returns its id.

    Kinds: `cancel_run` and `retry_run` with {"run_id": …} and, to choose among its steps, {"steps": [numbers]}; `drain_worker`
    with {"team": …, "worker": id, "reason": …}; `evaluate_sensor` with {"team": …, "name": …};
    `retry_deliveries` of a reaction with {"team": …, "name": …, "deliveries": [ids]};
    `change_keys` with {"team": …, "name": …, "add": [keys], "remove": [keys]}.
    """
    statement = insert(t.commands).values(kind=kind, body=body, author=author).returning(t.commands.c.id)
    command_id = connection.execute(statement).scalar_one()
    connection.execute(text(f"NOTIFY {WAKE_CHANNEL}, 'command'"))
    return int(command_id)


def read_outcome(connection: Connection, command_id: int, kind: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """What became of a command of this kind whose body holds `body`: {} as long as nothing has; None when there is none with this id."""
    c = t.commands.c
    found = select(c.outcome).where(c.id == command_id, c.kind == kind, c.body.contains(body))
    row = connection.execute(found).one_or_none()
    return None if row is None else dict(row.outcome or {})


def read_pending(connection: Connection, limit: int = COMMANDS_AT_ONCE) -> list[PendingCommand]:
    """The commands to apply, oldest first."""
    c = t.commands.c
    rows = connection.execute(
        select(c.id, c.kind, c.body, c.author).where(c.applied_at.is_(None)).order_by(c.id).limit(limit)
    )
    return [PendingCommand(row.id, row.kind, row.body, row.author) for row in rows]
