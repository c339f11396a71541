"""Server-sent events: one poll of the database per process, however many listen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.exceptions import ServiceUnavailableException
from litestar.params import QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage

from hedgerow import clock
from hedgerow_scheduler.api.services import Services, full_run_id
from hedgerow_scheduler.metadata.read_changes import Change, changes_since, horizon, live_runs
from hedgerow_scheduler.metadata.read_runs import get_run

POLL_S = 0.25
KEEP_ALIVE_S = 15.0
REST = 9  # a poll that takes long is followed by a rest nine times as long: never over a tenth of one connection
MAX_QUEUED = 10_000

log = logging.getLogger("hedgerow.api")


class _Listener:
    def __init__(self, run_id: str | None) -> None:
        self.run_id = run_id
        self.queue: asyncio.Queue[Change] = asyncio.Queue(MAX_QUEUED)
        self.overflowed = False

    def hear(self, change: Change) -> None:
        if self.run_id in (None, change.run_id):
            try:
                self.queue.put_nowait(change)
            except asyncio.QueueFull:
                self.overflowed = True


class ChangeFeed:
    """Polls while someone listens, and passes what changed to every listener it concerns."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._listeners: set[_Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._live: set[str] = set()

    @property
    def is_full(self) -> bool:
        """Whether as many listen as may."""
        return len(self._listeners) >= self._services.limits.streams

    async def listen(self, run_id: str | None) -> AsyncIterator[Change | None]:
        """None at once, then what changes from that moment on, and None now and then while nothing does. Ends when the listener is too slow,
        and at once when too many have begun to listen together with it.
        """
        listener = _Listener(run_id)
        since = await asyncio.to_thread(self._horizon)
        if self.is_full:
            return
        self._listeners.add(listener)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll(since))
        try:
            yield None
            while not listener.overflowed:
                try:
                    yield await asyncio.wait_for(listener.queue.get(), KEEP_ALIVE_S)
                except TimeoutError:
                    yield None
        finally:
            self._listeners.discard(listener)

    async def close(self) -> None:
        """Stops polling."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _poll(self, since: str) -> None:
        seen: dict[tuple[str, int | None], tuple[str, int]] = {}
        while self._listeners:
            started = clock.monotonic()
            try:
                found, since = await asyncio.to_thread(self._look, since)
            except Exception as error:  # whatever it is, those who listen must not be left without a poll
                log.warning("changes can't be read: %s", error)
                found = ()
            fresh = {(change.run_id, change.number): (change.state, change.attempt) for change in found}
            for change in found:
                place = (change.run_id, change.number)
                if seen.get(place) != fresh[place]:
                    for listener in self._listeners:
                        listener.hear(change)
            seen = fresh  # a row is seen twice only in polls that follow each other
            await asyncio.sleep(max(POLL_S, REST * (clock.monotonic() - started)))

    def _horizon(self) -> str:
        with self._services.reading() as connection:
            return horizon(connection)

    def _look(self, since: str) -> tuple[tuple[Change, ...], str]:
        watched = {listener.run_id for listener in self._listeners if listener.run_id} | self._live
        with self._services.reading() as connection:
            following = horizon(connection)
            found = changes_since(connection, since, watched)
            self._live = live_runs(connection)
        return found, following


@get("/events", tags=["events"], media_type="text/event-stream")
async def stream_events(
    services: NamedDependency[Services],
    feed: NamedDependency[ChangeFeed],
    run: Annotated[
        str | None, QueryParameter(description="Only this run and its steps; the stream ends with the run.")
    ] = None,
) -> ServerSentEvent:
    """Changes of runs and steps as server-sent events `run` and `step`. The first message is a comment, or the run as it is: all
    that changes after it is sent. A change that is undone at once may be left out.
    """
    if feed.is_full:
        raise ServiceUnavailableException("Too many streams of events are open.")
    run_id = await asyncio.to_thread(_full_id, services, run) if run else None
    return ServerSentEvent(_messages(services, feed, run_id))


def _full_id(services: Services, prefix: str) -> str:
    with services.reading() as connection:
        return full_run_id(connection, prefix)


async def _messages(services: Services, feed: ChangeFeed, run_id: str | None) -> AsyncIterator[ServerSentEventMessage]:
    first = True
    async for change in feed.listen(run_id):
        if change is None and first and run_id is not None:
            change = await asyncio.to_thread(_run_now, services, run_id)
        first = False
        if change is None:
            yield ServerSentEventMessage(data=None, comment="nothing new")
            continue
        event = "run" if change.number is None else "step"
        yield ServerSentEventMessage(data=msgspec.json.encode(change).decode(), event=event)
        if run_id is not None and event == "run" and change.state in ("succeeded", "failed", "cancelled"):
            return


def _run_now(services: Services, run_id: str) -> Change:
    with services.reading() as connection:
        run = get_run(connection, run_id)
    assert run is not None  # its id was looked up when the stream began
    return Change(run.id, None, run.state, 0, "", "", "", run.error)


ROUTES = [stream_events]
