"""What is current and what it was made from, as staleness compares it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.staleness import Made, Pair, Status, closure, judge, whole_upstreams
from hedgerow_scheduler.planning.versions import Versions

_MADE = """
SELECT c.asset, c.partition, coalesce(nullif(m.data_version, ''), '#' || c.dispatch_seq), m.code_version, c.dispatch_seq, a.inputs::text
FROM unnest(%(asset)s::text[], %(partition)s::text[]) AS u(asset, partition)
CROSS JOIN LATERAL (  -- the pointer first: of one partition there may be many materializations
  SELECT * FROM current_materializations p WHERE p.asset = u.asset AND p.partition = u.partition OFFSET 0
) AS c
JOIN materializations m
  ON m.asset = c.asset AND m.partition = c.partition AND m.dispatch_seq = c.dispatch_seq AND m.attempt_id = c.attempt_id
LEFT JOIN attempts a ON a.id = c.attempt_id
"""

_NEWEST = """
SELECT asset, max(dispatch_seq) FROM current_materializations WHERE asset = ANY(%(assets)s::text[]) GROUP BY asset
"""

_inputs = msgspec.json.Decoder(dict[str, Versions])


def read_made(connection: Connection, pairs: Sequence[Pair]) -> dict[Pair, Made]:
    """The current materializations of (asset, partition) pairs; those that have none are left out."""
    columns = {"asset": [asset for asset, _ in pairs], "partition": [partition for _, partition in pairs]}
    return {
        (asset, partition): Made(version, code_version, dispatch_seq, _inputs.decode(inputs) if inputs else None)
        for asset, partition, version, code_version, dispatch_seq, inputs in connection.exec_driver_sql(_MADE, columns)
    }


def read_newest(connection: Connection, assets: Iterable[str]) -> dict[str, int]:
    """The last dispatch number of any current partition of each asset that has one."""
    keys = sorted(assets)
    return {row[0]: row[1] for row in connection.exec_driver_sql(_NEWEST, {"assets": keys})} if keys else {}


def read_statuses(
    connection: Connection, catalog: Catalog, pairs: Iterable[Pair], now: datetime, limit: int | None = None
) -> dict[Pair, Status]:
    """The status of (asset, partition) pairs, and of all that is upstream of them. RequestError HR-Q009 when they are over `limit`."""
    nodes = closure(catalog, pairs, now, limit)
    made = read_made(connection, [node.pair for node in nodes])
    return judge(nodes, made, read_newest(connection, whole_upstreams(nodes)))
