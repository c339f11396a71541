"""The route of a check's history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from hedgerow.errors import RequestError
from hedgerow.suggestion import did_you_mean
from hedgerow_scheduler.api.assets import find_asset
from hedgerow_scheduler.api.bodies import CheckResultPage
from hedgerow_scheduler.api.services import Services
from hedgerow_scheduler.metadata.read_checks import list_verdicts
from hedgerow_scheduler.metadata.read_runs import CheckResult
from hedgerow_scheduler.planning.catalog import Catalog


@get("/check-results", tags=["assets"], sync_to_thread=True)
def show_check_results(
    services: NamedDependency[Services],
    asset: Annotated[str, QueryParameter(description="The asset's key.")],
    check: Annotated[str, QueryParameter(description="The check's name.")],
    partition: FromQuery[str | None] = None,
    passed: Annotated[bool | None, QueryParameter(description="Only those that passed, or that failed.")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 50,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
) -> CheckResultPage:
    """Verdicts of one check of an asset, newest first, also of a check that is not declared any more."""
    before = _place(cursor) if cursor is not None else None
    with services.reading() as connection:
        found, more = list_verdicts(
            connection, asset, check, partition=partition, passed=passed, before=before, limit=limit
        )
        if not found:
            _refuse_unknown(services.catalog(connection), asset, check)
    return CheckResultPage(found, _cursor(found[-1]) if more else None)


def _refuse_unknown(catalog: Catalog, asset: str, check: str) -> None:
    names = [one.name for one in find_asset(catalog, asset).checks]
    if check not in names:
        raise RequestError.of(
            "HR-Q370",
            f"Asset '{asset}' has no check '{check}'.",
            did_you_mean(check, names) or "No check of this asset is declared.",
        )


def _cursor(verdict: CheckResult) -> str:
    """Where a page ends: many verdicts are recorded at one time. Without characters that a URL would have to escape."""
    return f"{verdict.created_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}_{verdict.attempt_id}"


def _place(cursor: str) -> tuple[datetime, str]:
    at, _, attempt = cursor.partition("_")
    try:
        return datetime.fromisoformat(at), str(UUID(attempt))
    except ValueError:
        raise RequestError.of(
            "HR-Q310", f"The cursor '{cursor}' is not one.", "Use `next` of the page before."
        ) from None


ROUTES = [show_check_results]
