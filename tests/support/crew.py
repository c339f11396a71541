"""Workers of several teams that do whatever they are ordered, in a thread of their own, on real servers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from hedgerow.errors import Problem
from hedgerow.manifest.model import Manifest
from hedgerow.protocol import events as ev
from support.played import Worker


class Crew:
    """Does the orders of these teams until it is stopped. Steps of a partition in `unlucky` fail; `idle` says that it takes nothing."""

    def __init__(self, broker: redis.Redis, *serves: Manifest) -> None:
        self.workers = [Worker(broker, one) for one in serves]
        self.unlucky: set[tuple[str, str | None]] = set()
        self.idle = threading.Event()
        self.trouble: BaseException | None = None
        self._stopping = threading.Event()

    def _work(self) -> None:
        try:
            while not self._stopping.wait(0.01):
                for worker in self.workers:
                    worker.attend()
                    while not self.idle.is_set() and (order := worker.take()) is not None:
                        if not worker.begin(order):
                            continue
                        if (order.computation, order.partition) in self.unlucky:
                            token = worker.holds.pop(order.attempt_id)
                            broken = Problem("HR-X001", "It broke.", "Mend it.")
                            worker.report(ev.AttemptFailed(order.attempt_id, "user_error", broken, token))
                        else:
                            worker.finish(order)
        except BaseException as error:
            self.trouble = error


@contextmanager
def working(broker_url: str, *serves: Manifest) -> Iterator[Crew]:
    """A crew for the length of the block."""
    with redis.Redis.from_url(broker_url) as broker:
        crew = Crew(broker, *serves)
        thread = threading.Thread(target=crew._work, daemon=True)
        thread.start()
        try:
            yield crew
        finally:
            crew._stopping.set()
            thread.join(20)
    assert crew.trouble is None, crew.trouble
