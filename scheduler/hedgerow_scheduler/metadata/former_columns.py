"""The columns of what was accepted last of assets, as dispatch reads them."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import Connection

from hedgerow.manifest.model import Column
from hedgerow_scheduler.planning.former_columns import Former, bare

# The pointers of an asset from the newest down to the first whose output has columns: mostly the very first.
_FORMER = """
SELECT u.asset, f.dispatch_seq, f.columns::text
FROM unnest(%(assets)s::text[]) AS u(asset)
CROSS JOIN LATERAL (
  SELECT c.dispatch_seq, m.columns
  FROM (
    SELECT * FROM current_materializations p WHERE p.asset = u.asset ORDER BY p.dispatch_seq DESC OFFSET 0
  ) AS c
  CROSS JOIN LATERAL (
    SELECT columns, state FROM materializations o
    WHERE o.asset = c.asset AND o.partition = c.partition AND o.dispatch_seq = c.dispatch_seq AND o.attempt_id = c.attempt_id
    OFFSET 0
  ) AS m
  WHERE m.state = 'current' AND m.columns <> '[]'
  ORDER BY c.dispatch_seq DESC
  LIMIT 1
) AS f
"""

# Where all that is current has no columns, or was rejected afterwards: what was current before. It takes as long as the asset has outputs.
_SUPERSEDED = """
SELECT DISTINCT ON (asset) asset, dispatch_seq, columns::text FROM materializations
WHERE asset = ANY(%(assets)s::text[]) AND state = 'superseded' AND columns <> '[]'
ORDER BY asset, dispatch_seq DESC
"""

_columns = msgspec.json.Decoder(tuple[Column, ...])


def read_former(connection: Connection, assets: Collection[str]) -> dict[str, Former]:
    """Of each asset the newest materialization that is current in its partition and has columns, or that was; assets without one are left out."""
    found: dict[str, Former] = {}
    for statement in (_FORMER, _SUPERSEDED):
        if lacking := [asset for asset in assets if asset not in found]:
            for asset, dispatch_seq, columns in connection.exec_driver_sql(statement, {"assets": lacking}):
                found[asset] = Former(dispatch_seq, bare(_columns.decode(columns)))
    return found
