"""The store of manifests, locations and ownership."""

from __future__ import annotations

from sqlalchemy import Connection, select

from hedgerow.manifest.model import decode
from hedgerow_scheduler.metadata import tables as t
from hedgerow_scheduler.partitions.key_sets import KeySets
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest


def read_catalog(connection: Connection, key_sets: KeySets) -> Catalog:
    """The catalog of all manifests in force, their dynamic partitions bound to the keys of `key_sets`."""
    in_force = select(t.manifests.c.hash, t.manifests.c.body).join(
        t.locations, t.locations.c.manifest_hash == t.manifests.c.hash
    )
    return Catalog(PublishedManifest(row.hash, key_sets.bind(decode(row.body))) for row in connection.execute(in_force))


def read_accepted(connection: Connection, key_sets: KeySets) -> list[PublishedManifest]:
    """The manifests that are in force or served by a known worker, in the order in which they were accepted."""
    served = select(t.workers.c.manifest_hash)
    in_force = select(t.locations.c.manifest_hash).where(t.locations.c.manifest_hash.is_not(None))  # NULL sorts last
    rows = connection.execute(
        select(t.manifests.c.hash, t.manifests.c.body)
        .where(
            t.manifests.c.accepted_at.is_not(None),
            t.manifests.c.hash.in_(served) | t.manifests.c.hash.in_(in_force),
        )
        .order_by(t.manifests.c.hash.in_(in_force), t.manifests.c.accepted_at)
    )
    return [PublishedManifest(row.hash, key_sets.bind(decode(row.body))) for row in rows]


def read_owners(connection: Connection) -> dict[str, tuple[str, str]]:
    """Every key ever published, with the (team, location) it belongs to."""
    owners = t.asset_owners.c
    return {
        row.key: (row.team, row.location)
        for row in connection.execute(select(owners.key, owners.team, owners.location))
    }
