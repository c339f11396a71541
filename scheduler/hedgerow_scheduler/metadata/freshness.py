"""The store of freshness: which partitions are not fresh, and when what is current was made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ARRAY, Connection, Text, TextClause, any_, func, literal, select, text

from hedgerow_scheduler.automation.freshness import Status, Wanted
from hedgerow_scheduler.metadata.read_rows import all_rows
from hedgerow_scheduler.metadata.tables_freshness import freshness

UPSERT_FRESHNESS = """
INSERT INTO freshness (asset, partition, team, status, since)
SELECT asset, partition, team, status, %(now)s
FROM json_to_recordset(%(rows)s::json) AS u(asset text, partition text, team text, status text)
ON CONFLICT (asset, partition) DO UPDATE SET team = excluded.team, status = excluded.status, since = excluded.since
"""

DELETE_FRESHNESS = """
DELETE FROM freshness AS f USING json_to_recordset(%(rows)s::json) AS u(asset text, partition text)
WHERE (f.asset, f.partition) = (u.asset, u.partition)
"""

UPSERT_OBSERVATIONS = """
INSERT INTO observations (asset, at) SELECT asset, at FROM json_to_recordset(%(rows)s::json) AS u(asset text, at timestamptz)
ON CONFLICT (asset) DO UPDATE SET at = excluded.at
"""

_MADE = """
SELECT c.asset, c.partition, m.created_at FROM {} JOIN current_materializations AS c ON {}
JOIN materializations AS m ON (m.attempt_id, m.asset, m.partition) = (c.attempt_id, c.asset, c.partition)
"""
_ALL = text(_MADE.format("unnest(CAST(:keys AS text[])) AS u(asset)", "c.asset = u.asset"))
_SEEN = text(
    "SELECT asset, '' AS partition, at AS created_at FROM observations WHERE asset = ANY(CAST(:keys AS text[]))"
)
_SOME = text(
    _MADE.format(
        "unnest(CAST(:keys AS text[]), CAST(:partitions AS text[])) AS u(asset, partition)",
        "(c.asset, c.partition) = (u.asset, u.partition)",
    )
)
_FIRST = text(
    _MADE.format(
        "unnest(CAST(:keys AS text[]), CAST(:positions AS int[])) AS u(asset, position)",
        """c.asset = u.asset AND c.partition = CASE WHEN u.position = 0
            THEN (SELECT min(a.partition) FROM current_materializations AS a WHERE a.asset = u.asset)
            ELSE (SELECT a.partition FROM current_materializations AS a WHERE a.asset = u.asset
                  ORDER BY split_part(a.partition, '|', u.position + 1) LIMIT 1) END""",
    )
)


class Observation(msgspec.Struct, frozen=True):
    """UPSERT_OBSERVATIONS."""

    asset: str
    at: datetime


class NotFresh(msgspec.Struct, frozen=True):
    """A partition that is warned of or late, since when; see the table."""

    asset: str
    partition: str
    team: str
    status: Status
    since: datetime


class Counted(msgspec.Struct, frozen=True):
    """How many partitions of an asset are warned of, how many are late, and since when the first."""

    asset: str
    warned: int
    late: int
    since: datetime


def read_not_fresh(
    connection: Connection, among: tuple[Sequence[str], Sequence[str]] | None = None
) -> list[tuple[str, str, Status]]:
    """Everything that is not fresh, as (asset, partition, status); or only what is `among` these assets and these of their partitions."""
    c = freshness.c
    found = select(c.asset, c.partition, c.status)
    for column, values in zip((c.asset, c.partition), among or (), strict=False):
        found = found.where(column == any_(literal(list(values), ARRAY(Text))))
    return [(row.asset, row.partition, row.status) for row in connection.execute(found)]


def list_not_fresh(
    connection: Connection,
    *,
    status: Status | None = None,
    team: str | None = None,
    assets: Sequence[str] | None = None,
    after: tuple[str, str] | None = None,
    limit: int,
) -> tuple[NotFresh, ...]:
    """What is not fresh by asset and partition, at most `limit` after a pair."""
    c = freshness.c
    found = select(freshness)
    for column, value in ((c.status, status), (c.team, team)):
        if value is not None:
            found = found.where(column == value)
    if assets is not None:
        found = found.where(c.asset == any_(literal(list(assets), ARRAY(Text))))
    if after is not None:
        found = found.where(func.row(c.asset, c.partition) > func.row(*after))
    return all_rows(connection, found.order_by(c.asset, c.partition).limit(limit), NotFresh)


def count_not_fresh(connection: Connection, keys: Sequence[str]) -> dict[str, Counted]:
    """For each of `keys` that is not fresh: how much of it."""
    c = freshness.c
    warned, late = (
        func.count().filter(c.status == status).label(name) for status, name in (("warn", "warned"), ("late", "late"))
    )
    found = select(c.asset, warned, late, func.min(c.since).label("since")).where(c.asset.in_(keys)).group_by(c.asset)
    return {row.asset: row for row in all_rows(connection, found, Counted)}


def read_observed(connection: Connection, keys: Sequence[str]) -> dict[str, datetime]:
    """When external assets were last seen to change."""
    return {row.asset: row.created_at for row in connection.execute(_SEEN, {"keys": list(keys)})}


def read_made(
    connection: Connection, keys: Collection[str], windows: Mapping[str, Wanted]
) -> dict[str, list[tuple[str, datetime]]]:
    """What is current of `keys`, or was seen of external ones, and of assets by time what is wanted, with the times at which it was made, in order."""
    found: defaultdict[str, list[tuple[str, datetime]]] = defaultdict(list)
    pairs = [(key, name) for key, wanted in windows.items() for name in wanted.names]
    asked: tuple[tuple[TextClause, dict[str, list[Any]]], ...] = (
        (_ALL, {"keys": list(keys)}),
        (_SEEN, {"keys": list(keys)}),
        (_SOME, {"keys": [key for key, _ in pairs], "partitions": [name for _, name in pairs]}),
        (_FIRST, {"keys": list(windows), "positions": [wanted.position for wanted in windows.values()]}),
    )
    for statement, parameters in asked:
        if parameters["keys"]:
            for row in connection.execute(statement, parameters):
                found[row.asset].append((row.partition, row.created_at))
    return {key: sorted(made, key=lambda one: one[1]) for key, made in found.items()}
