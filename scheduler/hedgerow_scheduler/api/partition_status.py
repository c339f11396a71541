"""The route of an asset's partitions: how many of a range are materialized, missing, failed or stale, and which."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from pyroaring import BitMap
from sqlalchemy import Connection

from hedgerow import clock
from hedgerow.errors import RequestError
from hedgerow_scheduler.api.assets import find_asset
from hedgerow_scheduler.api.services import Services
from hedgerow_scheduler.metadata.backfills import read_failed, read_materialized
from hedgerow_scheduler.metadata.read_versions import read_statuses
from hedgerow_scheduler.partitions.ranges import ranges, summary
from hedgerow_scheduler.partitions.spaces import Space, space_of
from hedgerow_scheduler.planning.catalog import Catalog, CatalogAsset

MAX_JUDGED = 5_000  # materialized partitions of a range whose inputs are compared
MAX_UPSTREAM = 20_000


class PartitionsOf(msgspec.Struct, frozen=True):
    """The partitions from `first` to `last`, both included; they differ in the dimension of time only, or by key where there is none."""

    first: str
    last: str
    partitions: int


class PartitionsIn(msgspec.Struct, frozen=True):
    """How many partitions are in one state, and which: as ranges, and how many more ranges there are."""

    partitions: int
    ranges: tuple[PartitionsOf, ...]
    more_ranges: int


class PartitionsStatus(msgspec.Struct, frozen=True):
    """How many of the partitions that exist, or of a range of them, are in which state. `failed` are those whose last step failed, some of
    which may be materialized; `stale` is None when there are too many to compare.
    """

    asset: str
    partitions: int
    materialized: PartitionsIn
    missing: PartitionsIn
    failed: PartitionsIn
    stale: PartitionsIn | None


@get("/partitions/{key:path}", tags=["assets"], sync_to_thread=True)
def show_partitions(
    services: NamedDependency[Services],
    key: FromPath[str],
    first: Annotated[str | None, QueryParameter(description="The first partition of a range; all without.")] = None,
    last: Annotated[str | None, QueryParameter(description="The last one; `first` alone without.")] = None,
    ranges_of_each: Annotated[
        int, QueryParameter(name="ranges", ge=0, le=1_000, description="Ranges of each state.")
    ] = 20,
) -> PartitionsStatus:
    """The partitions of an asset by state."""
    key, now = key.strip("/"), clock.now()
    with services.reading() as connection:
        catalog = services.catalog(connection)
        asset = find_asset(catalog, key)
        if asset.definition.partitions is None:
            raise RequestError.of("HR-Q101", f"Asset '{key}' has no partitions.", f"See `hedgerow asset show {key}`.")
        space = space_of(asset.definition.partitions)
        chosen = space.existing(now) if first is None else space.range(first, last if last is not None else first, now)
        materialized = read_materialized(connection, key, asset.definition.partitions) & chosen
        failed = read_failed(connection, key, asset.definition.partitions) & chosen
        stale = _stale(connection, catalog, asset, materialized, now)
    sets: Mapping[str, BitMap] = {"materialized": materialized, "missing": chosen - materialized, "failed": failed}
    counts = summary(space, sets, now)
    told = {name: _told(space, of, counts[name], ranges_of_each) for name, of in sets.items()}
    stale_told = None if stale is None else _told(space, stale, len(stale), ranges_of_each)
    return PartitionsStatus(key, len(chosen), told["materialized"], told["missing"], told["failed"], stale_told)


def _stale(
    connection: Connection, catalog: Catalog, asset: CatalogAsset, materialized: BitMap, now: datetime
) -> BitMap | None:
    if asset.computation is None or len(materialized) > MAX_JUDGED:
        return None
    space = space_of(asset.definition.partitions)
    pairs = {(asset.key, space.key(number) or ""): number for number in materialized}
    try:
        statuses = read_statuses(connection, catalog, list(pairs), now, MAX_UPSTREAM)
    except RequestError:  # more is upstream of them than one look is worth
        return None
    return BitMap(number for pair, number in pairs.items() if statuses[pair].kind == "stale")


def _told(space: Space, of: BitMap, count: int, most: int) -> PartitionsIn:
    found = ranges(space, of, most)
    listed = tuple(PartitionsOf(each.first or "", each.last or "", each.partitions) for each in found.listed)
    return PartitionsIn(count, listed, found.more_ranges)


ROUTES = [show_partitions]
