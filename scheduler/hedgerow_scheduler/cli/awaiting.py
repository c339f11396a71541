"""Waiting for what becomes of something that was asked of the scheduler."""

from __future__ import annotations

import threading
from typing import Any

from hedgerow import clock
from hedgerow.errors import PlatformError, Problem
from hedgerow_scheduler.cli.client import Client

TAKE_UP_S = 10.0
LOOK_S = 0.1


def outcome(client: Client, path: str, within_s: float, late: Problem) -> dict[str, Any]:
    """What became of the request at `path`. Raises PlatformError with `late` when nothing has in time."""
    rest, until = threading.Event(), clock.monotonic() + within_s
    while not (became := client.get(path)["outcome"]):
        if clock.monotonic() > until:
            raise PlatformError((late,))
        rest.wait(LOOK_S)
    found: dict[str, Any] = became
    return found


def taken_up(client: Client, path: str) -> dict[str, Any]:
    """What is at `path` once nothing that was asked of it is `pending` any more, for which ten seconds are waited at most."""
    rest, until = threading.Event(), clock.monotonic() + TAKE_UP_S
    found: dict[str, Any] = client.get(path)
    while found["pending"] and clock.monotonic() < until:
        rest.wait(LOOK_S)
        found = client.get(path)
    return found
