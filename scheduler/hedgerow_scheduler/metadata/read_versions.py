"""What is current and what it was made from, as staleness compares it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.staleness import Made, Pair, Status, closure, judge, whole_upstreams
from hedgerow_scheduler.planning.unchanged import Earlier
from hedgerow_scheduler.planning.versions import Versions

# Each is looked up by its key, one after the other, the pointer first: of one partition there may be many materializations, and a plan
# that joins the tables is thousands of times slower whenever the planner has guessed wrongly how many of them there are.
_FROM_CURRENT = """
FROM unnest(%(asset)s::text[], %(partition)s::text[]) AS u(asset, partition)
CROSS JOIN LATERAL (
  SELECT * FROM current_materializations p WHERE p.asset = u.asset AND p.partition = u.partition OFFSET 0
) AS c
CROSS JOIN LATERAL (
  SELECT * FROM materializations o
  WHERE o.asset = c.asset AND o.partition = c.partition AND o.dispatch_seq = c.dispatch_seq AND o.attempt_id = c.attempt_id OFFSET 0
) AS m
LEFT JOIN LATERAL (SELECT inputs FROM attempts t WHERE t.id = c.attempt_id OFFSET 0) AS a ON true
"""

_MADE = f"""
SELECT c.asset, c.partition, coalesce(nullif(m.data_version, ''), '#' || c.dispatch_seq), m.code_version, c.dispatch_seq, a.inputs::text
{_FROM_CURRENT}
"""

_EARLIER = f"""
SELECT c.asset, c.partition, m.code_version, a.inputs::text, (r.request->'config')::text, m.created_at
{_FROM_CURRENT}
LEFT JOIN runs r ON r.id = m.run_id
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


def read_earlier(connection: Connection, pairs: Sequence[Pair]) -> dict[Pair, Earlier]:
    """The current materializations of (asset, partition) pairs, with the config of the runs that made them."""
    columns = {"asset": [asset for asset, _ in pairs], "partition": [partition for _, partition in pairs]}
    return {
        (asset, partition): Earlier(
            code_version, _inputs.decode(inputs) if inputs else None, msgspec.json.decode(config) if config else {}, at
        )
        for asset, partition, code_version, inputs, config, at in connection.exec_driver_sql(_EARLIER, columns)
    }
