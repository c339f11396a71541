"""Control messages: scheduler → a team's workers, entries of the team's control stream with one field `b` (an envelope).

A message is a hint that may be lost or repeated: the scheduler sends it again until it sees the effect.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from hedgerow.protocol.events import EvaluationKind


class CancelAttempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """Stop this attempt: end the runner's process group, report `cancelled`."""

    attempt_id: str
    why: str = ""


class DrainWorker(msgspec.Struct, frozen=True, omit_defaults=True):
    """Take no more orders, finish what runs, exit 0. `worker` is the worker's id."""

    worker: str
    why: str = ""


class SendManifest(msgspec.Struct, frozen=True):
    """Send the body of this manifest as `manifest_chunk` events."""

    hash: str


class ResendEvents(msgspec.Struct, frozen=True):
    """Send again every event after `after_seq`. `worker` is the worker's id, `*` for all."""

    worker: str
    after_seq: int = 0


class Evaluate(msgspec.Struct, frozen=True):
    """Evaluate something of exactly this manifest outside of steps, unless it is begun already (claim `evaluation_id`), or `start_before_ms`
    has passed. Whoever takes it reports `evaluated`, at the latest when `timeout_ms` are over.
    """

    evaluation_id: str
    manifest: str
    kind: EvaluationKind
    name: str
    argument: msgspec.Raw
    timeout_ms: int
    start_before_ms: int


Control: TypeAlias = CancelAttempt | DrainWorker | SendManifest | ResendEvents | Evaluate

KINDS: dict[str, type[Control]] = {
    "cancel_attempt": CancelAttempt,
    "drain_worker": DrainWorker,
    "send_manifest": SendManifest,
    "resend_events": ResendEvents,
    "evaluate": Evaluate,
}
KIND_OF: dict[type, str] = {body: kind for kind, body in KINDS.items()}
