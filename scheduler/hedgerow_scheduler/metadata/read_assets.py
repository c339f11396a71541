"""What was materialized of assets, as people look at it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, and_, any_, func, literal, select
from sqlalchemy.dialects.postgresql import distinct_on

from hedgerow_scheduler.metadata.read_rows import all_rows, one_row, page_rows
from hedgerow_scheduler.metadata.read_runs import CheckResult, Materialization, Step
from hedgerow_scheduler.metadata.tables import check_results, current_materializations, materializations, steps

current = current_materializations


class CurrentCount(msgspec.Struct, frozen=True):
    """How many partitions of an asset have a current materialization (1 at most without partitions), and when the newest was made."""

    asset: str
    partitions: int
    newest_at: datetime | None


def count_current(connection: Connection, keys: Sequence[str]) -> dict[str, CurrentCount]:
    """For each of `keys` that has a current materialization: how many, and the newest one's time."""
    found = (
        select(
            current.c.asset,
            func.count().label("partitions"),
            func.max(materializations.c.created_at).label("newest_at"),
        )
        .join(
            materializations,
            and_(
                materializations.c.attempt_id == current.c.attempt_id,
                materializations.c.asset == current.c.asset,
                materializations.c.partition == current.c.partition,
            ),
        )
        .where(current.c.asset.in_(keys))
        .group_by(current.c.asset)
    )
    return {row.asset: row for row in all_rows(connection, found, CurrentCount)}


def list_materializations(
    connection: Connection,
    asset: str,
    *,
    partition: str | None = None,
    states: Sequence[str] = (),
    before: int | None = None,
    limit: int,
) -> tuple[tuple[Materialization, ...], bool]:
    """A page of the materializations of an asset, the last dispatched first, those before the dispatch number `before`; and whether there
    are more.
    """
    found = select(materializations).where(materializations.c.asset == asset)
    if partition is not None:
        found = found.where(materializations.c.partition == partition)
    if states:
        found = found.where(materializations.c.state.in_(states))
    if before is not None:
        found = found.where(materializations.c.dispatch_seq < before)
    return page_rows(connection, found.order_by(materializations.c.dispatch_seq.desc()), Materialization, limit)


def last_checks(connection: Connection, asset: str, partition: str | None) -> tuple[CheckResult, ...]:
    """The latest verdict of every check of an asset, by name: on `partition`, or on any when it is None."""
    found = select(check_results).ext(distinct_on(check_results.c.check_name)).where(check_results.c.asset == asset)
    if partition is not None:
        found = found.where(check_results.c.partition == partition)
    return all_rows(
        connection, found.order_by(check_results.c.check_name, check_results.c.created_at.desc()), CheckResult
    )


def has_current(connection: Connection, asset: str, partition: str | None) -> bool:
    """Whether the asset has a current materialization: of `partition`, or of any when it is None."""
    found = select(literal(1)).where(current.c.asset == asset).limit(1)
    if partition is not None:
        found = found.where(current.c.partition == partition)
    return connection.execute(found).first() is not None


def last_step(connection: Connection, computation: str, asset: str, partition: str | None) -> Step | None:
    """The step that was last planned to make `asset` (of `partition`, or of any); runs' ids sort by time."""
    found = select(steps).where(steps.c.computation == computation, literal(asset) == any_(steps.c.assets))
    if partition is not None:
        found = found.where(steps.c.partition == partition)
    return one_row(connection, found.order_by(steps.c.run_id.desc(), steps.c.number.desc()).limit(1), Step)
