"""What the API says of freshness: how assets with a policy stand, and the partitions that are late or warned of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from sqlalchemy import Connection

from hedgerow.errors import RequestError
from hedgerow_scheduler.api.freshness_bodies import (
    FreshnessDetail,
    FreshnessPage,
    FreshnessSummary,
    LatePartition,
    Stands,
)
from hedgerow_scheduler.api.services import Services
from hedgerow_scheduler.api.teams import TeamFilter, find_team
from hedgerow_scheduler.automation.aging import deadline
from hedgerow_scheduler.automation.freshness import Status, is_watched
from hedgerow_scheduler.metadata.freshness import count_not_fresh, list_not_fresh, read_observed
from hedgerow_scheduler.metadata.read_assets import CurrentCount
from hedgerow_scheduler.partitions.spaces import space_of
from hedgerow_scheduler.planning.catalog import Catalog, CatalogAsset
from hedgerow_scheduler.planning.selection import select_keys

SHOWN = 20


def summaries(
    connection: Connection, catalog: Catalog, keys: Sequence[str], counts: dict[str, CurrentCount]
) -> dict[str, FreshnessSummary]:
    """How those of these assets stand that have a policy."""
    with_policy = [key for key in keys if is_watched(catalog.assets[key])]
    told = count_not_fresh(connection, with_policy) if with_policy else {}
    seen = read_observed(connection, [key for key in with_policy if catalog.assets[key].computation is None])
    found = {}
    for key in with_policy:
        one = told.get(key)
        warned, late, since = (one.warned, one.late, one.since) if one is not None else (0, 0, None)
        status: Stands = (
            "late" if late else "warn" if warned else "on_time" if key in counts or key in seen else "unknown"
        )
        found[key] = FreshnessSummary(status, warned, late, since)
    return found


def freshness_of(
    connection: Connection, catalog: Catalog, asset: CatalogAsset, count: CurrentCount | None, now: datetime
) -> FreshnessDetail | None:
    """How one asset stands; None without a policy."""
    policy, key = asset.definition.freshness, asset.definition.key
    if policy is None or not is_watched(asset):
        return None
    counts = {key: count} if count is not None else {}
    summary = summaries(connection, catalog, [key], counts)[key]
    newest = count.newest_at if count is not None else read_observed(connection, [key]).get(key)
    due = deadline(policy, space_of(asset.definition.partitions), newest, now)
    shown = list_not_fresh(connection, assets=[key], limit=SHOWN)
    return FreshnessDetail(policy, summary.status, summary.warned, summary.late, summary.since, due, shown)


@get("/freshness", tags=["assets"], sync_to_thread=True)
def show_freshness(
    services: NamedDependency[Services],
    status: Annotated[Status | None, QueryParameter(description="Only these: `warn` or `late`.")] = None,
    team: TeamFilter = None,
    select: Annotated[list[str] | None, QueryParameter(description="Selection items; all assets without.")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
) -> FreshnessPage:
    """The partitions that are late by their asset's freshness policy, or warned of."""
    with services.reading() as connection:
        catalog = services.catalog(connection)
        if team is not None:
            find_team(connection, team)
        keys = select_keys(catalog, select) if select else None
        found = list_not_fresh(connection, status=status, team=team, assets=keys, after=_place(cursor), limit=limit + 1)
    items = []
    for one in found[:limit]:
        asset = catalog.assets.get(one.asset)
        policy = asset.definition.freshness if asset is not None else None
        items.append(LatePartition(one.asset, one.partition, one.team, one.status, one.since, policy))
    last = items[-1] if len(found) > limit else None
    return FreshnessPage(tuple(items), f"{last.asset} {last.partition}" if last is not None else None)


def _place(cursor: str | None) -> tuple[str, str] | None:
    if cursor is None:
        return None
    asset, space, partition = cursor.partition(" ")
    if not space:
        raise RequestError.of("HR-Q310", f"The cursor '{cursor}' is not one.", "Use `next` of the page before.")
    return asset, partition


ROUTES = [show_freshness]
