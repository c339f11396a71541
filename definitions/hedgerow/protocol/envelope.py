"""The envelope around every message: decoded first, the body alone afterwards, so that one unknown kind never harms its neighbours."""

from __future__ import annotations

from typing import TypeVar

import msgspec

WIRE_VERSION = 1
# Of one entry of a stream. What holds more is not taken apart.
MAX_BATCH_EVENTS = 1_000
MAX_BATCH_BYTES = 1024 * 1024

T = TypeVar("T")


class Envelope(msgspec.Struct, frozen=True):
    """`id` is unique for ever (UUID version 7), `kind` names the body's type, `v` is the wire version of the body.

    `worker` and `seq` are set on events: the worker's incarnation and the number, counted from 1 without gaps, of the event in
    its outbox; `seq` 0 marks an event that is not kept in an outbox (heartbeats). `at_ms` is the sender's clock, for display.
    """

    id: str
    kind: str
    v: int
    body: msgspec.Raw
    at_ms: int = 0
    worker: str = ""
    seq: int = 0


_encoder = msgspec.json.Encoder()
_envelope_decoder = msgspec.json.Decoder(Envelope)
_batch_decoder = msgspec.json.Decoder(list[msgspec.Raw])


def encode_body(body: object) -> msgspec.Raw:
    """A body as JSON, ready for an envelope."""
    return msgspec.Raw(_encoder.encode(body))


def encode_envelope(envelope: Envelope) -> bytes:
    """An envelope as JSON."""
    return _encoder.encode(envelope)


def decode_envelope(data: bytes | msgspec.Raw) -> Envelope:
    """The envelope of its JSON; `msgspec.MsgspecError` when it is not one."""
    return _envelope_decoder.decode(data)


def encode_batch(envelopes: list[bytes]) -> bytes:
    """Encoded envelopes as one JSON array: one entry of a stream carries a batch."""
    return b"[" + b",".join(envelopes) + b"]"


def split_batch(data: bytes) -> list[msgspec.Raw]:
    """The encoded envelopes of a batch, each still undecoded; `msgspec.MsgspecError` when the array itself is broken."""
    return _batch_decoder.decode(data)
