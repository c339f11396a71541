"""The bodies of requests and answers that are not simply rows."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from hedgerow.errors import Problem
from hedgerow.manifest.model import Asset, Check, Computation, Environment, Job
from hedgerow_scheduler.admission.causes import Cause
from hedgerow_scheduler.admission.wait_times import Wait
from hedgerow_scheduler.api.freshness_bodies import FreshnessDetail, FreshnessSummary
from hedgerow_scheduler.api.logs import AttemptLog
from hedgerow_scheduler.automation.pauses import Pause
from hedgerow_scheduler.metadata.read_runs import CheckResult, Materialization, Run, Step
from hedgerow_scheduler.metadata.read_teams import Location, Worker
from hedgerow_scheduler.planning.request import RunRequest


class LaunchRun(RunRequest, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A run request with what people attach to the run."""

    tags: dict[str, str] = msgspec.field(default_factory=dict)
    author: str = ""

    def request(self) -> RunRequest:
        """The request alone."""
        return RunRequest(
            self.selection,
            self.partitions,
            self.partition_range,
            self.all_partitions,
            self.config,
            self.max_concurrent,
            self.latest_at,
            self.only_stale,
            self.checks_only,
        )


class RetryRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which steps to try again, by number; all that did not succeed when it is empty."""

    steps: tuple[int, ...] = ()
    author: str = ""


class CancelRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who cancels."""

    author: str = ""


