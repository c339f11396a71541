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
SHORT_BLOCK_MS = 5
FULL_S = 0.01
# So much is read of a stream in one go. The entries of most are small: COUNT of them are far less than that. A stream whose entries
# are larger is read by itself, in portions of as many as fit.
COUNT = 100
READ_BYTES = 512 * 1024
MEASURE_S = 5.0
AHEAD_S = 3600  # of the broker's clock: ids that are later are no clock's, but their sender's
log = logging.getLogger("hedgerow.reader")


class Follow(msgspec.Struct, frozen=True):
    """Follow a team's stream from `position`. A `fresh` epoch is written to the broker first, otherwise it must be there. `anew`:
    what the stream holds is deleted first, and with it the last id, after which all others come.
    """

    team: str
    position: str
    epoch: str
    fresh: bool
    generation: int
    anew: bool = False


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
        self._counts: dict[str, int] = {}  # of teams with large entries, how many to read in one go
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
                    if order.anew:
                        client.delete(names.events_stream(self._deployment, order.team))
                    client.set(names.epoch_key(self._deployment, order.team), order.epoch)
                except (redis.RedisError, OSError):
                    self._orders.put(order)
                    raise
            self._followed[order.team] = order

    def _read(self, client: redis.Redis) -> None:
        """Reads every stream for which there is room, large ones apart and in portions, and looks at every epoch afterwards."""
        followed = list(self._followed.values())
        open_ones = [order for order in followed if not self._inbox.is_full(order.team)]
        large = [order for order in open_ones if order.team in self._counts]
        small = [order for order in open_ones if order.team not in self._counts]
        if not small and not large:
            self._stopping.wait(FULL_S)
        is_waiting = len(small) == len(followed) and self._orders.empty()
        measuring = clock.monotonic() >= self._measure_at
        with client.pipeline(transaction=False) as pipe:
            for order in large:
                pipe.xread(self._streams([order]), count=self._counts[order.team])
            if small:
                pipe.xread(self._streams(small), count=COUNT, block=BLOCK_MS if is_waiting else SHORT_BLOCK_MS)
            pipe.time()
            for order in followed:
                pipe.get(names.epoch_key(self._deployment, order.team))
            for order in followed if measuring else ():
                pipe.xlen(names.events_stream(self._deployment, order.team))
            answers = pipe.execute()
        reads = len(large) + bool(small)
        seconds, _ = answers[reads]
        epochs = answers[reads + 1 : reads + 1 + len(followed)]
        lengths: list[int | None] = [None] * len(followed)
        if measuring:
            self._measure_at = clock.monotonic() + MEASURE_S
            lengths = answers[reads + 1 + len(followed) :]
        found = {name.decode(): entries for answer in answers[:reads] for name, entries in _pairs(answer)}
        read = {order.team for order in open_ones}
        for order, epoch, length in zip(followed, epochs, lengths, strict=True):
            if epoch is None or epoch.decode(errors="replace") != order.epoch:
                del self._followed[order.team]
                self._inbox.put(StreamLost(order.team, order.generation))
            elif order.team in read:
                entries = found.get(names.events_stream(self._deployment, order.team), [])
                self._bring(order, entries, (seconds + AHEAD_S) * 1000, length)

    def _streams(self, orders: list[Follow]) -> dict[Any, Any]:
        return {names.events_stream(self._deployment, order.team): order.position for order in orders}

    def _bring(
        self, order: Follow, entries: list[tuple[bytes, dict[bytes, bytes]]], latest_ms: int, length: int | None
    ) -> None:
        """Hands over what was read of a stream, and settles how much of it is read next time. Ids later than `latest_ms` end it."""
        batch = tuple(Entry(order.team, name.decode(), fields.get(STREAM_FIELD, b"")) for name, fields in entries)
        if ahead := tuple(entry for entry in batch if int(entry.id.partition("-")[0]) > latest_ms):
            del self._followed[order.team]
            self._inbox.put(Batch(order.team, batch[: -len(ahead)], False, order.generation, clock.monotonic(), length))
            self._inbox.put(StreamLost(order.team, order.generation, ahead))
            return
        is_drained = len(entries) < self._counts.get(order.team, COUNT)
        if entries:
            self._followed[order.team] = msgspec.structs.replace(order, position=batch[-1].id)
            size = sum(len(value) for _, fields in entries for value in fields.values())
            count = READ_BYTES * len(entries) // max(size, 1)
            if count < COUNT:
                self._counts[order.team] = max(1, count)
            else:
                self._counts.pop(order.team, None)
        self._inbox.put(Batch(order.team, batch, is_drained, order.generation, clock.monotonic(), length))


def _pairs(answer: object) -> list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """XREAD's answer as pairs, whichever protocol version the connection speaks."""
    if not answer:
        return []
    if isinstance(answer, dict):
        return [(name, [entry for part in parts for entry in part]) for name, parts in answer.items()]
    return [(pair[0], pair[1]) for pair in answer]  # type: ignore[attr-defined]
