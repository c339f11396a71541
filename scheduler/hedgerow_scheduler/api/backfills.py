"""Routes of backfills: look ahead, start, look at, and change while they go on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter
from sqlalchemy import Connection

from hedgerow import clock
from hedgerow.errors import Problem, RequestError
from hedgerow.settings.rates import parse_rate
from hedgerow_scheduler.api.backfill_bodies import (
    BackfillAccepted,
    BackfillDetail,
    BackfillPage,
    BackfillPlan,
    ChangeBackfill,
    PaceBackfill,
    PartitionSpan,
    PlannedTrack,
    StartBackfill,
    Started,
    TrackView,
    view,
)
from hedgerow_scheduler.api.runs import MAX_TEXT, Cursor, PageSize, naming_broken_teams
from hedgerow_scheduler.api.services import Services
from hedgerow_scheduler.lifecycle.backfills import (
    ENDED_BACKFILLS,
    RETRYABLE_PARTITIONS,
    BackfillState,
    PartitionState,
)
from hedgerow_scheduler.metadata import audit, backfills, commands
from hedgerow_scheduler.metadata.read_backfills import (
    count_runs,
    is_pending,
    last_failure,
    list_backfills,
    match_backfill,
)
from hedgerow_scheduler.partitions.ranges import Ranges, ranges
from hedgerow_scheduler.planning.backfill_request import BackfillRequest, check_pace, plan_backfill, settings_of
from hedgerow_scheduler.planning.backfill_tracks import Track, connect
from hedgerow_scheduler.planning.backfills import Backfill
from hedgerow_scheduler.planning.tuning import MAX_REASON, check_circumstances

SHOWN_RANGES = 10
B = BackfillState


@post("/backfills", tags=["backfills"], sync_to_thread=True)
def start_backfill(
    services: NamedDependency[Services],
    data: JSONBody[StartBackfill],
    idempotency_key: Annotated[
        str | None,
        HeaderParameter(
            name="Idempotency-Key",
            max_length=MAX_TEXT,
            description="The same key with the same body is the same backfill.",
        ),
    ] = None,
) -> Response[Started]:
    """Have partitions of assets made, in runs of some of them at a time, each after what it is made from. Which partitions that are is
    settled now; they are launched from a moment later on.

    201 with a new backfill, 200 when the idempotency key had been used for the same body, 409 when for another one.
    """
    if len(data.author) > MAX_TEXT or len(data.reason) > MAX_REASON:
        message = "The author or reason of the backfill is too long."
        raise RequestError.of("HR-Q334", message, f"At most {MAX_TEXT} and {MAX_REASON} characters.")
    request = data.request()
    settings = settings_of(request)
    with services.writing() as connection:
        tracks = _plan(services, connection, request, clock.now())
        id, created = backfills.request_backfill(
            connection, request, settings, tracks, data.author, data.reason, idempotency_key
        )
        if created:
            total = sum(len(track.sets[PartitionState.TO_DO]) for track in tracks)
            after = {"selection": list(request.selection), "partitions": total, "settings": settings}
            audit.write(connection, data.author, "start", f"backfill {id}", None, after, data.reason)
    return Response(Started(id, created), status_code=201 if created else 200)


@post("/backfills/plan", tags=["backfills"], status_code=200, sync_to_thread=True)
def preview_backfill(services: NamedDependency[Services], data: JSONBody[BackfillRequest]) -> BackfillPlan:
    """What a request would come to, without starting anything."""
    settings, now = settings_of(data), clock.now()
    with services.reading() as connection:
        tracks = _plan(services, connection, data, now)
        Backfill("", B.REQUESTED, settings, tracks).use(services.catalog(connection), now)
    found = tuple(map(_planned, tracks))
    return BackfillPlan(
        partitions=sum(track.partitions for track in found),
        runs=sum(track.runs for track in found),
        settings=settings,
        tracks=found,
    )


@get("/backfills", tags=["backfills"], sync_to_thread=True)
def show_backfills(
    services: NamedDependency[Services],
    states: Annotated[
        list[BackfillState] | None, QueryParameter(name="state", description="Backfills in one of these states.")
    ] = None,
    limit: PageSize = 50,
    cursor: Cursor = None,
) -> BackfillPage:
    """Backfills, newest first."""
    now = clock.now()
    with services.reading() as connection:
        before = _full_id(connection, cursor) if cursor else None
        found, more = list_backfills(connection, states=states or (), before=before, limit=limit)
        tracks = backfills.read_tracks(connection, [one.id for one in found])
    items = tuple(view(one, tracks[one.id], now) for one in found)
    return BackfillPage(items, items[-1].id if more else None)


@get("/backfills/{backfill_id:str}", tags=["backfills"], sync_to_thread=True)
def show_backfill(services: NamedDependency[Services], backfill_id: FromPath[str]) -> BackfillDetail:
    """A backfill with the progress of each of its assets."""
    now = clock.now()
    with services.reading() as connection:
        known, counted = _find(connection, backfill_id)
        id = known.stored.id
        for _ in connect(known.tracks, services.catalog(connection)):
            pass  # one that can't be made any more is shown all the same
        return BackfillDetail(
            backfill=view(known.stored, counted, now),
            tracks=tuple(map(_of_track, known.tracks)),
            runs=count_runs(connection, id),
            failure=last_failure(connection, id),
            pending=is_pending(connection, id),
        )


@post("/backfills/{backfill_id:str}/pause", tags=["backfills"], status_code=202, sync_to_thread=True)
def pause_backfill(
    services: NamedDependency[Services], backfill_id: FromPath[str], data: JSONBody[ChangeBackfill]
) -> BackfillAccepted:
    """Launch nothing more until it is resumed. Runs that are out go on."""
    with services.writing() as connection:
        known, _ = _find(connection, backfill_id)
        return _ask(connection, known, "pause", data, (B.REQUESTED, B.CANARY, B.RUNNING), {"state": "paused"})


@post("/backfills/{backfill_id:str}/resume", tags=["backfills"], status_code=202, sync_to_thread=True)
def resume_backfill(
    services: NamedDependency[Services], backfill_id: FromPath[str], data: JSONBody[ChangeBackfill]
) -> BackfillAccepted:
    """Go on where it was paused."""
    with services.writing() as connection:
        known, _ = _find(connection, backfill_id)
        return _ask(connection, known, "resume", data, (B.PAUSED,), {"state": "running"})


@post("/backfills/{backfill_id:str}/cancel", tags=["backfills"], status_code=202, sync_to_thread=True)
def cancel_backfill(
    services: NamedDependency[Services], backfill_id: FromPath[str], data: JSONBody[ChangeBackfill]
) -> BackfillAccepted:
    """Launch nothing more, and cancel the runs that are out."""
    with services.writing() as connection:
        known, _ = _find(connection, backfill_id)
        live = (B.REQUESTED, B.CANARY, B.RUNNING, B.PAUSED, B.ABORTING)
        return _ask(connection, known, "cancel", data, live, {"state": "cancelled"})


@post("/backfills/{backfill_id:str}/retry", tags=["backfills"], status_code=202, sync_to_thread=True)
def retry_backfill(
    services: NamedDependency[Services], backfill_id: FromPath[str], data: JSONBody[ChangeBackfill]
) -> BackfillAccepted:
    """Make again what failed or was cancelled, and what was not made for it. One that ended early goes on with all that is left."""
    with services.writing() as connection:
        known, counted = _find(connection, backfill_id)
        failed = sum(track.counts.get(state, 0) for track in counted for state in RETRYABLE_PARTITIONS)
        left = sum(track.counts.get(PartitionState.TO_DO, 0) for track in counted)
        if not failed and not (left and known.stored.state in ENDED_BACKFILLS):
            message = f"Backfill {known.stored.id} has nothing to try again: it is {known.stored.state}."
            raise RequestError.of("HR-Q364", message, "Only what failed, was cancelled or never launched can be.")
        allowed = (B.CANARY, B.RUNNING, B.PAUSED, B.FAILED, B.CANCELLED, B.ABORTED)
        return _ask(connection, known, "retry", data, allowed, {"partitions": failed + left})


@put("/backfills/{backfill_id:str}/pace", tags=["backfills"], status_code=202, sync_to_thread=True)
def pace_backfill(
    services: NamedDependency[Services], backfill_id: FromPath[str], data: JSONBody[PaceBackfill]
) -> BackfillAccepted:
    """Launch faster or slower from now on: so many partitions per time, so many runs at once. What is out is left alone."""
    pace: dict[str, Any] = {}
    problems: list[Problem] = []
    if data.max_runs is not msgspec.UNSET:
        pace["max_runs"] = data.max_runs
        problems += check_pace(data.max_runs)
    if data.rate is not msgspec.UNSET:
        try:
            pace["rate_per_s"] = None if data.rate is None else parse_rate(data.rate)
        except ValueError as error:
            problems.append(Problem("HR-Q362", f"The rate of the backfill: {error}.", 'Write it such as "600/m".'))
    if not pace and not problems:
        problems.append(Problem("HR-Q362", "Nothing is said about the pace.", "Give rate, max_runs or both."))
    if problems:
        raise RequestError(problems)
    with services.writing() as connection:
        known, _ = _find(connection, backfill_id)
        live = tuple(state for state in B if state not in ENDED_BACKFILLS)
        return _ask(connection, known, "pace", data, live, pace, pace=pace)


def _ask(
    connection: Connection,
    known: backfills.Known,
    what: str,
    data: ChangeBackfill,
    allowed: Sequence[BackfillState],
    after: dict[str, Any],
    **more: Any,
) -> BackfillAccepted:
    """Notes a change and has the scheduler make it; RequestError HR-Q364 when the backfill's state does not allow it."""
    stored = known.stored
    reason = data.reason or f"{what} asked for"
    if problems := check_circumstances(data.author, reason, stored.created_at, None):
        raise RequestError(problems)
    if stored.state not in allowed:
        message = f"Backfill {stored.id} is {stored.state}: it can't be asked to {what}."
        raise RequestError.of("HR-Q364", message, f"That is possible while it is {' or '.join(allowed)}.")
    before = (
        {name: getattr(stored.settings, name) for name in after} if what == "pace" else {"state": stored.state.value}
    )
    audit.write(connection, data.author, what, f"backfill {stored.id}", before, after, reason)
    body = {"backfill_id": stored.id, **more}
    return BackfillAccepted(stored.id, commands.write(connection, f"{what}_backfill", body, data.author))