class SetPriority(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How urgent a run is to the platform's operators, from -100 to 100 (0 by default), who says so, and why."""

    priority: int
    reason: str = ""
    author: str = ""


class DrainWorker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who has the worker leave, and why, which its log and the record of commands then say."""

    author: Annotated[str, msgspec.Meta(max_length=255)] = ""
    reason: Annotated[str, msgspec.Meta(max_length=255)] = ""


class RegisterTeam(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The team to register: from then on its workers are heard."""

    name: str


class Launched(msgspec.Struct, frozen=True):
    """The run that was requested; `created` is False when the idempotency key had been used for it before."""

    id: str
    created: bool


class Accepted(msgspec.Struct, frozen=True):
    """The scheduler will do what was asked; `command` numbers the request."""

    run_id: str
    command: int


class DrainAccepted(msgspec.Struct, frozen=True):
    """The worker will be told until it leaves; `command` numbers the request."""

    team: str
    worker: str
    command: int


class Registered(msgspec.Struct, frozen=True):
    """The team; `created` is False when it was registered before."""

    name: str
    created: bool


class PlannedStepView(msgspec.Struct, frozen=True):
    """A step that a run would have."""

    number: int
    team: str
    queue: str
    computation: str
    assets: tuple[str, ...]
    partition: str
    upstream: tuple[int, ...]


class Plan(msgspec.Struct, frozen=True):
    """What a request would run. `total` counts all steps; `steps` holds the first of them. Of a request of only what is stale,
    `stale_by_upstream` counts the steps that are left out because only something upstream of the run would make them fresh.
    """

    total: int
    assets: tuple[str, ...]
    steps: tuple[PlannedStepView, ...]
    stale_by_upstream: int = 0


class RunPage(msgspec.Struct, frozen=True):
    """Runs, newest first; `next` is the cursor of the next page."""

    items: tuple[Run, ...]
    next: str | None


class StepPage(msgspec.Struct, frozen=True):
    """Steps by number; `next` is the cursor of the next page."""

    items: tuple[Step, ...]
    next: str | None


class LogPage(msgspec.Struct, frozen=True):
    """Logs by step and attempt; `next` is the cursor of the next page."""

    items: tuple[AttemptLog, ...]
    next: str | None


class MaterializationPage(msgspec.Struct, frozen=True):
    """Materializations, the last dispatched first; `next` is the cursor of the next page."""

    items: tuple[Materialization, ...]
    next: str | None


class CheckResultPage(msgspec.Struct, frozen=True):
    """Verdicts of a check, newest first; `next` is the cursor of the next page."""

    items: tuple[CheckResult, ...]
    next: str | None


class StaleCauseView(msgspec.Struct, frozen=True):
    """Why a partition is stale. `kind` is code_changed, data_changed, dependency_added, dependency_removed or upstream_stale; `asset` the
    upstream concerned, with the first of the `partitions` concerned; `before` and `after` are versions; `roots` say where it began.
    """

    kind: str
    asset: str
    partition: str
    partitions: int
    before: str
    after: str
    message: str
    roots: tuple[str, ...]


class PartitionStatus(msgspec.Struct, frozen=True):
    """A partition that is not fresh: `status` is missing or stale."""

    partition: str
    status: str
    causes: tuple[StaleCauseView, ...]


class Staleness(msgspec.Struct, frozen=True):
    """How many partitions are missing, stale and fresh: `of_all` of them, or only of the latest window. `partitions` are the first of
    those that are not fresh.
    """

    missing: int
    stale: int
    fresh: int
    of_all: bool
    partitions: tuple[PartitionStatus, ...]


class StaleCounts(msgspec.Struct, frozen=True):
    """How many partitions are missing, stale and fresh, and why the first stale one is."""

    missing: int
    stale: int
    fresh: int
    why: str


class AssetSummary(msgspec.Struct, frozen=True):
    """An asset in a list. `current` counts the partitions that have data (at most 1 without partitions). `staleness` is there when only
    what is not fresh was asked for, `freshness` when it has a policy.
    """

    key: str
    team: str
    location: str
    group: str
    kinds: tuple[str, ...]
    owners: tuple[str, ...]
    tags: dict[str, str]
    description: str
    external: bool
    partitioned: bool
    current: int
    newest_at: datetime | None
    staleness: StaleCounts | None = None
    freshness: FreshnessSummary | None = None


class AssetPage(msgspec.Struct, frozen=True):
    """Assets by key; `next` is the cursor of the next page, `total` counts all."""

    items: tuple[AssetSummary, ...]
    next: str | None
    total: int


class AssetDetail(msgspec.Struct, frozen=True):
    """All about one asset. `partitions` is how many it has now, None without partitions; `last` its latest materialization.
    `staleness` is None when it is external, or when too much is upstream of it to be compared by the way, `freshness` without a policy;
    `pause` is what holds its condition back, `launched_by` are schedules and sensors that select it, or observe it.
    """

    key: str
    team: str
    location: str
    definition: Asset
    computation: Computation | None
    checks: tuple[Check, ...]
    upstream: tuple[str, ...]
    downstream: tuple[str, ...]
    partitions: int | None
    current: int
    last: Materialization | None
    check_results: tuple[CheckResult, ...]
    staleness: Staleness | None
    freshness: FreshnessDetail | None
    pause: Pause | None
    launched_by: tuple[str, ...]


class GraphNode(msgspec.Struct, frozen=True):
    """An asset in the graph; `unresolved` when no team declares it."""

    key: str
    team: str
    group: str
    external: bool
    unresolved: bool = False


class Edge(msgspec.Struct, frozen=True):
    """Downstream is made from upstream."""

    upstream: str
    downstream: str


class Graph(msgspec.Struct, frozen=True):
    """Nodes by key, and the edges between them."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[Edge, ...]


class TeamSummary(msgspec.Struct, frozen=True):
    """A team in a list."""

    name: str
    created_at: datetime
    locations: int
    broken: int
    assets: int
    workers: int
    slots: int
    busy: int


class LocationDetail(msgspec.Struct, frozen=True):
    """A code location with what its manifest in force declares."""

    location: Location
    environment: Environment | None
    assets: tuple[str, ...]
    jobs: tuple[Job, ...]


class TeamDetail(msgspec.Struct, frozen=True):
    """All about one team."""

    name: str
    created_at: datetime
    locations: tuple[LocationDetail, ...]
    workers: tuple[Worker, ...]


class QueueView(msgspec.Struct, frozen=True):
    """A queue: its limits as they are now (over all locations of the team that have it), whether it is paused, its live steps by
    state, and the live workers' slots that serve it.
    """

    team: str
    queue: str
    concurrency: int | None
    rate_per_s: float | None
    paused: bool
    steps: dict[str, int]
    workers: int
    slots: int
    busy: int


class Position(msgspec.Struct, frozen=True):
    """About how many of the ready steps of a queue come before one. Turns and ageing go on, so that it is an estimate."""

    queue: str
    ahead: int
    ready: int


class Explanation(msgspec.Struct, frozen=True):
    """Why a step is not running, or what is known of an asset. `subject` is `RUN/NUMBER`, a run's id, or the asset's key.

    `waits` are the seconds by cause from the creation of the run to the start, `waited_s` in all. `position` is of a ready step;
    `estimated_start` of one that has not started, None when `estimate` says why nobody can tell.
    """

    subject: str
    state: str
    assets: tuple[str, ...]
    partition: str
    causes: tuple[Cause, ...]
    position: Position | None = None
    estimated_start: datetime | None = None
    estimate: str = ""
    waited_s: float = 0.0
    waits: tuple[Wait, ...] = ()


class RunWaits(msgspec.Struct, frozen=True):
    """Where the time of a run's steps went: seconds waited by cause, and seconds in which attempts ran, summed over its steps."""

    run_id: str
    state: str
    steps: int
    waited_s: float
    ran_s: float
    waits: tuple[Wait, ...]


class Readiness(msgspec.Struct, frozen=True):
    """Whether the platform can work; `problems` says what is missing."""

    ready: bool
    leader: str | None
    problems: tuple[Problem, ...]
