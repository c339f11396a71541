"""The things that live while a run lives: runs, steps, attempts, workers, as the leader holds them in memory."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import msgspec

from hedgerow.errors import Problem
from hedgerow.manifest.model import Column
from hedgerow.protocol.references import Reference
from hedgerow_scheduler.lifecycle.states import AttemptState, MaterializationState, RunState, StepState
from hedgerow_scheduler.lifecycle.waits import Cause, add_wait


class Step(msgspec.Struct, eq=False):
    """A computation for one partition within a run. `waiting_on` counts upstream steps of the run that have not succeeded yet.

    `recorded` is the state that PostgreSQL holds: every write is guarded by it. `waits` are the seconds it has waited by cause,
    `since` when the present wait outside the backlog began; `ticket` is its place in the backlog, `holding` what its attempt holds.
    """

    run: Run
    number: int
    team: str
    location: str
    queue: str
    priority: int
    computation: str
    assets: tuple[str, ...]
    partition: str | None
    upstream: tuple[int, ...]
    state: StepState
    recorded: StepState
    waiting_on: int = 0
    attempt: int = 0
    attempt_id: str | None = None
    failures: int = 0
    losses: int = 0
    deaths: int = 0
    not_before: datetime | None = None
    ready_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: Problem | None = None
    cancelling: bool = False
    waits: dict[str, float] | None = None
    since: datetime | None = None
    ticket: Any = None
    holding: Any = None
    held_locks: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """How people name it: `run id/number`."""
        return f"{self.run.id}/{self.number}"

    def waited(self, cause: Cause, seconds: float) -> None:
        """Adds to the seconds that it waited for a cause; the first time with what the planning of its run took."""
        if self.waits is None:
            self.waits = {}
            if self.run.started_at is not None:
                add_wait(self.waits, Cause.PLANNING, (self.run.started_at - self.run.created_at).total_seconds())
        add_wait(self.waits, cause, seconds)

    def waited_less(self, cause: Cause, seconds: float) -> None:
        """It waited less for a cause than was thought: it turns out to have started earlier."""
        if self.waits is not None and cause in self.waits:
            self.waits[cause] = max(0.0, self.waits[cause] - seconds)

    def locks(self) -> tuple[tuple[str, str], ...]:
        """The (asset, partition) pairs of which only one attempt may live."""
        if not self.held_locks:
            self.held_locks = tuple((asset, self.partition or "") for asset in self.assets)
        return self.held_locks


class Run(msgspec.Struct, eq=False):
    """A run with its steps, in order of their numbers; `downstream` are the edges of `Step.upstream` the other way round.

    `cap` is how many of its steps may be out at once; `priority` is what operators gave it, and counts across teams; `backfill_id` names the
    backfill that launched it.
    """

    id: str
    state: RunState
    created_at: datetime
    config: dict[str, Any] = {}
    tags: dict[str, str] = {}
    author: str = ""
    steps: list[Step] = []
    downstream: dict[int, list[int]] = msgspec.field(default_factory=dict)
    counts: Counter[StepState] = msgspec.field(default_factory=Counter)
    cancel_requested: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: Problem | None = None
    priority: int = 0
    cap: int | None = None
    backfill_id: str | None = None


class Materialization(msgspec.Struct, eq=False):
    """One output of one attempt. `made_at` is when it was reported: it may become current much later."""

    attempt_id: str
    asset: str
    partition: str
    run_id: str
    step_number: int
    dispatch_seq: int
    state: MaterializationState
    reference: Reference | None
    data_version: str
    code_version: str
    metadata: dict[str, Any]
    columns: tuple[Column, ...]
    made_at: datetime | None = None


class Attempt(msgspec.Struct, eq=False):
    """One try of a step. It stays known after its lease expired for as long as no other attempt of the step was dispatched:
    its outcome still counts then.

    `batch` is the dispatch number of the first of those that went out in one message. `worker` and `token` are bound by attempt_started. `revoking` says that the scheduler is trying to take the claim. Of its checks, `failed_checks` names those that failed, with their assets.
    `judged` is what it runs checks on, when it makes nothing (lifecycle.judging); if it `judges_former`, something newer is current already.
    `inputs` are the versions of what it is made from (planning.versions), `after` the partitions of what it only comes after, whose versions are looked up when it is recorded.
    """

    id: str
    step: Step
    number: int
    dispatch_seq: int
    state: AttemptState
    recorded: AttemptState
    manifest_hash: str
    dispatched_at: datetime
    start_before: datetime
    worker: str = ""
    token: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: Problem | None = None
    log: str = ""
    lease_until: datetime | None = None
    revoking: bool = False
    told_to_cancel_at: datetime | None = None
    batch: int = 0
    inputs: dict[str, Any] = msgspec.field(default_factory=dict)
    after: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    outputs: dict[str, Materialization] = msgspec.field(default_factory=dict)
    rejected: set[str] = msgspec.field(default_factory=set)
    failed_checks: set[tuple[str, str]] = msgspec.field(default_factory=set)
    judged: Materialization | None = None
    judges_former: bool = False


class Worker(msgspec.Struct, eq=False):
    """A worker incarnation, as its last heartbeat described it."""

    team: str
    id: str
    location: str
    manifest_hash: str
    queues: tuple[str, ...]
    slots: int
    busy: int
    state: str
    first_seen: datetime
    last_seen: datetime
    host: str = ""
    pid: int = 0
