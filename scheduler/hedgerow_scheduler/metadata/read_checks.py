"""The verdicts of checks through time, as people look at them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, literal, select, tuple_

from hedgerow_scheduler.metadata.read_rows import page_rows
from hedgerow_scheduler.metadata.read_runs import CheckResult
from hedgerow_scheduler.metadata.tables import check_results


def list_verdicts(
    connection: Connection,
    asset: str,
    check: str,
    *,
    partition: str | None = None,
    passed: bool | None = None,
    before: tuple[datetime, str] | None = None,
    limit: int,
) -> tuple[tuple[CheckResult, ...], bool]:
    """A page of the verdicts of one check of an asset, newest first, those before a time and attempt id; and whether there are more."""
    c = check_results.c
    found = select(check_results).where(c.asset == asset, c.check_name == check)
    if partition is not None:
        found = found.where(c.partition == partition)
    if passed is not None:
        found = found.where(c.passed == passed)
    if before is not None:
        place = (literal(before[0], c.created_at.type), literal(before[1], c.attempt_id.type))
        found = found.where(tuple_(c.created_at, c.attempt_id) < tuple_(*place))
    return page_rows(connection, found.order_by(c.created_at.desc(), c.attempt_id.desc()), CheckResult, limit)
