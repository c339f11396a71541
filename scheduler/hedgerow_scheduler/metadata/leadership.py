"""The store of the leader row: who may write, and the guard that ends each of the leader's transactions."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, text

from hedgerow.errors import HedgerowError, PlatformError
from hedgerow_scheduler.metadata.writes import Writes

STALE_AFTER = timedelta(seconds=3)


RENEW = "UPDATE leader SET renewed_at = clock_timestamp() WHERE id = 1 AND epoch = %(epoch)s"


class DeposedError(PlatformError):
    """Another scheduler leads: nothing of this transaction may be committed."""


class Leadership(msgspec.Struct, frozen=True):
    """The epoch under which this process leads."""

    epoch: int
    holder: str


def try_to_lead(connection: Connection, holder: str) -> Leadership | None:
    """Takes the lead when no one has it or its holder has not renewed it for three seconds; None otherwise."""
    row = connection.execute(
        text(
            """
            INSERT INTO leader AS l (id, epoch, holder, renewed_at) VALUES (1, 1, :holder, clock_timestamp())
            ON CONFLICT (id) DO UPDATE SET epoch = l.epoch + 1, holder = :holder, renewed_at = clock_timestamp()
            WHERE l.renewed_at < clock_timestamp() - :stale OR l.holder = ''
            RETURNING epoch
            """
        ),
        {"holder": holder, "stale": STALE_AFTER},
    ).one_or_none()
    return Leadership(row.epoch, holder) if row else None


def guard(connection: Connection, leadership: Leadership) -> None:
    """Renews the lead at the end of a transaction; DeposedError when someone else has it."""
    written = connection.exec_driver_sql(
        "UPDATE leader SET renewed_at = clock_timestamp() WHERE id = 1 AND epoch = %(epoch)s",
        {"epoch": leadership.epoch},
    ).rowcount
    if written != 1:
        raise deposed(leadership)


def deposed(leadership: Leadership) -> HedgerowError:
    """The error of a scheduler that no longer leads."""
    return DeposedError.of(
        "HR-P302", f"This scheduler (epoch {leadership.epoch}) no longer leads.", "It stands by again by itself."
    )


def is_held(connection: Connection, leadership: Leadership) -> bool:
    """Whether the lead is still the one of this epoch."""
    epoch = connection.exec_driver_sql("SELECT epoch FROM leader WHERE id = 1").scalar_one_or_none()
    return bool(epoch == leadership.epoch)


def add_guard(writes: Writes, leadership: Leadership) -> None:
    """The same as the last of a transaction's writes: StaleWriteError at their flush when someone else has the lead."""
    writes.add(RENEW, 1, "leader rows", epoch=leadership.epoch)


def resign(connection: Connection, leadership: Leadership) -> None:
    """Gives the lead up at once, so that a standby need not wait."""
    connection.exec_driver_sql(
        "UPDATE leader SET holder = '' WHERE id = 1 AND epoch = %(epoch)s", {"epoch": leadership.epoch}
    )


def read_time(connection: Connection) -> datetime:
    """PostgreSQL's clock."""
    now = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
    assert isinstance(now, datetime)
    return now
