"""Backfills in the leader's loop: takes them up, launches their next runs, hears how these end, and does what people ask of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from pyroaring import BitMap

from hedgerow import clock
from hedgerow.errors import HedgerowError, Problem, RequestError
from hedgerow_scheduler.lifecycle.backfill_changes import ChunkChange, TrackChange
from hedgerow_scheduler.lifecycle.backfills import ENDED_BACKFILLS, GOING_ON, LAUNCHING, BackfillState, PartitionState
from hedgerow_scheduler.lifecycle.changes import NewRun
from hedgerow_scheduler.lifecycle.judging import is_judging, with_judges
from hedgerow_scheduler.lifecycle.model import Run, Step
from hedgerow_scheduler.lifecycle.states import ENDED, RunState, StepState
from hedgerow_scheduler.metadata.backfills import REQUESTED_AT_ONCE, Known
from hedgerow_scheduler.metadata.commands import PendingCommand
from hedgerow_scheduler.metadata.store import Transaction
from hedgerow_scheduler.planning.backfill_tracks import Chunk, Track
from hedgerow_scheduler.planning.backfills import Backfill
from hedgerow_scheduler.planning.request import RunRequest
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.planning.steps import plan_exactly
from hedgerow_scheduler.service.live_backfills import LiveBackfill
from hedgerow_scheduler.service.requests import step_of
from hedgerow_scheduler.service.run_commands import cancel_run

PRIORITY = -10  # of its runs: everything else goes first, until it was passed over for as many times five minutes
TURN_S = 0.02  # after which a turn leaves the loop to others
CANCELLED_PER_TURN = 2_000  # steps
COMMANDS = ("pause_backfill", "resume_backfill", "cancel_backfill", "retry_backfill", "pace_backfill")
log = logging.getLogger("hedgerow.scheduler")


class Backfills:
    """The backfills of one term. What they decide goes into the snapshot's changes: runs and the sets of partitions are recorded together."""

    def __init__(self, snapshot: Snapshot, known: Iterable[Known], new_id: Callable[[], str], now: datetime) -> None:
        self._snapshot, self._new_id = snapshot, new_id
        self._catalog = snapshot.catalog
        self._live: dict[str, LiveBackfill] = {}
        self._restless: set[str] = set()
        """Those of which something happened since they were last looked at."""
        self._unstored: set[str] = set()
        """Those of which something may be different since it was last recorded."""
        self._turns = 0
        self._makers: dict[str, list[tuple[Backfill, Track]]] = {}
        """By asset, who is going to make partitions of it."""
        self._outdated: set[str] = set()
        """Those that are to take up the code in force before anything else."""
        for one in known:
            self._add(LiveBackfill(one, now))
        for run in snapshot.runs.values():
            if run.backfill_id in self._live:
                self._live[run.backfill_id].add_run(run)
        self.let_go: Callable[[str, BitMap], None] = lambda *_: None
        """Told of partitions of an asset that were coming and are not any more."""
        snapshot.news.of_backfills = self._hear

    def states(self) -> list[BackfillState]:
        """The states of those that have not ended."""
        return [live.backfill.state for live in self._live.values()]

    def coming(self, asset: str) -> BitMap:
        """The partitions of an asset that backfills are going to make: those that are to do in one that goes on or is paused."""
        declared = self._catalog.assets.get(asset)
        found = BitMap()
        for backfill, track in self._makers.get(asset, ()) if declared is not None else ():
            if backfill.state in GOING_ON and declared and track.partitions == declared.definition.partitions:
                found |= track.sets[PartitionState.TO_DO]
        return found

    def next_due(self) -> datetime | None:
        """When time alone lets the next run be launched."""
        dues = (live.next_token() for live in self._live.values())
        return min((due for due in dues if due is not None), default=None)

    def is_due(self) -> bool:
        """Whether a turn has something to do at once."""
        return bool(self._restless) or self._snapshot.catalog is not self._catalog

    # -- what happens ------------------------------------------------------------------------------------------------

    def _hear(self, step: Step, before: StepState, to: StepState) -> None:
        """A step of one of its runs has moved."""
        live = self._live.get(step.run.backfill_id or "")
        if live is None:
            return
        has_room = live.moved(step, before, to)
        if to in ENDED and before not in ENDED:
            maker, end = with_judges(step)
            if end is None:
                return  # checks of what was made have a step of their own
            state = live.backfill.end(maker.computation, maker.partition, end)
            if state is not None:
                self._snapshot.measure("backfill_partitions", (step.team, state.value))
        elif before in ENDED and to not in ENDED:
            live.backfill.begin_again(with_judges(step)[0].computation, step.partition)
            live.runs[step.run.id] = step.run
        elif not has_room:
            return
        self._stir(live)

    def _stir(self, live: LiveBackfill) -> None:
        self._restless.add(live.backfill.id)
        self._unstored.add(live.backfill.id)

    def _add(self, live: LiveBackfill) -> None:
        self._live[live.backfill.id] = live
        for track in live.backfill.tracks:
            for asset in track.assets:
                self._makers.setdefault(asset, []).append((live.backfill, track))
        self._outdated.add(live.backfill.id)
        self._stir(live)

    def _remove(self, live: LiveBackfill) -> None:
        del self._live[live.backfill.id]
        self._restless.discard(live.backfill.id)
        self._outdated.discard(live.backfill.id)
        for asset in {asset for track in live.backfill.tracks for asset in track.assets}:
            self._makers[asset] = [each for each in self._makers[asset] if each[0] is not live.backfill]
            if not self._makers[asset]:
                del self._makers[asset]

    def take_requested(self, transaction: Transaction, now: datetime) -> bool:
        """Takes up what the API has written; returns whether there may be more."""
        requested = transaction.requested_backfills()
        for known in requested:
            live = LiveBackfill(known, now)
            live.started_at, live.tokens = now, 1.0
            self._add(live)
            live.backfill.begin()
            self._moved(live, BackfillState.REQUESTED, now)
        return len(requested) >= REQUESTED_AT_ONCE

    def turn(self, now: datetime) -> bool:
        """Draws the conclusions from what has happened, and launches what may be launched now. Returns whether there is more to do at once."""
        until = clock.monotonic() + TURN_S
        if self._snapshot.catalog is not self._catalog:
            self._catalog = self._snapshot.catalog
            self._outdated = set(self._live)
            self._restless |= self._outdated
        restless, self._restless = self._restless, set()
        due = [live for live in self._live.values() if live.backfill.id in restless or live.has_token(now)]
        for live in sorted(due, key=lambda live: live.served):  # who had no turn for longest, first
            if clock.monotonic() > until:
                self._restless.add(live.backfill.id)
                continue
            self._turns += 1
            live.served = self._turns
            if self._go_on(live, now, until):
                self._restless.add(live.backfill.id)
        return bool(self._restless)

    def _go_on(self, live: LiveBackfill, now: datetime, until: float) -> bool:
        """One backfill; whether there is more to do for it at once."""
        backfill, before = live.backfill, live.backfill.state
        self._unstored.add(backfill.id)
        if backfill.id in self._outdated:
            self._outdated.remove(backfill.id)
            backfill.use(self._catalog, now)
            live.altered = True
        live.runs = {id: run for id, run in live.runs.items() if id in self._snapshot.runs}
        more = backfill.settle(now)
        if backfill.state is not before:
            self._moved(live, before, now)
        if more:
            return True
        if backfill.state is BackfillState.CANCELLING:
            return self._cancel_runs(live, now)
        while not live.is_full():
            tokens = live.refill(now)
            chunk = backfill.next_chunk(_most(tokens), now, live.satisfied())
            if chunk is None:
                return False
            if tokens is not None:
                live.tokens -= len(chunk.which)
            self._launch(live, chunk, now)
            if clock.monotonic() > until:
                return True
        return False

    def _launch(self, live: LiveBackfill, chunk: Chunk, now: datetime) -> None:
        """Makes a run of a chunk. What can't be planned fails, and is told with the backfill."""
        chunk = self._without_removed(live, chunk, now)
        backfill, track, keys = live.backfill, chunk.track, chunk.partitions()
        if not keys:
            return
        try:
            planned = plan_exactly(self._catalog, dict.fromkeys(track.assets, keys), now)
            made = [(plan.computation, plan.partition) for plan in planned if not is_judging(plan.computation)]
            if made != [(track.name, key) for key in keys]:
                message = f"'{track.name}' does not make {', '.join(track.assets)} any more."
                raise RequestError.of("HR-Q365", message, "Start another backfill.")
        except Exception as error:  # too large, or a defect: it must not keep the loop from everyone else's work
            expected = isinstance(error, HedgerowError)
            log.warning("no run of backfill %s: %s", backfill.id, error, exc_info=not expected)
            defect = Problem("HR-Q014", f"Planning failed: {error!r}.", "Report it with the scheduler's log.")
            backfill.refuse(chunk, error.problems[0] if isinstance(error, HedgerowError) else defect)
            live.altered = True
            self._stir(live)
            return
        config = {key: value for key, value in live.config.items() if key in track.assets}
        request = RunRequest(track.assets, tuple(key for key in keys if key is not None), config=config)
        tags = {"backfill": backfill.id}
        run = Run(self._new_id(), RunState.REQUESTED, now, config, tags, f"backfill {backfill.id}")
        run.priority, run.backfill_id = PRIORITY, backfill.id
        run.steps = [step_of(run, plan) for plan in planned]
        backfill.launch(chunk)
        self._snapshot.changes.new_runs.append(NewRun(run, request))
        self._snapshot.start_run(run, now)
        live.add_run(run)
        self._snapshot.measure("backfill_partitions", (track.team, PartitionState.LAUNCHED.value), len(keys))

    def _without_removed(self, live: LiveBackfill, chunk: Chunk, now: datetime) -> Chunk:
        """The chunk without partitions of keys that were removed meanwhile, which fail."""
        space = chunk.track.space
        gone = chunk.which - space.existing(now) if space.dynamic else None
        if not gone:
            return chunk
        told = f"{len(gone):,} partitions of '{chunk.track.name}' were removed, such as '{space.key(gone.min())}'."
        remedy = "Add their keys again and retry the backfill, if they are wanted after all."
        live.backfill.refuse(Chunk(chunk.track, gone), Problem("HR-Q028", told, remedy))
        live.altered = True
        self._stir(live)
        return Chunk(chunk.track, chunk.which - gone)

    def _cancel_runs(self, live: LiveBackfill, now: datetime) -> bool:
        steps = 0
        for run in list(live.runs.values()):
            if run.cancel_requested:
                continue
            if steps >= CANCELLED_PER_TURN:
                return True
            steps += cancel_run(self._snapshot, run, now, f"backfill {live.backfill.id}")
        return False

    def _moved(self, live: LiveBackfill, before: BackfillState, now: datetime) -> None:
        """Its state is another one."""
        state = live.backfill.state
        if before in LAUNCHING:
            live.worked_ms += int((now - live.since) / timedelta(milliseconds=1))
        live.since, live.altered = now, True
        self._stir(live)
        if state not in GOING_ON:
            for track in live.backfill.tracks:
                track.given_up |= track.sets[PartitionState.TO_DO]
        if state in ENDED_BACKFILLS:
            self._ended(live.backfill, now)

    def _ended(self, backfill: Backfill, now: datetime) -> None:
        """It is over: it is counted, and told."""
        state, counts = backfill.state.value, {each.value: count for each, count in backfill.counts().items() if count}
        self._snapshot.measure("backfills", (state,))
        assets = (asset for track in backfill.tracks for asset in track.assets)
        counted = ", ".join(f"{count:,} {each.replace('_', ' ')}" for each, count in counts.items())
        told = f"Backfill {backfill.id} {state}: of its partitions are {counted}."
        severity = "warn" if backfill.state is BackfillState.SUCCEEDED else "error"
        details = {"backfill": backfill.id, "state": state, "partitions": counts}
        self._snapshot.happenings.add("backfill_ended", "", now, assets, told, details, severity=severity)

    # -- what people ask ---------------------------------------------------------------------------------------------

    def apply(self, transaction: Transaction, command: PendingCommand, now: datetime) -> dict[str, Any] | None:
        """Does what a command asks, and says what became of it; None when its backfill is not taken up yet."""
        id = str(command.body.get("backfill_id", ""))
        live = self._live.get(id)
        if live is None:
            known = transaction.backfill(id)
            if known is None:
                return {"refused": f"There is no backfill {id}."}
            if known.stored.state is BackfillState.REQUESTED:
                return None
            live = self._take_up_again(known, now)
        before = live.backfill.state
        outcome = self._apply(live, command, now)
        if "refused" not in outcome:
            if id not in self._live:
                self._add(live)
            live.altered = True
            self._stir(live)
            if live.backfill.state is not before:
                self._moved(live, before, now)
        return outcome

    def _take_up_again(self, known: Known, now: datetime) -> LiveBackfill:
        """One that has ended. Someone may have retried runs of it since."""
        live = LiveBackfill(known, now)
        for run in self._snapshot.runs.values():
            if run.backfill_id == live.backfill.id:
                live.add_run(run)
                for step in run.steps:
                    if step.state not in ENDED:
                        live.backfill.begin_again(with_judges(step)[0].computation, step.partition)
        return live

    def _apply(self, live: LiveBackfill, command: PendingCommand, now: datetime) -> dict[str, Any]:
        backfill = live.backfill
        kind, state = command.kind.removesuffix("_backfill"), backfill.state
        if kind == "retry":
            if state in (BackfillState.SUCCEEDED, BackfillState.CANCELLING, BackfillState.ABORTING):
                return {"refused": f"It is {state}."}
            return {"to_do": backfill.retry(self._catalog, now)}
        if state in ENDED_BACKFILLS:
            return {"refused": f"It has ended: {state}."}
        if kind == "pace":
            backfill.settings = msgspec.structs.replace(backfill.settings, **command.body["pace"])
            return {"settings": msgspec.to_builtins(backfill.settings)}
        if kind == "cancel" and state is not BackfillState.CANCELLING:
            backfill.move(BackfillState.CANCELLING)
        elif kind == "pause" and state in LAUNCHING:
            backfill.move(BackfillState.PAUSED)
        elif kind == "resume" and state is BackfillState.PAUSED:
            backfill.resume()
        else:
            return {"refused": f"It is {state}."}
        return {"state": backfill.state.value}

    # -- what is recorded --------------------------------------------------------------------------------------------

    def store(self) -> None:
        """What has changed goes into the snapshot's changes; what has ended is forgotten."""
        changes = self._snapshot.changes.backfills
        unstored, self._unstored = self._unstored, set()
        for live in [self._live[id] for id in sorted(unstored) if id in self._live]:
            backfill = live.backfill
            self._tell_what_is_given_up(backfill)
            for number, track in enumerate(backfill.tracks):
                altered = track.sets.altered()
                if altered:
                    changes.chunks += [ChunkChange(backfill.id, number, chunk, body) for chunk, body in altered.items()]
                    counts = {state.value: count for state, count in track.sets.counts().items()}
                    changes.tracks.append(TrackChange(backfill.id, number, counts))
            if live.altered:
                changes.backfills.append(live.row())
                live.altered, live.recorded = False, backfill.state
            if backfill.state in ENDED_BACKFILLS:
                self._remove(live)

    def _tell_what_is_given_up(self, backfill: Backfill) -> None:
        for track in backfill.tracks:
            if track.given_up:
                given_up, track.given_up = track.given_up, BitMap()
                for asset in track.assets:
                    self.let_go(asset, given_up)


def _most(tokens: int | None) -> int:
    return 2**31 if tokens is None else tokens
