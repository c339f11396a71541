"""The store of manifests, locations and ownership."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, case, func, select

from hedgerow.manifest.model import decode
from hedgerow_scheduler.metadata import tables as t
from hedgerow_scheduler.partitions.key_sets import KeySets
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest
from hedgerow_scheduler.planning.sharing import share_conditions

LATELY = timedelta(days=1)


def read_catalog(connection: Connection, key_sets: KeySets) -> Catalog:
    """The catalog of all manifests in force, their dynamic partitions bound to the keys of `key_sets`."""
    in_force = select(t.manifests.c.hash, t.manifests.c.body).join(
        t.locations, t.locations.c.manifest_hash == t.manifests.c.hash
    )
    return Catalog(_published(row.hash, row.body, key_sets) for row in connection.execute(in_force))


def read_accepted(connection: Connection, key_sets: KeySets, catalog: Catalog) -> list[PublishedManifest]:
    """The manifests that are in force or served by a known worker, in the order in which they were accepted; those of `catalog` as it
    has them.
    """
    known = {published.hash: published for published in catalog.published.values()}
    body = case((t.manifests.c.hash.not_in(list(known)), t.manifests.c.body))
    served = select(t.workers.c.manifest_hash)
    in_force = select(t.locations.c.manifest_hash).where(t.locations.c.manifest_hash.is_not(None))  # NULL sorts last
    rows = connection.execute(
        select(t.manifests.c.hash, body.label("body"))
        .where(
            t.manifests.c.accepted_at.is_not(None),
            t.manifests.c.hash.in_(served) | t.manifests.c.hash.in_(in_force),
        )
        .order_by(t.manifests.c.hash.in_(in_force), t.manifests.c.accepted_at)
    )
    return [known.get(row.hash) or _published(row.hash, row.body, key_sets) for row in rows]


def _published(manifest_hash: str, body: bytes, key_sets: KeySets) -> PublishedManifest:
    return PublishedManifest(manifest_hash, share_conditions(key_sets.bind(decode(body))))


def read_lately(connection: Connection) -> list[str]:
    """The manifests in force that were accepted within the last day, the latest first."""
    in_force = select(t.locations.c.manifest_hash)
    lately = select(t.manifests.c.hash).where(
        t.manifests.c.hash.in_(in_force), t.manifests.c.accepted_at > func.clock_timestamp() - LATELY
    )
    return list(connection.scalars(lately.order_by(t.manifests.c.accepted_at.desc(), t.manifests.c.hash)))


def read_owners(connection: Connection) -> dict[str, tuple[str, str]]:
    """Every key ever published, with the (team, location) it belongs to."""
    owners = t.asset_owners.c
    return {
        row.key: (row.team, row.location)
        for row in connection.execute(select(owners.key, owners.team, owners.location))
    }
