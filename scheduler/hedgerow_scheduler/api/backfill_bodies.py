"""What is asked and told of backfills."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from hedgerow.errors import Problem
from hedgerow_scheduler.lifecycle.backfills import LAUNCHING, BackfillState, PartitionState
from hedgerow_scheduler.metadata.backfills import StoredBackfill, StoredTrack
from hedgerow_scheduler.metadata.read_backfills import FailedStep
from hedgerow_scheduler.planning.backfill_request import BackfillRequest
from hedgerow_scheduler.planning.backfills import Settings


class StartBackfill(BackfillRequest, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A request with who asks, and why."""

    author: str = ""
    reason: str = ""

    def request(self) -> BackfillRequest:
        """The request alone."""
        return BackfillRequest(**{name: getattr(self, name) for name in BackfillRequest.__struct_fields__})


class Started(msgspec.Struct, frozen=True):
    """The backfill's id, and whether it is new."""

    id: str
    created: bool


class ChangeBackfill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who asks, and why."""

    author: str = ""
    reason: str = ""


class PaceBackfill(ChangeBackfill, frozen=True, forbid_unknown_fields=True):
    """How fast it goes from now on; what is left out stays as it is. `rate` null: no rate."""

    max_runs: int | UnsetType = UNSET
    rate: str | UnsetType | None = UNSET


class BackfillAccepted(msgspec.Struct, frozen=True):
    """The scheduler will take it up in a moment, as the command `command_id`."""

    backfill_id: str
    command_id: int


class BackfillView(msgspec.Struct, frozen=True, kw_only=True):
    """A backfill: `counts` of its `partitions` by state, `remaining_s` as it has gone so far (None: it can't be told)."""

    id: str
    state: BackfillState
    selection: tuple[str, ...]
    request: BackfillRequest
    settings: Settings
    author: str
    reason: str
    problem: Problem | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    partitions: int
    counts: dict[str, int]
    remaining_s: float | None


class BackfillPage(msgspec.Struct, frozen=True):
    """Some backfills; `next` is the cursor of the following page."""

    items: tuple[BackfillView, ...]
    next: str | None


class PartitionSpan(msgspec.Struct, frozen=True):
    """The partitions from `first` to `last`, both included, and how many they are."""

    first: str | None
    last: str | None
    partitions: int


class TrackView(msgspec.Struct, frozen=True, kw_only=True):
    """One step's assets in a backfill. `failed` are the first ranges of those partitions, `more_failed` how many others failed."""

    team: str
    computation: str
    assets: tuple[str, ...]
    partitions: int
    per_run: int
    counts: dict[str, int]
    failed: tuple[PartitionSpan, ...]
    more_failed: int


class BackfillDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A backfill with its assets in dependency order, its runs by state, a step that failed lately (`failure`), and whether something that
    was asked of it is not taken up yet.
    """

    backfill: BackfillView
    tracks: tuple[TrackView, ...]
    runs: dict[str, int]
    failure: FailedStep | None
    pending: bool


class PlannedTrack(msgspec.Struct, frozen=True, kw_only=True):
    """What a backfill would make of one step's assets: the first `ranges` of its partitions, in how many runs at most `per_run` each."""

    team: str
    computation: str
    assets: tuple[str, ...]
    partitions: int
    canary: int
    per_run: int
    runs: int
    ranges: tuple[PartitionSpan, ...]
    more_partitions: int


class BackfillPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a request would come to, in dependency order."""

    partitions: int
    runs: int
    settings: Settings
    tracks: tuple[PlannedTrack, ...]


def view(stored: StoredBackfill, tracks: list[StoredTrack], now: datetime) -> BackfillView:
    """A backfill as people see it."""
    counts = {state.value: sum(track.counts.get(state, 0) for track in tracks) for state in PartitionState}
    return BackfillView(
        id=stored.id,
        state=stored.state,
        selection=stored.request.selection,
        request=stored.request,
        settings=stored.settings,
        author=stored.author,
        reason=stored.reason,
        problem=stored.problem,
        created_at=stored.created_at,
        started_at=stored.started_at,
        ended_at=stored.ended_at,
        partitions=sum(counts.values()),
        counts=counts,
        remaining_s=_remaining_s(stored, counts, now),
    )


def _remaining_s(stored: StoredBackfill, counts: dict[str, int], now: datetime) -> float | None:
    """What is left at the pace so far, counted over the time in which partitions were launched."""
    left = counts[PartitionState.TO_DO] + counts[PartitionState.LAUNCHED]
    ended = sum(counts.values()) - left - counts[PartitionState.UPSTREAM_FAILED]
    if stored.state not in LAUNCHING or not ended or not left:
        return None
    worked_s = stored.worked_ms / 1000 + max(0.0, (now - stored.since).total_seconds())
    return round(worked_s / ended * left, 1)
