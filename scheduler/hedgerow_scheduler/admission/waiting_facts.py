"""What must be known of a step or an asset to say why it is not running."""

from __future__ import annotations

from datetime import datetime

import msgspec

from hedgerow.errors import Problem
from hedgerow_scheduler.limits.limit import NO_LIMIT, LimitKind, Values
from hedgerow_scheduler.planning.rules import Override


class UpstreamStep(msgspec.Struct, frozen=True):
    """A step of the same run that must succeed first."""

    number: int
    computation: str
    partition: str
    state: str


class Holder(msgspec.Struct, frozen=True):
    """A step whose attempt is out, and so holds what others wait for: `slots` of a limit, since it was dispatched.

    `together` counts the attempts of its message, which hold the slots together.
    """

    run_id: str
    number: int
    team: str
    assets: tuple[str, ...]
    partition: str
    state: str
    since: datetime
    slots: int = 1
    together: int = 1


class Pace(msgspec.Struct, frozen=True):
    """How fast things go, as it was measured lately; None where nothing was. `starts_per_s` of those under one limit, `mean_s` how
    long steps of the same computation last, or of the same queue when that one has not run lately.
    """

    starts_per_s: float | None = None
    mean_s: float | None = None


class LimitFact(msgspec.Struct, frozen=True, kw_only=True):
    """A limit on the step, of which it needs `slots`: what it is set to now and what its owner declared, how much is taken and by
    whom, how many ready steps come first. `known` False: a pool that nobody declares.

    `tokens` are left of its rate; `next_token_s` is when one can be taken, None when there never will be one.
    """

    kind: LimitKind
    name: str
    values: Values
    declared: Values = NO_LIMIT
    slots: int = 1
    in_use: int = 0
    holders: tuple[Holder, ...] = ()
    overrides: tuple[Override, ...] = ()
    tokens: float | None = None
    next_token_s: float | None = None
    ahead: int = 0
    pace: Pace = Pace()
    known: bool = True


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


class SlotsFact(msgspec.Struct, frozen=True):
    """How many steps of the queue, and of all queues of its location, are out; and the steps that they are."""

    of_queue: int = 0
    of_location: int = 0
    holders: tuple[Holder, ...] = ()
    others: tuple[Holder, ...] = ()


class LocationFact(msgspec.Struct, frozen=True):
    """A code location of the step's team: the manifest in force, and what is wrong with what came later."""

    location: str
    manifest_hash: str | None
    problems: tuple[Problem, ...]


class BlockedInput(msgspec.Struct, frozen=True):
    """An upstream asset whose last output is not accepted: the blocking check that failed, "" while none has."""

    asset: str
    check_name: str
    partition: str
    run_id: str


class StepFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a step at `now` (PostgreSQL's clock). `leader_stale_s` is None when no scheduler ever ran.

    `limits` are in the order in which admission looks: queue, team, run, pools, keys. `ahead` of the queue's `ready` steps come
    first. `code_served` says whether some worker that takes steps serves code that declares this one.
    """

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
    limits: tuple[LimitFact, ...]
    ahead: int
    ready: int
    pace: Pace
    slots: SlotsFact
    same_output: tuple[Holder, ...]
    workers: tuple[WorkerFact, ...]
    locations: tuple[LocationFact, ...]
    declared: bool
    code_served: bool
    unresolved: tuple[str, ...]
    blocked: tuple[BlockedInput, ...]

    @property
    def serving(self) -> tuple[WorkerFact, ...]:
        """The live workers of its location that serve its queue."""
        return tuple(one for one in self.workers if one.location == self.location and self.queue in one.queues)


class AssetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an asset (of one partition, or as a whole when `partition` is None) that no live step makes.

    `current` counts its partitions that have a current materialization, 1 at most without partitions. `held_back` is what became of the
    newest output of a single one where checks hold it back: "unchecked" or "rejected", else "".
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
    held_back: str
    upstream_missing: tuple[str, ...]
    unresolved: tuple[str, ...]
