"""The reader: one thread per broker that follows its teams' streams and brings their entries to the inbox."""

from __future__ import annotations

import logging
import queue
import threading
from typing import Any

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hedgerow import clock
from hedgerow.protocol import names
from hedgerow.protocol.events import STREAM_FIELD
from hedgerow_scheduler.ingest.fold import Entry
from hedgerow_scheduler.ingest.inbox import Batch, Inbox, StreamLost

BLOCK_MS = 500
COUNT = 400
MEASURE_S = 5.0
log = logging.getLogger("hedgerow.reader")


class Follow(msgspec.Struct, frozen=True):
    """Follow a team's stream from `position`. A `fresh` epoch is written to the broker first, otherwise it must be there."""

    team: str
    position: str
    epoch: str
    fresh: bool
    generation: int


def connect(url: str, socket_timeout: float) -> redis.Redis:
    """A client that never repeats a command by itself: an ambiguous answer is the caller's to judge."""
    return redis.Redis.from_url(
        url,
        socket_timeout=socket_timeout,
        socket_connect_timeout=2,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        client_name="hedgerow-scheduler",
    )


class StreamReader:
    """Follows the streams of one broker's teams. After a failure it goes on from where it was, for as long as it runs."""

    def __init__(self, deployment: str, url: str, inbox: Inbox) -> None:
        self._deployment, self._url, self._inbox = deployment, url, inbox
        self._orders: queue.SimpleQueue[Follow] = queue.SimpleQueue()
        self._followed: dict[str, Follow] = {}
        self._measure_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread within a second."""
        self._stopping.set()
        self._thread.join(timeout=2)

    def follow(self, order: Follow) -> None:
        """Takes up a team, or goes to another place of its stream."""
        self._orders.put(order)

    def _run(self) -> None:
        client = connect(self._url, BLOCK_MS / 1000 + 2)
        failing = False
        while not self._stopping.is_set():
            try:
                if not self.turn(client):
                    self._stopping.wait(0.05)
                    continue
                if failing:
                    log.info("the broker answers again")
                failing = False
            except Exception as error:  # a defect must not end what every team of this broker needs
                expected = isinstance(error, redis.RedisError | OSError)
                if not failing:
                    log.warning("the broker can't be read: %s", error, exc_info=not expected)
                failing = True
                self._stopping.wait(0.2)
        client.close()

    def turn(self, client: redis.Redis) -> bool:
        """Takes up what is to be followed and reads once; False when there is nothing to follow."""
        self._take_orders(client)
        if self._followed:
            self._read(client)
        return bool(self._followed)

    def _take_orders(self, client: redis.Redis) -> None:
        while True:
            try:
                order = self._orders.get_nowait()
            except queue.Empty:
                return
            if order.fresh:
                try:
                    client.set(names.epoch_key(self._deployment, order.team), order.epoch)
                except (redis.RedisError, OSError):
                    self._orders.put(order)
                    raise
            self._followed[order.team] = order

    def _read(self, client: redis.Redis) -> None:
        followed = list(self._followed.values())
        streams: dict[Any, Any] = {
            names.events_stream(self._deployment, order.team): order.position for order in followed
        }
        block = BLOCK_MS if self._orders.empty() else 1
        with client.pipeline(transaction=False) as pipe:
            pipe.xread(streams, count=COUNT, block=block)
            for order in followed:
                pipe.get(names.epoch_key(self._deployment, order.team))
            measuring = clock.monotonic() >= self._measure_at
            for order in followed if measuring else ():
                pipe.xlen(names.events_stream(self._deployment, order.team))
            answers = pipe.execute()
        lengths = {}
        if measuring:
            self._measure_at = clock.monotonic() + MEASURE_S
            lengths = dict(zip((order.team for order in followed), answers[1 + len(followed) :], strict=True))
        found = {name.decode(): entries for name, entries in _pairs(answers[0])}
        drained = []
        for order, epoch in zip(followed, answers[1 : 1 + len(followed)], strict=True):
            if epoch is None or epoch.decode(errors="replace") != order.epoch:
                del self._followed[order.team]
                self._inbox.put(StreamLost(order.team, order.generation), self._stopping)
                continue
            entries = found.get(names.events_stream(self._deployment, order.team), ())
            if len(entries) < COUNT:
                drained.append(order.team)
            if entries:
                self._followed[order.team] = msgspec.structs.replace(order, position=entries[-1][0].decode())
        kept = {names.events_stream(self._deployment, team): team for team in self._followed}
        batch = tuple(
            Entry(kept[name], entry_id.decode(), fields.get(STREAM_FIELD, b""))
            for name, entries in found.items()
            if name in kept
            for entry_id, fields in entries
        )
        self._inbox.put(Batch(self._url, batch, tuple(drained), followed[0].generation, lengths), self._stopping)


def _pairs(answer: object) -> list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """XREAD's answer as pairs, whichever protocol version the connection speaks."""
    if not answer:
        return []
    if isinstance(answer, dict):
        return [(name, [entry for part in parts for entry in part]) for name, parts in answer.items()]
    return [(pair[0], pair[1]) for pair in answer]  # type: ignore[attr-defined]
