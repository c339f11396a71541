"""Reports events so that none is ever lost: first to the journal on disk, then to the team's stream, again until acknowledged.

One thread does it all. It takes whatever is queued, makes it durable with a single sync and sends it as one stream entry;
what arrives meanwhile is the next batch. A broker that is away costs disk, not memory: unsent events are read back from the journal.
Syncing in another thread, after the sending, was measured and gave no clear gain: the batches become smaller.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from hedgerow import clock
from hedgerow.protocol import events, names
from hedgerow.protocol.envelope import WIRE_VERSION, Envelope, encode_batch, encode_body, encode_envelope
from hedgerow_workers.broker import Asks, BrokerErrors
from hedgerow_workers.journals import Journals, KeptEvents

# The scheduler measures an event with its envelope.
MAX_BODY_BYTES = events.MAX_EVENT_BYTES - 1024
BATCH_BYTES = 512 * 1024
BATCH_EVENTS = 500
ACK_POLL_S = 0.5
CLOSING_POLL_S = 0.05
# Under load events are gathered after a batch, the longer the more there were: fewer syncs, entries and reads, and hardly a wait for
# those of a lone step.
GATHER_PER_EVENT_S = 0.0004
MAX_GATHER_S = 0.005
# Unacknowledged events are sent again after this time, then after twice as long each time: a stream that no one reads must not fill the broker.
RESEND_S = 10.0
MAX_RESEND_S = 600.0
RETRY_S = 0.25
DISK_RETRY_S = 1.0
UNREADABLE_RETRY_S = 30.0
ADOPT_S = 15.0

log = logging.getLogger("hedgerow.worker")


Encoded: TypeAlias = tuple[str, msgspec.Raw]


class EventTooLargeError(ValueError):
    """An event is larger than the scheduler accepts."""


def encode(body: events.Event) -> Encoded:
    """An event's kind and its JSON, for `Outbox.put`; `EventTooLargeError` when it is over `MAX_BODY_BYTES`."""
    raw = encode_body(body)
    size = memoryview(raw).nbytes
    if size > MAX_BODY_BYTES:
        raise EventTooLargeError(f"{size // 1024} KiB")
    return events.KIND_OF[type(body)], raw


class Shipment:
    """How far the events of one worker id are sent and acknowledged. Used by the outbox's thread alone."""

    def __init__(self, worker: str, journal: KeptEvents) -> None:
        self.worker = worker
        self.journal = journal
        self.sent = journal.first - 1
        self.acked = journal.first - 1
        self.progress_at = 0.0
        self.resend_s = RESEND_S
        self.retry_at = 0.0

    @property
    def settled(self) -> bool:
        """Whether the scheduler has recorded every event."""
        return self.acked >= self.journal.last

    def acknowledge(self, upto: int, now: float) -> None:
        """Notes that events up to number `upto` are recorded; nothing takes an acknowledgement back."""
        if upto > self.acked:
            self.acked = min(upto, self.journal.last)
            self.sent = max(self.sent, self.acked)
            self.progress_at = now
            self.resend_s = RESEND_S
            self.journal.forget(self.acked)

    def rewind(self, after: int) -> None:
        """Sends again what follows number `after` and is not acknowledged."""
        self.sent = max(self.acked, min(self.sent, after))

    def rewind_as_asked(self, after: int, now: float) -> None:
        """`rewind` for a scheduler that asks for it: it is there, so that the next time is near again."""
        self.progress_at = now
        self.resend_s = RESEND_S
        self.rewind(after)

    def rewind_if_overdue(self, now: float) -> None:
        """Sends all again when nothing was acknowledged for `resend_s`, which then doubles, up to `MAX_RESEND_S`."""
        if not self.settled and now - self.progress_at > self.resend_s:
            self.progress_at = now
            self.resend_s = min(2 * self.resend_s, MAX_RESEND_S)
            self.rewind(self.acked)


