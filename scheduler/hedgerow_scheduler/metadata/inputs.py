"""The store of current materializations, as dispatch reads it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from hedgerow.protocol.references import Reference

_CURRENT = """
SELECT u.asset, u.partition, CASE WHEN m.state <> 'rejected' THEN m.reference END::text, coalesce(nullif(m.data_version, ''), '#' || c.dispatch_seq), EXISTS (
         SELECT FROM materializations h
         WHERE h.asset = u.asset AND h.partition = u.partition AND h.state IN ('candidate', 'unchecked', 'rejected')
           AND h.dispatch_seq >= coalesce(c.dispatch_seq, 0)
       ) AS held_back
FROM unnest(%(asset)s::text[], %(partition)s::text[]) AS u(asset, partition)
LEFT JOIN current_materializations c USING (asset, partition)
LEFT JOIN materializations m
  ON m.asset = c.asset AND m.partition = c.partition AND m.dispatch_seq = c.dispatch_seq AND m.attempt_id = c.attempt_id
"""

_reference = msgspec.json.Decoder(Reference)


class Stored(msgspec.Struct, frozen=True):
    """What is there of (asset, partition) pairs: the current references, those of which a newer output is held back by a check, and
    the data versions of what is current. One without a version is known by its dispatch number, such as `#17`.
    """

    current: dict[tuple[str, str], Reference]
    held_back: frozenset[tuple[str, str]]
    versions: dict[tuple[str, str], str] = {}


def read_stored(connection: Connection, pairs: Sequence[tuple[str, str]]) -> Stored:
    """What is stored of (asset, partition) pairs."""
    columns = {"asset": [asset for asset, _ in pairs], "partition": [partition for _, partition in pairs]}
    current: dict[tuple[str, str], Reference] = {}
    versions: dict[tuple[str, str], str] = {}
    held_back = set()
    for asset, partition, reference, version, is_held_back in connection.exec_driver_sql(_CURRENT, columns):
        if reference is not None:
            current[asset, partition] = _reference.decode(reference)
        if version is not None:
            versions[asset, partition] = version
        if is_held_back:
            held_back.add((asset, partition))
    return Stored(current, frozenset(held_back), versions)


def read_dispatch_seq(connection: Connection) -> int:
    """The highest number any attempt was dispatched under."""
    return int(connection.exec_driver_sql("SELECT coalesce(max(dispatch_seq), 0) FROM attempts").scalar_one())
