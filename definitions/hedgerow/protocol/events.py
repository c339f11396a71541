"""Events: worker → scheduler, over the team's stream; the runner → worker pipe carries the same ones.

Each stream entry has one field `b`: a JSON array of envelopes. A body may be at most `MAX_EVENT_BYTES`.
Bodies about an attempt carry (`attempt_id`, `token`): the scheduler drops, and counts, what does not match the bound token.
The runner leaves `token` empty; the worker fills it in.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from hedgerow.errors import Problem
from hedgerow.manifest.model import Column
from hedgerow.protocol.references import Reference

MAX_EVENT_BYTES = 256 * 1024
MAX_METADATA_BYTES = 64 * 1024
STREAM_FIELD = b"b"


class AttemptStarted(msgspec.Struct, frozen=True, omit_defaults=True):
    """The worker holds the claim and its runner begins."""

    attempt_id: str
    token: str
    run_id: str = ""
    step: str = ""


class AssetMaterialized(msgspec.Struct, frozen=True, omit_defaults=True):
    """One asset was computed. `reference` is None when nothing is stored (`-> None`)."""

    attempt_id: str
    asset: str
    token: str = ""
    partition: str | None = None
    reference: Reference | None = None
    data_version: str = ""
    code_version: str = ""
    metadata: dict[str, Any] = {}
    columns: tuple[Column, ...] = ()


class CheckEvaluated(msgspec.Struct, frozen=True, omit_defaults=True):
    """One check of one asset gave its verdict. An exception in the check is a failed verdict with `error`."""

    attempt_id: str
    asset: str
    check: str
    passed: bool
    token: str = ""
    partition: str | None = None
    blocking: bool = False
    severity: Literal["warn", "error"] = "error"
    description: str = ""
    metadata: dict[str, Any] = {}
    error: str = ""


class PartitionsChanged(msgspec.Struct, frozen=True, omit_defaults=True):
    """The step has the keys of the team's set `name` changed. Sent once everything else of it is done, before its end."""

    attempt_id: str
    name: str
    token: str = ""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class AttemptSucceeded(msgspec.Struct, frozen=True, omit_defaults=True):
    """The user's code returned and everything was written.

    `log` is the URL of the durable log, empty when nothing was printed, a gap (`logs.Gap.encode`) when none of it could be kept.
    """

    attempt_id: str
    token: str = ""
    duration_ms: float = 0.0
    log: str = ""


FailureReason: TypeAlias = Literal[
    "user_error",  # the user's code raised: the user's retries apply
    "timed_out",  # ran past its timeout: the user's retries apply
    "check_failed",  # a blocking check failed: final
    "bad_order",  # config, inputs or definition don't fit the order: final
    "runner_lost",  # the runner died: an infrastructure retry, counts towards poison
    "interrupted",  # the worker is leaving: costs nothing
    "refused",  # never started: past start_before or not this worker's audience; costs nothing
    "cancelled",  # stopped because the scheduler asked: final
]


class AttemptFailed(msgspec.Struct, frozen=True, omit_defaults=True):
    """The attempt ended without success. `error` has type, message and traceback; `retryable` False forbids a user retry."""

    attempt_id: str
    reason: FailureReason
    error: Problem
    token: str = ""
    retryable: bool = True
    duration_ms: float = 0.0
    log: str = ""


class AttemptSkipped(msgspec.Struct, frozen=True, omit_defaults=True):
    """The user's code returned `hr.skip(why)`: nothing was materialized."""

    attempt_id: str
    why: str
    token: str = ""
    duration_ms: float = 0.0
    log: str = ""


class ManifestPublished(msgspec.Struct, frozen=True, omit_defaults=True):
    """A worker serves this manifest. The body follows as `manifest_chunk`s when the scheduler asks (control `send_manifest`)."""

    team: str
    location: str
    hash: str
    size_bytes: int


class ManifestChunk(msgspec.Struct, frozen=True):
    """Part `index` of `count` of a manifest's canonical JSON, at most 128 KiB of text each."""

    hash: str
    index: int
    count: int
    text: str


class LocationFailed(msgspec.Struct, frozen=True, omit_defaults=True):
    """The team's code could not be loaded: the last good manifest stays in force."""

    team: str
    location: str
    problems: tuple[Problem, ...]


class Held(msgspec.Struct, frozen=True):
    """An attempt that a worker holds, with the token of its claim."""

    attempt_id: str
    token: str


MAX_WORKER_SLOTS = 10_000  # beyond it, it is no worker that speaks


class WorkerHeartbeat(msgspec.Struct, frozen=True, omit_defaults=True):
    """The worker lives and renews the leases of all that it holds. Not kept in the outbox (seq 0).

    `queues` are the team's queue names, all served with `manifest` from `slots` shared slots, of which `busy` are at work, on however
    many orders. `state` is `starting` before its runners are warm, then `ready`, then `draining`.
    """

    location: str
    manifest: str
    queues: tuple[str, ...]
    slots: int
    busy: int = 0
    state: Literal["starting", "ready", "draining"] = "ready"
    holds: tuple[Held, ...] = ()
    host: str = ""
    pid: int = 0
    memory_bytes: int = 0
    outbox_events: int = 0


class WorkerStopped(msgspec.Struct, frozen=True, omit_defaults=True):
    """The worker ended on purpose, after its last event."""

    why: str = ""


EvaluationKind: TypeAlias = Literal["sensor", "condition", "reaction"]
EvaluationReason: TypeAlias = Literal["ok", "user_error", "timed_out", "runner_lost", "bad_result"]
MAX_EVALUATION_LOG_BYTES = 8 * 1024


class Evaluated(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of an evaluation outside of steps: its `result` if it is `ok`, otherwise an `error`. `log` is the end of what it printed."""

    evaluation_id: str
    kind: EvaluationKind
    name: str
    reason: EvaluationReason
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: Problem | None = None
    duration_ms: int = 0
    log: str = ""


Event: TypeAlias = (
    AttemptStarted
    | AssetMaterialized
    | CheckEvaluated
    | PartitionsChanged
    | AttemptSucceeded
    | AttemptFailed
    | AttemptSkipped
    | ManifestPublished
    | ManifestChunk
    | LocationFailed
    | WorkerHeartbeat
    | WorkerStopped
    | Evaluated
)

KINDS: dict[str, type[Event]] = {
    "attempt_started": AttemptStarted,
    "asset_materialized": AssetMaterialized,
    "check_evaluated": CheckEvaluated,
    "partitions_changed": PartitionsChanged,
    "attempt_succeeded": AttemptSucceeded,
    "attempt_failed": AttemptFailed,
    "attempt_skipped": AttemptSkipped,
    "manifest_published": ManifestPublished,
    "manifest_chunk": ManifestChunk,
    "location_failed": LocationFailed,
    "worker_heartbeat": WorkerHeartbeat,
    "worker_stopped": WorkerStopped,
    "evaluated": Evaluated,
}
KIND_OF: dict[type, str] = {body: kind for kind, body in KINDS.items()}
