"""Routes of assets: list, search, look at, materializations, graph."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy import Connection

from hedgerow import clock
from hedgerow.errors import RequestError
from hedgerow.partitions import algebra
from hedgerow.partitions.model import DynamicPartitions, dimensions
from hedgerow.suggestion import did_you_mean
from hedgerow_scheduler.api.bodies import (
    AssetDetail,
    AssetPage,
    AssetSummary,
    Edge,
    Graph,
    GraphNode,
    MaterializationPage,
)
from hedgerow_scheduler.api.freshness import freshness_of, summaries
from hedgerow_scheduler.api.launchers import launchers_of
from hedgerow_scheduler.api.services import Services
from hedgerow_scheduler.api.staleness import not_fresh, staleness_of
from hedgerow_scheduler.automation.pauses import Pauses
from hedgerow_scheduler.lifecycle.states import MaterializationState
from hedgerow_scheduler.metadata import pauses
from hedgerow_scheduler.metadata.backfills import read_materialized
from hedgerow_scheduler.metadata.read_assets import count_current, last_checks, list_materializations
from hedgerow_scheduler.partitions.spaces import space_of
from hedgerow_scheduler.planning.catalog import Catalog, CatalogAsset
from hedgerow_scheduler.planning.selection import select_keys

Selection = Annotated[
    list[str] | None,
    QueryParameter(description="Selection items, such as a key, a glob, `group:sales`, `+key`; all assets without."),
]


@get("/assets", tags=["assets"], sync_to_thread=True)
def show_assets(
    services: NamedDependency[Services],
    select: Selection = None,
    search: Annotated[
        str | None,
        QueryParameter(description="Words that key, description, group, kinds, owners, tags or columns must all hold."),
    ] = None,
    stale: Annotated[bool, QueryParameter(description="Only those of which something is missing or stale.")] = False,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
) -> AssetPage:
    """Assets by key."""
    with services.reading() as connection:
        catalog = services.catalog(connection)
        keys = select_keys(catalog, select or ())
        if search:
            words = search.lower().split()
            keys = tuple(key for key in keys if _holds(catalog.assets[key], words))
        staleness = not_fresh(connection, catalog, keys, clock.now()) if stale else {}
        if stale:
            keys = tuple(key for key in keys if key in staleness)
        page = [key for key in keys if cursor is None or key > cursor][: limit + 1]
        counts = count_current(connection, page[:limit])
        fresh = summaries(connection, catalog, page[:limit], counts)
    items = []
    for key in page[:limit]:
        asset, count = catalog.assets[key], counts.get(key)
        what = asset.definition
        items.append(
            AssetSummary(
                key=key,
                team=asset.team,
                location=asset.location,
                group=what.group,
                kinds=what.kinds,
                owners=what.owners,
                tags=what.tags,
                description=what.description,
                external=asset.computation is None,
                partitioned=what.partitions is not None,
                current=count.partitions if count else 0,
                newest_at=count.newest_at if count else None,
                staleness=staleness.get(key),
                freshness=fresh.get(key),
            )
        )
    return AssetPage(tuple(items), page[limit - 1] if len(page) > limit else None, len(keys))


def _holds(asset: CatalogAsset, words: Sequence[str]) -> bool:
    what = asset.definition
    tags = (f"{name}={value}" for name, value in what.tags.items())
    columns = (f"{column.name} {column.description}" for column in what.columns)
    text = " ".join(
        (what.key, asset.team, what.description, what.group, *what.kinds, *what.owners, *tags, *columns)
    ).lower()
    return all(word in text for word in words)


def find_asset(catalog: Catalog, key: str) -> CatalogAsset:
    """The asset of this key; RequestError HR-Q307 when no manifest in force declares it."""
    if key not in catalog.assets:
        raise RequestError.of(
            "HR-Q307",
            f"No team declares an asset '{key}'.",
            did_you_mean(key, catalog.assets) or "No team has published any asset yet: start a worker.",
        )
    return catalog.assets[key]


@get("/assets/{key:path}", tags=["assets"], sync_to_thread=True)
def show_asset(
    services: NamedDependency[Services],
    key: FromPath[str],
    partition: Annotated[
        str | None, QueryParameter(description="Of this partition alone: last, verdicts, staleness.")
    ] = None,
) -> AssetDetail:
    """An asset: its definition, what it is made from and what is made from it, its latest materialization and verdicts, what of it
    is missing or stale, and whether it is on time.
    """
    key, now = key.strip("/"), clock.now()
    with services.reading() as connection:
        catalog = services.catalog(connection)
        asset = find_asset(catalog, key)
        count = count_current(connection, [key]).get(key)
        current = _count_existing(connection, asset, count.partitions if count else 0, now)
        last, _ = list_materializations(connection, key, partition=partition, limit=1)
        verdicts = last_checks(connection, key, partition)
        staleness = staleness_of(connection, catalog, asset, partition, now)
        freshness = freshness_of(connection, catalog, asset, count, now)
        held = Pauses(pauses.read_pauses(connection)).over_asset(asset.team, key, now)
    partitions = asset.definition.partitions
    return AssetDetail(
        key=key,
        team=asset.team,
        location=asset.location,
        definition=asset.definition,
        computation=asset.computation,
        checks=asset.checks,
        upstream=catalog.upstream(key),
        downstream=catalog.downstream(key),
        partitions=None if partitions is None else algebra.count(partitions, now),
        current=current,
        last=last[0] if last else None,
        check_results=verdicts,
        staleness=staleness,
        freshness=freshness,
        pause=held,
        launched_by=launchers_of(catalog, key),
    )


def _count_existing(connection: Connection, asset: CatalogAsset, counted: int, now: datetime) -> int:
    """How many of the partitions that exist are materialized, of `counted` that are or were: keys that were removed do not count."""
    partitions = asset.definition.partitions
    if partitions is None or not any(isinstance(dim, DynamicPartitions) for dim in dimensions(partitions)):
        return counted
    existing = space_of(partitions).existing(now)
    return read_materialized(connection, asset.key, partitions).intersection_cardinality(existing)


@get("/materializations", tags=["assets"], sync_to_thread=True)
def show_materializations(
    services: NamedDependency[Services],
    asset: Annotated[str, QueryParameter(description="The asset's key.")],
    partition: FromQuery[str | None] = None,
    states: Annotated[
        list[MaterializationState] | None, QueryParameter(name="state", description="In one of these states.")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 50,
    cursor: Annotated[int | None, QueryParameter(description="`next` of the page before.")] = None,
) -> MaterializationPage:
    """Materializations of an asset, the last dispatched first. The key is a parameter here: a path after it would be a key too."""
    with services.reading() as connection:
        found, more = list_materializations(
            connection, asset, partition=partition, states=states or (), before=cursor, limit=limit
        )
        if not found:
            find_asset(services.catalog(connection), asset)
    return MaterializationPage(found, str(found[-1].dispatch_seq) if more else None)


@get("/graph", tags=["assets"], sync_to_thread=True)
def show_graph(services: NamedDependency[Services], select: Selection = None) -> Graph:
    """The assets of a selection with the edges between them, and upstream keys that nobody declares."""
    with services.reading() as connection:
        catalog = services.catalog(connection)
    keys = select_keys(catalog, select or ())
    if len(keys) > services.limits.graph_nodes:
        raise RequestError.of(
            "HR-Q314",
            f"The selection has {len(keys)} assets; a graph shows {services.limits.graph_nodes}.",
            "Select fewer.",
        )
    shown = set(keys)
    nodes, edges = [], []
    for key in keys:
        asset = catalog.assets[key]
        nodes.append(GraphNode(key, asset.team, asset.definition.group, asset.computation is None))
        for upstream in catalog.upstream(key):
            if upstream not in catalog.assets and upstream not in shown:
                nodes.append(GraphNode(upstream, "", "", external=False, unresolved=True))
                shown.add(upstream)
            if upstream in shown:
                edges.append(Edge(upstream, key))
    return Graph(tuple(sorted(nodes, key=lambda node: node.key)), tuple(edges))


ROUTES = [show_assets, show_asset, show_materializations, show_graph]
