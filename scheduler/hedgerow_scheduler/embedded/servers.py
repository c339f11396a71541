"""Starts the embedded servers without a supervisor, for tests and tools."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hedgerow import clock
from hedgerow.errors import PlatformError
from hedgerow_scheduler.embedded import postgres, valkey
from hedgerow_scheduler.embedded.children import Child, Launch
from hedgerow_scheduler.embedded.homes import open_home

START_S = 60.0
STOP_S = 20.0  # longer than the keepers' own patience


@contextmanager
def running_postgres(home: Path, *, durable: bool = True) -> Iterator[str]:
    """A PostgreSQL with its data under the directory `home`, for the length of the block; its URL."""
    open_home(home)
    launch, url = postgres.prepare(home, durable=durable)
    with _running(launch):
        yield url


@contextmanager
def running_valkey(home: Path, *, durable: bool = True) -> Iterator[str]:
    """A Valkey with its data under the directory `home`, for the length of the block; its URL."""
    open_home(home)
    launch, url = valkey.prepare(home, durable=durable)
    with _running(launch):
        yield url


def await_ready(child: Child, seconds: float = START_S) -> None:
    """Waits until `child` serves. Raises PlatformError HR-P203 with the end of its log if it ends or takes longer."""
    deadline = clock.monotonic() + seconds
    while not child.launch.ready(child):
        status = child.poll()
        if status is not None or clock.monotonic() > deadline:
            what = f"did not serve within {seconds:.0f} s" if status is None else f"ended with status {status}"
            raise PlatformError.of(
                "HR-P203",
                f"The embedded {child.launch.name} {what}: {child.output().strip()[-600:]}",
                f"See {child.launch.log}; then start again.",
            )
        time.sleep(0.02)


@contextmanager
def _running(launch: Launch) -> Iterator[None]:
    child = Child(launch)
    try:
        await_ready(child)
        yield
    finally:
        child.terminate()
        if child.wait(STOP_S) is None:
            child.kill()
            child.wait(STOP_S)
