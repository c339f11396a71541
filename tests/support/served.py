"""The HTTP API on a real port, in a thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from hedgerow_scheduler.api.app import build_app
from hedgerow_scheduler.api.services import Services
from support.processes import eventually


@contextmanager
def served(services: Services) -> Iterator[str]:
    """The API's URL, for the length of the block."""
    server = uvicorn.Server(
        uvicorn.Config(build_app(services), port=0, log_level="error", lifespan="on", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started, what="the API serves")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
