"""The writer: one thread per broker that publishes orders, takes claims, acknowledges events and sends control messages."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
import redis

from hedgerow import clock
from hedgerow.errors import StorageError
from hedgerow.protocol import control, names
from hedgerow.protocol.envelope import WIRE_VERSION, Envelope, encode_body, encode_envelope
from hedgerow.protocol.events import STREAM_FIELD
from hedgerow.storage import files
from hedgerow_scheduler.dispatch.orders import Publication, celery_message
from hedgerow_scheduler.ingest.inbox import ClaimAnswer, Inbox
from hedgerow_scheduler.ingest.reader import connect

REVOKED = "revoked"
CLAIM_LIFE_MS = 15 * 60 * 1000
CONTROL_KEPT = 1000
GATHER_ACKS_S = 0.05
log = logging.getLogger("hedgerow.writer")


class Publish(msgspec.Struct, frozen=True):
    """Put these messages on their queues."""

    messages: tuple[Publication, ...]


class Revoke(msgspec.Struct, frozen=True):
    """Take the claims of these attempts of a team, if no worker has."""

    team: str
    attempt_ids: tuple[str, ...]


class Acknowledge(msgspec.Struct, frozen=True):
    """Everything up to these numbers is recorded: (team, worker) → sequence number."""

    sequences: dict[tuple[str, str], int]


class Tell(msgspec.Struct, frozen=True):
    """Send a control message to a team's workers."""

    team: str
    message: control.Control


class Trim(msgspec.Struct, frozen=True):
    """Remove what lies before `before` (an entry id) in a team's stream."""

    team: str
    before: str


Task: TypeAlias = Publish | Revoke | Acknowledge | Tell | Trim


class BrokerWriter:
    """Writes to one broker. What fails is dropped with a warning: unstarted attempts are taken back and dispatched anew, and
    acknowledgements and control messages are sent again by their senders.
    """

    def __init__(self, deployment: str, url: str, inbox: Inbox) -> None:
        self._deployment, self._url, self._inbox = deployment, url, inbox
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._acks: dict[tuple[str, str], int] = {}
        self._acks_due = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._handlers: dict[type, Callable[[Any, redis.Redis], None]] = {
            Publish: self._publish,
            Revoke: self._revoke,
            Acknowledge: self._acknowledge,
            Tell: self._tell,
            Trim: self._trim,
        }

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread once it has done what is queued, at most two seconds later."""
        self._stopping.set()
        self._tasks.put(None)
        self._thread.join(timeout=2)

    def do(self, task: Task) -> None:
        """Queues a task."""
        self._tasks.put(task)

    def _run(self) -> None:
        client = connect(self._url, 1)
        while (task := self._next()) is not None:
            self.perform(task, client)
        client.close()

    def perform(self, task: Task, client: redis.Redis) -> None:
        """Does a task, or says why not."""
        try:
            self._handlers[type(task)](task, client)
        except Exception as error:  # a defect must not end what every team of this broker needs
            expected = isinstance(error, redis.RedisError | StorageError | OSError)
            log.warning("%s failed: %s", type(task).__name__.lower(), error, exc_info=not expected)
            if isinstance(task, Revoke):
                for attempt_id in task.attempt_ids:
                    self._inbox.put(ClaimAnswer(attempt_id, None, failed=True))

    def _next(self) -> Task | None:
        """The next task. Acknowledgements are gathered for a moment, so that a busy worker's cost one command, not one per cycle."""
        while True:
            left = self._acks_due - clock.monotonic() if self._acks else None
            if left is not None and left <= 0:
                gathered, self._acks = Acknowledge(self._acks), {}
                return gathered
            try:
                task = self._tasks.get(timeout=left)
            except queue.Empty:
                continue
            if not isinstance(task, Acknowledge):
                return task
            if not self._acks:
                self._acks_due = clock.monotonic() + GATHER_ACKS_S
            self._acks |= task.sequences

    def _publish(self, task: Publish, client: redis.Redis) -> None:
        """One LPUSH for each queue: it takes its messages in order, all or none. As queues are never declared, that is all of
        what kombu would do.
        """
        by_queue: dict[str, list[bytes]] = {}
        for message in task.messages:
            for url, content in message.files:
                files.store(url, content)
            key = names.celery_key_prefix(self._deployment, message.team) + message.queue
            by_queue.setdefault(key, []).append(celery_message(message))
        for key, messages in by_queue.items():
            client.lpush(key, *messages)

    def _revoke(self, task: Revoke, client: redis.Redis) -> None:
        with client.pipeline(transaction=False) as pipe:
            for attempt_id in task.attempt_ids:
                key = names.claim_key(self._deployment, task.team, attempt_id)
                pipe.set(key, REVOKED, nx=True, get=True, px=CLAIM_LIFE_MS)
            answers = pipe.execute()
        for attempt_id, answer in zip(task.attempt_ids, answers, strict=True):
            holder = None if answer is None or answer == REVOKED.encode() else answer.decode(errors="replace")
            self._inbox.put(ClaimAnswer(attempt_id, holder))

    def _acknowledge(self, task: Acknowledge, client: redis.Redis) -> None:
        by_team: dict[str, dict[str, int]] = {}
        for (team, worker), sequence in task.sequences.items():
            by_team.setdefault(team, {})[worker] = sequence
        with client.pipeline(transaction=False) as pipe:
            for team, sequences in by_team.items():
                pipe.hset(names.ack_hash(self._deployment, team), mapping=sequences)  # type: ignore[arg-type]
            pipe.execute()

    def _tell(self, task: Tell, client: redis.Redis) -> None:
        kind = control.KIND_OF[type(task.message)]
        envelope = Envelope(clock.uuid7(), kind, WIRE_VERSION, encode_body(task.message), clock.now_ms())
        stream = names.control_stream(self._deployment, task.team)
        client.xadd(stream, {STREAM_FIELD: encode_envelope(envelope)}, maxlen=CONTROL_KEPT, approximate=True)

    def _trim(self, task: Trim, client: redis.Redis) -> None:
        client.xtrim(names.events_stream(self._deployment, task.team), minid=task.before, approximate=False)