def _plan(services: Services, connection: Connection, request: BackfillRequest, now: datetime) -> tuple[Track, ...]:
    with naming_broken_teams(connection):
        return plan_backfill(
            services.catalog(connection),
            request,
            now,
            lambda asset, partitions: backfills.read_materialized(connection, asset, partitions),
            lambda asset, partitions: backfills.read_failed(connection, asset, partitions),
        )


def _planned(track: Track) -> PlannedTrack:
    which = track.sets[PartitionState.TO_DO]
    found = ranges(track.space, which, SHOWN_RANGES)
    return PlannedTrack(
        team=track.team,
        computation=track.name,
        assets=track.assets,
        partitions=len(which),
        canary=len(track.canary) if track.canary is not None else 0,
        per_run=track.per_run,
        runs=-(-len(which) // track.per_run),
        ranges=_spans(found),
        more_partitions=found.more_partitions,
    )


def _spans(found: Ranges) -> tuple[PartitionSpan, ...]:
    return tuple(PartitionSpan(each.first, each.last, each.partitions) for each in found.listed)


def _of_track(track: Track) -> TrackView:
    failed = ranges(track.space, track.sets[PartitionState.FAILED], SHOWN_RANGES)
    return TrackView(
        team=track.team,
        computation=track.name,
        assets=track.assets,
        partitions=len(track.sets.all()),
        per_run=track.per_run,
        counts={state.value: count for state, count in track.sets.counts().items()},
        failed=_spans(failed),
        more_failed=failed.more_partitions,
    )


def _find(connection: Connection, prefix: str) -> tuple[backfills.Known, list[backfills.StoredTrack]]:
    id = _full_id(connection, prefix)
    known = backfills.read_backfill(connection, id)
    assert known is not None  # its id was read a moment ago, and backfills are never deleted
    return known, backfills.read_tracks(connection, [id])[id]


def _full_id(connection: Connection, prefix: str) -> str:
    """The id of the only backfill that begins with `prefix`; RequestError HR-Q360 when there is none, HR-Q366 when there are several."""
    found = match_backfill(connection, prefix)
    if not found:
        raise RequestError.of("HR-Q360", f"There is no backfill '{prefix[:80]}'.", "See `hedgerow backfill list`.")
    if len(found) > 1:
        message = f"Several backfills begin with '{prefix[:80]}', among them {', '.join(found)}."
        raise RequestError.of("HR-Q366", message, "Give more digits of the id.")
    return found[0]


ROUTES = [
    start_backfill,
    preview_backfill,
    show_backfills,
    show_backfill,
    pause_backfill,
    resume_backfill,
    cancel_backfill,
    retry_backfill,
    pace_backfill,
]
