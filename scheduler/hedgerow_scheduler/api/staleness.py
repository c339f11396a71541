"""What the API says of staleness: how many partitions of an asset are missing, stale or fresh, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from hedgerow.errors import RequestError
from hedgerow.partitions import algebra
from hedgerow_scheduler.api.bodies import PartitionStatus, StaleCauseView, StaleCounts, Staleness
from hedgerow_scheduler.metadata.read_versions import read_statuses
from hedgerow_scheduler.planning.catalog import Catalog, CatalogAsset
from hedgerow_scheduler.planning.staleness import Pair, StaleCause, Status, counts

MAX_JUDGED = 1_000  # partitions of one asset; of more, those of the latest window
MAX_UPSTREAM = 20_000  # partitions, those of the asset among them, that are compared when someone looks at one asset
MAX_TOLD = 20


def staleness_of(
    connection: Connection, catalog: Catalog, asset: CatalogAsset, partition: str | None, now: datetime
) -> Staleness | None:
    """The status of an asset: of `partition`, or of all of them. None when it is external, when there is no such partition, or when
    more is upstream of it than one look at it is worth.
    """
    if asset.computation is None:
        return None
    if partition is not None and algebra.key_problem(asset.definition.partitions, partition or None, now):
        return None
    pairs = [(asset.key, partition)] if partition is not None else _pairs(asset, now)
    try:
        statuses = read_statuses(connection, catalog, pairs, now, MAX_UPSTREAM)
    except RequestError:
        return None
    found = [statuses[pair] for pair in pairs]
    told = [_partition(pair, status) for pair, status in zip(pairs, found, strict=True) if status.kind != "fresh"]
    partitions = asset.definition.partitions
    is_all = partition is not None or partitions is None or len(pairs) == algebra.count(partitions, now)
    return Staleness(**counts(found), of_all=is_all, partitions=tuple(told[:MAX_TOLD]))


def not_fresh(connection: Connection, catalog: Catalog, keys: Sequence[str], now: datetime) -> dict[str, StaleCounts]:
    """Those of these assets of which something is missing or stale, with how much, and the first reason."""
    by_key = {key: _pairs(catalog.assets[key], now) for key in keys if catalog.assets[key].computation is not None}
    statuses = read_statuses(connection, catalog, [pair for pairs in by_key.values() for pair in pairs], now)
    found = {}
    for key, pairs in by_key.items():
        theirs = [statuses[pair] for pair in pairs]
        if any(status.kind != "fresh" for status in theirs):
            why = next((status.causes[0].text(key) for status in theirs if status.causes), "")
            found[key] = StaleCounts(**counts(theirs), why=why)
    return found


def _pairs(asset: CatalogAsset, now: datetime) -> list[Pair]:
    """The partitions to look at."""
    partitions = asset.definition.partitions
    if partitions is None:
        return [(asset.key, "")]
    few = algebra.count(partitions, now) <= MAX_JUDGED
    chosen = algebra.keys(partitions, now) if few else algebra.latest(partitions, now)[:MAX_JUDGED]
    return [(asset.key, key) for key in chosen]


def _partition(pair: Pair, status: Status) -> PartitionStatus:
    return PartitionStatus(pair[1], status.kind, tuple(_cause(cause, pair[0]) for cause in status.causes))


def _cause(cause: StaleCause, seen_from: str) -> StaleCauseView:
    return StaleCauseView(
        kind=cause.kind,
        asset=cause.asset,
        partition=cause.partition,
        partitions=cause.partitions,
        before=cause.before,
        after=cause.after,
        message=cause.text(seen_from),
        roots=tuple(root.text() for root in cause.roots),
    )
