"""The scheduler's side of a broker in its simplest form: sends orders, takes in events by their numbers, acknowledges them."""

from __future__ import annotations

from typing import Any

import msgspec

from hedgerow import clock
from hedgerow.protocol import control, names
from hedgerow.protocol.envelope import (
    WIRE_VERSION,
    Envelope,
    decode_envelope,
    encode_body,
    encode_envelope,
    split_batch,
)
from hedgerow.protocol.events import KINDS, STREAM_FIELD
from hedgerow.protocol.orders import StepOrder
from hedgerow_scheduler.dispatch.orders import celery_message, publication
from simulation.broker import SimBroker
from simulation.worker import Code

DEPLOYMENT, TEAM = "sim", "sales"
ENDS = ("attempt_succeeded", "attempt_failed", "attempt_skipped")


class Desk:
    """`events` holds (envelope, body) of what was accepted, in order of each worker's numbers; `again` counts what came once more."""

    def __init__(self, broker: SimBroker, code: Code) -> None:
        self.link = broker.link()
        self.code = code
        self.events: list[tuple[Envelope, Any]] = []
        self.heartbeats: list[tuple[str, Any]] = []
        self.acked: dict[str, int] = {}
        self.again = 0
        self._cursor = "0-0"

    def order(self, attempt_id: str, **changes: Any) -> StepOrder:
        """An order that may begin within 30 s."""
        plain = {
            "deployment": DEPLOYMENT, "team": TEAM, "location": TEAM, "queue": "default", "run_id": "run", "step": attempt_id,
            "attempt_id": attempt_id, "attempt": 1, "manifest": self.code.hash, "computation": "raw", "assets": ("raw",),
            "output": "/storage", "start_before_ms": clock.now_ms() + 30_000,
        }  # fmt: skip
        return StepOrder(**{**plain, **changes})

    def send(self, *orders: StepOrder) -> None:
        """One message with these orders."""
        message = publication(orders, "/storage")
        self.link.lpush(names.celery_key_prefix(DEPLOYMENT, TEAM) + message.queue, celery_message(message))

    def tell(self, message: control.Control) -> None:
        """A control message."""
        kind = control.KIND_OF[type(message)]
        envelope = Envelope(clock.uuid7(), kind, WIRE_VERSION, encode_body(message), clock.now_ms())
        self.link.xadd(names.control_stream(DEPLOYMENT, TEAM), {STREAM_FIELD: encode_envelope(envelope)}, maxlen=1000)

    def read(self, *, acknowledge: bool = True) -> None:
        """Takes in what is on the stream."""
        stream = names.events_stream(DEPLOYMENT, TEAM)
        for _, entries in self.link.xread({stream: self._cursor}, count=500):
            for entry_id, fields in entries:
                self._cursor = entry_id.decode()
                for raw in split_batch(fields[STREAM_FIELD]):
                    self._take(decode_envelope(raw))
        if acknowledge and self.acked:
            self.link.hset(names.ack_hash(DEPLOYMENT, TEAM), mapping=self.acked)

    def _take(self, envelope: Envelope) -> None:
        body = msgspec.json.decode(envelope.body, type=KINDS[envelope.kind])
        if envelope.seq == 0:
            self.heartbeats.append((envelope.worker, body))
        elif envelope.seq == self.acked.get(envelope.worker, 0) + 1:
            self.acked[envelope.worker] = envelope.seq
            self.events.append((envelope, body))
        else:
            self.again += 1

    def begin_epoch(self) -> None:
        """The broker has lost something: it is read from its beginning, and workers are asked for what is not acknowledged."""
        self._cursor = "0-0"
        for worker, acked in self.acked.items():
            self.tell(control.ResendEvents(worker, acked))
        self.tell(control.ResendEvents("*", 0))

    def ends(self) -> dict[str, list[str]]:
        """How attempts ended, by id: the kinds of their last events."""
        found: dict[str, list[str]] = {}
        for envelope, body in self.events:
            if envelope.kind in ENDS:
                found.setdefault(body.attempt_id, []).append(getattr(body, "reason", envelope.kind))
        return found
