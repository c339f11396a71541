"""The HTTP API: routes, errors, limits and documents put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from hedgerow_scheduler.api import assets, changes, explain, health, runs, teams
from hedgerow_scheduler.api.changes import ChangeFeed
from hedgerow_scheduler.api.metrics import CountRequests, Metrics, show_metrics
from hedgerow_scheduler.api.problems import HANDLERS, refuse_unknown_parameters
from hedgerow_scheduler.api.services import Services

PREFIX = "/api/v1"


def build_app(services: Services) -> Litestar:
    """The application over these services. It holds no state of its own but caches and open streams."""
    metrics, feed = Metrics(), ChangeFeed(services)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        yield
        await feed.close()

    versioned = Router(
        PREFIX,
        route_handlers=[*runs.ROUTES, *assets.ROUTES, *teams.ROUTES, *explain.ROUTES, *changes.ROUTES],
    )
    return Litestar(
        [versioned, *health.ROUTES, show_metrics],
        dependencies={
            "services": Provide(lambda: services, sync_to_thread=False),
            "feed": Provide(lambda: feed, sync_to_thread=False),
        },
        exception_handlers=HANDLERS,
        before_request=refuse_unknown_parameters,
        middleware=[CountRequests(metrics)],
        state=State({"metrics": metrics}),
        lifespan=[lifespan],
        request_max_body_size=services.limits.body_bytes,
        openapi_config=OpenAPIConfig(
            title="Hedgerow",
            version=version("hedgerow"),
            description='Runs, assets and teams of a Hedgerow deployment. Every error is `{"problems": [{code, message, remedy}]}`.',
            path=PREFIX,
            use_handler_docstrings=True,
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],  # the pages would load scripts from elsewhere
        ),
        debug=False,
        logging_config=None,
    )
