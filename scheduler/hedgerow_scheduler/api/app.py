"""The HTTP API: routes, errors, limits and documents put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import msgspec
from litestar import Litestar, MediaType, Request, Response, Router, get
from litestar.datastructures import ResponseHeader, State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from hedgerow_scheduler.api import (
    assets,
    backfills,
    changes,
    checks,
    conditions,
    explain,
    freshness,
    health,
    limits,
    manifests,
    partition_status,
    partitions,
    pauses,
    reactions,
    runs,
    schedules,
    sensors,
    teams,
    workers,
)
from hedgerow_scheduler.api.changes import ChangeFeed
from hedgerow_scheduler.api.metrics import CountRequests, Metrics, show_metrics
from hedgerow_scheduler.api.problems import HANDLERS, inspect
from hedgerow_scheduler.api.services import Services

PREFIX = "/api/v1"


@get(f"{PREFIX}/openapi.json", include_in_schema=False, sync_to_thread=False)
def show_document(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The OpenAPI document."""
    return Response(document(request.app), media_type=MediaType.JSON)


def document(app: Litestar) -> bytes:
    """The OpenAPI document of the API as JSON, its keys in order."""
    return msgspec.json.encode(app.openapi_schema.to_schema(), order="sorted")


def build_app(services: Services) -> Litestar:
    """The application over these services. It holds no state of its own but caches and open streams."""
    metrics, feed = Metrics(), ChangeFeed(services)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        yield
        await feed.close()

    versioned = Router(
        PREFIX,
        route_handlers=[
            *runs.ROUTES,
            *assets.ROUTES,
            *checks.ROUTES,
            *teams.ROUTES,
            *manifests.ROUTES,
            *workers.ROUTES,
            *limits.ROUTES,
            *backfills.ROUTES,
            *freshness.ROUTES,
            *schedules.ROUTES,
            *sensors.ROUTES,
            *reactions.ROUTES,
            *conditions.ROUTES,
            *pauses.ROUTES,
            *partitions.ROUTES,
            *partition_status.ROUTES,
            *explain.ROUTES,
            *changes.ROUTES,
        ],
    )
    return Litestar(
        [versioned, *health.ROUTES, show_metrics, show_document],
        dependencies={
            "services": Provide(lambda: services, sync_to_thread=False),
            "feed": Provide(lambda: feed, sync_to_thread=False),
        },
        exception_handlers=HANDLERS,
        before_request=inspect,
        middleware=[CountRequests(metrics)],
        state=State({"metrics": metrics}),
        response_headers=[ResponseHeader(name="x-content-type-options", value="nosniff")],
        lifespan=[lifespan],
        request_max_body_size=services.limits.body_bytes,
        openapi_config=OpenAPIConfig(
            title="Hedgerow",
            version=version("hedgerow"),
            description='Runs, assets and teams of a Hedgerow deployment. Every error is `{"problems": [{code, message, remedy}]}`.',
            path=f"{PREFIX}/openapi",  # a place of its own: everything unknown below it is answered in HTML
            use_handler_docstrings=True,
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],  # the pages would load scripts from elsewhere
        ),
        debug=False,
        logging_config=None,
    )