class Outbox:
    """The events of this worker, and of dead ones of its team whose outboxes it adopts.

    `journals` are those of the team on this machine. `on_trouble(True)` is called when the disk takes no more, and
    `on_trouble(False)` when it does again.
    """

    def __init__(
        self,
        line: Asks,
        deployment: str,
        team: str,
        worker: str,
        journals: Journals,
        on_trouble: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self.worker = worker
        self._line = line
        self._journals = journals
        self._stream = names.events_stream(deployment, team)
        self._ack_hash = names.ack_hash(deployment, team)
        self._on_trouble = on_trouble
        self._trouble = False
        self._own = Shipment(worker, journals.create(worker))
        self._adopted: list[Shipment] = []
        self._queue: list[Envelope] = []
        self._assigned = 0
        self._closing = False
        self._rewinds: list[tuple[str, int]] = []
        self._changed = threading.Condition()
        self._next_adoption = 0.0
        self._next_ack = 0.0
        self._asked_at = 0.0
        self._gather_until = 0.0
        self._retry_disk_at = 0.0
        self._pause = threading.Event()  # never set
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Begins to send."""
        self._thread.start()

    def put(self, encoded: Sequence[Encoded]) -> int:
        """Queues events, see `encode`, to be kept and sent in this order; returns the number of the last one."""
        at_ms = clock.now_ms()
        with self._changed:
            for kind, raw in encoded:
                self._assigned += 1
                self._queue.append(
                    Envelope(clock.uuid7(at_ms), kind, WIRE_VERSION, raw, at_ms, self.worker, self._assigned)
                )
            self._changed.notify()
            return self._assigned

    @property
    def sent(self) -> int:
        """The number of the last event that the broker took."""
        return self._own.sent

    @property
    def pending(self) -> int:
        """How many events of this worker wait for their acknowledgement."""
        return self._assigned - self._own.acked

    @property
    def size_bytes(self) -> int:
        """What all journals take on disk."""
        return self._own.journal.size_bytes + sum(each.journal.size_bytes for each in self._adopted)

    @property
    def directory(self) -> Path:
        """Where the events of this worker are kept."""
        return self._own.journal.directory

    def resend(self, worker: str, after: int) -> None:
        """Sends again what the scheduler asks for; `worker` is a worker's id or `*`."""
        with self._changed:
            self._rewinds.append((worker, after))
            self._changed.notify()

    def close(self, wait_s: float) -> bool:
        """Ends within about `wait_s`; returns whether all was acknowledged. What was not stays on disk for the next worker."""
        self.finish()
        self._thread.join(wait_s)
        return not self._thread.is_alive() and self.let_go()

    def finish(self) -> None:
        """Nothing more will be put: it is `delivered` as soon as everything is acknowledged."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    @property
    def is_called(self) -> bool:
        """Whether a turn is due because of what was put or is asked for again."""
        return bool(self._rewinds) or (bool(self._queue) and not self._trouble)

    @property
    def delivered(self) -> bool:
        """Whether it was told to finish and has nothing left to do."""
        return self._closing and self._own.settled and not self._queue

    def let_go(self) -> bool:
        """Closes the journal, once `turn` is no longer called; returns whether all was acknowledged."""
        settled = self._own.settled and not self._queue
        self._own.journal.close(delete=settled)
        return settled

    def turn(self, now: float) -> float:
        """One pass: keeps and sends what was put, sends again what must be, reads acknowledgements, adopts outboxes.

        Returns when the next one is due, on the monotonic clock, if nothing is put meanwhile.
        """
        with self._changed:
            batch: list[Envelope] = []
            if now >= self._retry_disk_at:
                batch, self._queue = self._queue, batch
            rewinds, self._rewinds = self._rewinds, []
            closing = self._closing
        if batch:
            self._keep(batch, now)
        for worker, after in rewinds:
            for shipment in (self._own, *self._adopted):
                if worker in ("*", shipment.worker):
                    shipment.rewind_as_asked(after, now)
        for shipment in (self._own, *self._adopted):
            self._send_rest(shipment, now)
        self._read_acks(now, CLOSING_POLL_S if closing else ACK_POLL_S)
        self._adopt(now)
        return self._due()

    def _run(self) -> None:
        due = 0.0
        while not self.delivered:
            self._wait(due)
            due = self.turn(clock.monotonic())

    def _wait(self, due: float) -> None:
        """Sleeps until then, or until something is put and others have had the time to join it."""
        with self._changed:
            if not self.is_called:
                pause = max(0.0, due - clock.monotonic())
                self._changed.wait(min(pause, CLOSING_POLL_S) if self._closing else pause)
        gathering = self._gather_until - clock.monotonic()
        if gathering > 0:
            self._pause.wait(gathering)

    def _due(self) -> float:
        """Until when there is nothing to do, apart from what is put."""
        dues = [self._next_adoption]
        if self._trouble:
            dues.append(self._retry_disk_at)
        for shipment in (self._own, *self._adopted):
            if shipment.sent < shipment.journal.last:
                dues.append(shipment.retry_at)
            if shipment.acked < shipment.sent:
                dues.append(self._next_ack)
        return min(dues)

    def _keep(self, batch: list[Envelope], now: float) -> None:
        """Appends to the journal and sends from memory if nothing is ahead. When the disk takes nothing, the batch is queued again."""
        shipment = self._own
        encoded = [encode_envelope(envelope) for envelope in batch]
        try:
            shipment.journal.append(encoded)
        except OSError as error:
            self._retry_disk_at = now + DISK_RETRY_S
            with self._changed:
                self._queue[:0] = batch
            self._set_trouble(True, error)
            return
        self._set_trouble(False, None)
        self._gather_until = now + min(MAX_GATHER_S, GATHER_PER_EVENT_S * len(batch))
        if shipment.sent == shipment.journal.last - len(encoded):
            start = 0
            while start < len(encoded):
                end, size = start, 0
                while end < len(encoded) and (
                    end == start or (size + len(encoded[end]) <= BATCH_BYTES and end - start < BATCH_EVENTS)
                ):
                    size += len(encoded[end])
                    end += 1
                if not self._add(shipment, encoded[start:end], now):
                    break
                start = end

    def _send_rest(self, shipment: Shipment, now: float) -> None:
        """Sends what the journal holds beyond what is sent, one batch at a time so that new events are not kept waiting."""
        if shipment.sent >= shipment.journal.last or now < shipment.retry_at:
            return
        try:
            chunk = shipment.journal.read(shipment.sent, BATCH_BYTES, BATCH_EVENTS)
        except OSError as error:
            log.warning("events can't be read from %s: %s", shipment.journal.directory, error)
            shipment.retry_at = now + UNREADABLE_RETRY_S
            return
        if chunk:
            self._add(shipment, chunk, now)

    def _add(self, shipment: Shipment, encoded: list[bytes], now: float) -> bool:
        try:
            (answer,) = self._line.ask([("XADD", self._stream, "*", events.STREAM_FIELD, encode_batch(encoded))])
            if isinstance(answer, Exception):
                raise answer
        except BrokerErrors as error:
            # It may have landed all the same; the scheduler knows an event by its number and drops the second.
            log.debug("events could not be sent: %s", error)
            shipment.retry_at = now + RETRY_S
            shipment.progress_at = now
            return False
        if shipment.sent == shipment.acked:
            shipment.progress_at = now
            self._next_ack = now + ACK_POLL_S
        shipment.sent += len(encoded)
        return True

    def _read_acks(self, now: float, poll_s: float) -> None:
        waiting = [each for each in (self._own, *self._adopted) if not each.settled and each.sent > each.acked]
        if not waiting or now < min(self._next_ack, self._asked_at + poll_s):
            return
        self._asked_at = now
        self._next_ack = now + ACK_POLL_S
        self._ask(waiting, now)
        for shipment in waiting:
            shipment.rewind_if_overdue(now)

    def _ask(self, shipments: list[Shipment], now: float) -> None:
        """Reads how far events of these are recorded."""
        try:
            answers = self._line.ask([("HGET", self._ack_hash, each.worker) for each in shipments])
        except BrokerErrors as error:
            log.debug("acknowledgements could not be read: %s", error)
            return
        for shipment, acked in zip(shipments, answers, strict=True):
            if isinstance(acked, bytes):
                shipment.acknowledge(int(acked), now)

    def _adopt(self, now: float) -> None:
        """Takes over outboxes of dead workers, and removes those whose events are all recorded."""
        for shipment in [each for each in self._adopted if each.settled]:
            self._adopted.remove(shipment)
            shipment.journal.close(delete=True)
            log.info("the outbox of worker %s is delivered", shipment.worker)
        if now < self._next_adoption:
            return
        self._next_adoption = now + ADOPT_S
        known = {self.worker, *(each.worker for each in self._adopted)}
        for worker, journal in self._journals.orphans(known):
            shipment = Shipment(worker, journal)
            shipment.progress_at = now
            self._ask([shipment], now)
            self._adopted.append(shipment)
            if not shipment.settled:
                log.warning("adopted %d events of worker %s, which is gone", journal.last, worker)

    def _set_trouble(self, trouble: bool, error: OSError | None) -> None:
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble:
            log.error("HR-P103  events can't be written to %s: %s", self.directory, error)
        else:
            log.warning("events can be written again")
        self._on_trouble(trouble)
