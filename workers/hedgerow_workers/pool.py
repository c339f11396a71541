"""Celery's threads pool with two things added: it wakes Celery's event loop when a slot is free again, and it can pause.

With prefetch disabled the loop asks for the next message only when it goes round. The plain threads pool leaves it asleep:
40 tasks of 20 ms on two slots took 17 s instead of 0.4 s.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import msgspec
from celery import bootsteps
from celery.concurrency.thread import TaskPool
from celery.worker import state


class HubWaker:
    """A pipe to Celery's event loop: writing to it makes the loop go round once."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def wake(self) -> None:
        """Wakes the loop; safe in any thread and in a signal handler."""
        try:
            os.write(self._write, b"\0")
        except BlockingIOError:
            pass  # the pipe is full: the loop is awake

    def register(self, hub: Any) -> None:
        """Has this loop read the pipe."""
        hub.add_reader(self._read, self._drain)

    def _drain(self) -> None:
        try:
            os.read(self._read, 4096)
        except BlockingIOError:
            pass


class WakingPool(TaskPool):  # type: ignore[misc]
    """One thread per slot. While `paused` no message is taken off the queues, otherwise for at most `room()` slots."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waker = HubWaker()
        self.paused = False
        self.room: Callable[[], int] = lambda: self.limit

    @property
    def num_processes(self) -> int:
        """The number of slots that Celery may fill (it asks each time before it takes a message)."""
        return 0 if self.paused else self.room()

    def on_apply(self, *args: Any, **kwargs: Any) -> Any:
        """Runs a Celery task in a thread."""
        result = super().on_apply(*args, **kwargs)
        result.f.add_done_callback(self._freed)
        return result

    def submit(self, function: Callable[[str], None], text: str) -> None:
        """Runs `function(text)` in a thread, in a slot of its own until it returns."""
        reservation = Reservation()
        state.reserved_requests.add(reservation)
        # What is not active is dropped from the count when the connection is lost.
        state.active_requests.add(reservation)
        future = self.executor.submit(function, text)

        def done(_: Future[None]) -> None:
            state.active_requests.discard(reservation)
            state.reserved_requests.discard(reservation)
            self.waker.wake()

        future.add_done_callback(done)

    def _freed(self, _: Future[Any]) -> None:
        self.waker.wake()


class Reservation:
    """Stands for a message in a slot, where Celery counts how many it has taken and lists what it might cancel."""

    __slots__ = ("__weakref__",)
    id = ""
    acknowledged = True
    task = SimpleNamespace(acks_late=True)


class WakeStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Connects the pool's pipe to the event loop, again after each reconnection."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """Called by Celery whenever the loop begins."""
        consumer.pool.waker.register(hub)


_body_decoder = msgspec.json.Decoder(tuple[tuple[str], dict[str, Any], Any])


def direct_strategy(_task: Any, app: Any, consumer: Any) -> Callable[..., None]:
    """How a message gets to its slot: straight, without the request and trace objects of which Celery makes no use here.

    They cost CPU with every message; results, retries, rate limits and events of Celery are off. The message was removed
    from the queue when it was read, so acknowledging it is bookkeeping in memory.
    """
    pool: WakingPool = consumer.pool
    execute: Callable[[str], None] = app.service.execute

    def handle(message: Any, *_: Any) -> None:
        message.ack()
        try:
            (text,), _kwargs, _embed = _body_decoder.decode(message.body)
        except msgspec.MsgspecError:
            text = ""  # execute() says what is wrong with it
        pool.submit(execute, text)

    return handle
