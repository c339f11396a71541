"""What must be known of a step or an asset to say why it is not running."""

from __future__ import annotations

from datetime import datetime

import msgspec

from hedgerow.errors import Problem


class UpstreamStep(msgspec.Struct, frozen=True):
    """A step of the same run that must succeed first."""

    number: int
    computation: str
    partition: str
    state: str


class Holder(msgspec.Struct, frozen=True):
    """A step whose attempt is out, and so holds what others wait for."""

    run_id: str
    number: int
    assets: tuple[str, ...]
    partition: str
    state: str
    started_at: datetime | None


class QueueFact(msgspec.Struct, frozen=True):
    """A queue: its declared limit, how many attempts are out, how many ready steps come before this one, who holds it."""

    concurrency: int | None
    in_use: int
    ahead: int
    holders: tuple[Holder, ...]


class WorkerFact(msgspec.Struct, frozen=True):
    """A live worker of the step's team. `accepted` says that its manifest was: it gets no orders otherwise."""

    id: str
    location: str
    state: str
    slots: int
    busy: int
    manifest_hash: str
    queues: tuple[str, ...]
    silent_s: float
    accepted: bool = True


class LocationFact(msgspec.Struct, frozen=True):
    """A code location of the step's team: the manifest in force, and what is wrong with what came later."""

    location: str
    manifest_hash: str | None
    problems: tuple[Problem, ...]


class BlockedInput(msgspec.Struct, frozen=True):
    """An upstream asset without an accepted output, since a blocking check failed."""

    asset: str
    check_name: str
    partition: str
    run_id: str


class StepFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a step at `now` (PostgreSQL's clock). `leader_stale_s` is None when no scheduler ever ran."""

    now: datetime
    run_id: str
    number: int
    state: str
    team: str
    location: str
    queue: str
    assets: tuple[str, ...]
    partition: str
    attempt: int
    not_before: datetime | None
    started_at: datetime | None
    error: Problem | None
    cancel_requested: bool
    leader_stale_s: float | None
    upstream: tuple[UpstreamStep, ...]
    queue_fact: QueueFact
    same_output: tuple[Holder, ...]
    workers: tuple[WorkerFact, ...]
    locations: tuple[LocationFact, ...]
    declared: bool
    unresolved: tuple[str, ...]
    blocked: tuple[BlockedInput, ...]


class AssetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an asset (of one partition, or as a whole when `partition` is None) that no live step makes.

    `current` counts its partitions that have a current materialization, 1 at most without partitions.
    """

    asset: str
    partition: str | None
    team: str
    external: bool
    partitioned: bool
    current: int
    last_run_id: str | None
    last_number: int | None
    last_state: str | None
    last_error: Problem | None
    upstream_missing: tuple[str, ...]
    unresolved: tuple[str, ...]
