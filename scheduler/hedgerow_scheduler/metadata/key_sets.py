"""The store of the keys of dynamic partitions. The leader is the only one who changes them."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, select

from hedgerow_scheduler.metadata.read_rows import all_rows
from hedgerow_scheduler.metadata.tables_partitions import dynamic_partitions
from hedgerow_scheduler.partitions.key_sets import StoredKey

# A key that comes back keeps its number, and so does one that is removed: sets of partitions are stored by numbers.
UPSERT_KEYS = """
INSERT INTO dynamic_partitions (team, name, number, key, seq, author, changed_at, is_there)
SELECT team, name, number, key, seq, author, %(now)s, is_there
FROM json_to_recordset(%(rows)s::json) AS u(
    team text, name text, number int, key text, seq bigint, author text, is_there boolean
  )
ON CONFLICT (team, name, number) DO UPDATE
SET seq = excluded.seq, author = excluded.author, changed_at = excluded.changed_at, is_there = excluded.is_there
"""


class KeyEntry(msgspec.Struct, frozen=True):
    """A key as people see it: who changed it last, and when."""

    key: str
    is_there: bool
    author: str
    changed_at: datetime


class SetCount(msgspec.Struct, frozen=True):
    """How many keys a set has, and how many it had that were removed."""

    team: str
    name: str
    keys: int
    removed: int
    changed_at: datetime | None = None


class KeyRow(msgspec.Struct, frozen=True):
    """A key to be recorded."""

    team: str
    name: str
    number: int
    key: str
    seq: int
    author: str
    is_there: bool


def row_of(stored: StoredKey, author: str) -> KeyRow:
    """The row of a key that was changed."""
    return KeyRow(stored.team, stored.name, stored.number, stored.key, stored.seq, author, stored.is_there)


def read_keys(connection: Connection, since: int = 0) -> tuple[StoredKey, ...]:
    """The keys of all sets that were changed after the place `since` in the order of changes."""
    c = dynamic_partitions.c
    found = select(*(c[name] for name in StoredKey.__struct_fields__))
    return all_rows(connection, found.where(c.seq > since) if since else found, StoredKey)


def list_sets(connection: Connection) -> tuple[SetCount, ...]:
    """The sets that have, or had, keys, by team and name."""
    c = dynamic_partitions.c
    there = func.count().filter(c.is_there)
    gone = func.count().filter(~c.is_there)
    found = select(
        c.team, c.name, there.label("keys"), gone.label("removed"), func.max(c.changed_at).label("changed_at")
    )
    return all_rows(connection, found.group_by(c.team, c.name).order_by(c.team, c.name), SetCount)


def list_keys(
    connection: Connection, team: str, name: str, *, after: str | None, limit: int, removed: bool
) -> tuple[KeyEntry, ...]:
    """The keys of a set in order of their text, from the one after `after` on: those that exist, or those that were `removed`."""
    c = dynamic_partitions.c
    found = select(c.key, c.is_there, c.author, c.changed_at).where(c.team == team, c.name == name)
    found = found.where(~c.is_there if removed else c.is_there)
    if after is not None:
        found = found.where(c.key > after)
    return all_rows(connection, found.order_by(c.key).limit(limit), KeyEntry)
