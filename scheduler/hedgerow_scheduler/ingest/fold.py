"""Folding: what each event of a team's stream does to the snapshot. Pure: the clock and the randomness are arguments.

Of each worker only the event numbered one above the last is taken: a smaller number is a duplicate, a larger one a gap, after
which the worker is asked to send again. What can't be understood is quarantined and never stops the rest. Each event of an entry,
and each entry that can't be taken apart, is counted once: as ingested, stale, duplicate, gap or quarantined.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from hedgerow.manifest.model import Retry
from hedgerow.protocol import events as ev
from hedgerow.protocol.envelope import Envelope, decode_envelope
from hedgerow_scheduler.ingest.asking import NEVER, Asking
from hedgerow_scheduler.ingest.bounds import body_defect, envelope_defect, taken_apart
from hedgerow_scheduler.ingest.manifests import Manifests
from hedgerow_scheduler.ingest.misfits import UNREADABLE, MisfitError, StaleEventError
from hedgerow_scheduler.ingest.outcomes import Outcomes
from hedgerow_scheduler.lifecycle.changes import AcceptedEvent, Quarantined
from hedgerow_scheduler.lifecycle.judging import is_judging
from hedgerow_scheduler.lifecycle.model import Attempt, Worker
from hedgerow_scheduler.lifecycle.states import ENDED, AttemptState, StepState
from hedgerow_scheduler.planning.key_changes import change_keys
from hedgerow_scheduler.planning.snapshot import Snapshot

MAX_WORKERS = 2_000  # of a team: each costs every cycle a look
LOOK_AGAIN = timedelta(seconds=1)
MAX_KEPT_BYTES = 64 * 1024  # of what is put aside
MAX_REASON = 500
NOT_KEPT = frozenset({"manifest_chunk", "evaluated"})  # what they come to is recorded elsewhere
REJECTIONS = {"HR-X101": "late", "HR-X102": "leaving"}

_decoders: dict[str, msgspec.json.Decoder[Any]] = {kind: msgspec.json.Decoder(body) for kind, body in ev.KINDS.items()}


class Entry(msgspec.Struct, frozen=True):
    """One entry of a team's stream: its id and the batch of envelopes it carries."""

    team: str
    id: str
    body: bytes


class Fold:
    """Folds entries into a snapshot. `counted` counts (team, ingested | duplicate | quarantined | gap | stale:{reason}) since it was last taken."""

    def __init__(self, snapshot: Snapshot, lease: timedelta, noise: Callable[[], float]) -> None:
        self.snapshot = snapshot
        self.lease = lease
        self.outcomes = Outcomes(snapshot, noise)
        self.counted: Counter[tuple[str, str]] = Counter()
        self._asking = Asking()
        self.manifests = Manifests(snapshot, self._asking)
        self._crowded_until: dict[str, datetime] = {}
        self._bodies: dict[type, Callable[[str, Envelope, Any, datetime], None]] = {
            ev.AttemptStarted: self._started,
            ev.AssetMaterialized: self._materialized,
            ev.CheckEvaluated: self._checked,
            ev.PartitionsChanged: self._partitions_changed,
            ev.AttemptSucceeded: self._succeeded,
            ev.AttemptFailed: self._failed,
            ev.AttemptSkipped: self._skipped,
            ev.ManifestPublished: self.manifests.published,
            ev.ManifestChunk: self.manifests.chunk,
            ev.LocationFailed: self.manifests.location_failed,
            ev.WorkerHeartbeat: self._heartbeat,
            ev.WorkerStopped: self._stopped,
            ev.Evaluated: self._evaluated,
        }

    def entry(self, entry: Entry, now: datetime) -> None:
        """Folds one entry of a stream."""
        try:
            parts = taken_apart(entry.body)
        except UNREADABLE as error:
            self.put_aside(entry, f"not a batch of envelopes: {error}")
            return
        for part in parts:
            self._envelope(entry, bytes(part), now)

    def pass_over(self, entry: Entry, reason: str) -> None:
        """Quarantines an entry without folding it, and acknowledges its events: they would be sent again for ever."""
        self.put_aside(entry, reason)
        try:
            envelopes = [decode_envelope(part) for part in taken_apart(entry.body)]
        except UNREADABLE:
            return
        for envelope in envelopes:
            if envelope.seq == self.snapshot.sequences.get((entry.team, envelope.worker), 0) + 1:
                self._accept(entry.team, envelope)

    def _envelope(self, entry: Entry, data: bytes, now: datetime) -> None:
        team = entry.team
        try:
            envelope = decode_envelope(data)
        except UNREADABLE as error:
            self.put_aside(entry, f"not an envelope: {error}", data)
            return
        if (why := envelope_defect(envelope)) is not None:
            self.put_aside(entry, why, data)
            return
        if envelope.seq:
            known = self.snapshot.sequences.get((team, envelope.worker), 0)
            if envelope.seq <= known:
                self.counted[team, "duplicate"] += 1
                self.snapshot.effects.acks[team, envelope.worker] = known
                return
            if envelope.seq != known + 1:
                self.counted[team, "gap"] += 1
                if self._asking.may_ask(("resend", f"{team}/{envelope.worker}"), now):
                    self.snapshot.effects.resend[team, envelope.worker] = known
                return
            self._accept(team, envelope)
        decoder = _decoders.get(envelope.kind)
        if decoder is None or len(data) > ev.MAX_EVENT_BYTES:
            self.put_aside(entry, f"unknown kind '{envelope.kind}'" if decoder is None else "over 256 KiB", data)
            return
        try:
            body = decoder.decode(envelope.body)
        except UNREADABLE as error:
            self.put_aside(entry, f"body of '{envelope.kind}': {error}", data)
            return
        if (why := body_defect(body, data, team)) is not None:
            self.put_aside(entry, f"body of '{envelope.kind}': {why}", data)
            return
        if envelope.seq and envelope.kind not in NOT_KEPT:
            self.snapshot.changes.events.append(AcceptedEvent(team, envelope.worker, envelope.seq, data))
        try:
            self._bodies[type(body)](team, envelope, body, now)
        except StaleEventError as stale:
            self.counted[team, f"stale:{stale}"] += 1
        except MisfitError as misfit:
            self.put_aside(entry, str(misfit), data if misfit.data is None else misfit.data)
        else:
            self.counted[team, "ingested"] += 1

    def _accept(self, team: str, envelope: Envelope) -> None:
        key = (team, envelope.worker)
        self.snapshot.sequences[key] = envelope.seq
        self.snapshot.changes.sequences[key] = envelope.seq
        self.snapshot.effects.acks[key] = envelope.seq

    def put_aside(self, entry: Entry, reason: str, data: bytes | None = None) -> None:
        """Quarantines an entry, or `data` of it, with the reason. Of both only so much is kept as one wants to look at."""
        self.counted[entry.team, "quarantined"] += 1
        body = entry.body if data is None else data
        if len(body) > MAX_KEPT_BYTES:
            reason = f"{reason[: MAX_REASON - 60]}; of its {len(body):,} bytes {MAX_KEPT_BYTES:,} are kept"
        found = Quarantined(entry.team, entry.id, reason[:MAX_REASON], body[:MAX_KEPT_BYTES])
        self.snapshot.changes.quarantined.append(found)

    # -- attempts ----------------------------------------------------------------------------------------------------

    def _attempt(self, team: str, attempt_id: str, token: str) -> Attempt:
        """The attempt that an event may speak of; `StaleEventError` when it is over or not the team's own."""
        attempt = self.snapshot.attempts.get(attempt_id)
        if attempt is None:
            reason = "unknown_attempt"
        elif attempt.step.team != team:
            reason = "other_team"
        elif attempt.token and attempt.token != token:
            reason = "other_token"
        elif attempt.step.attempt_id != attempt_id:
            reason = "superseded"
        elif attempt.step.state in ENDED:
            reason = "ended"  # it was lost, and the step was given up or cancelled since
        else:
            return attempt
        raise StaleEventError(reason)

    def _started(self, team: str, envelope: Envelope, body: ev.AttemptStarted, now: datetime) -> None:
        attempt = self._attempt(team, body.attempt_id, body.token)
        if attempt.state is AttemptState.DISPATCHED:  # otherwise a heartbeat has told it already, or its loss was
            bind(self.snapshot, attempt, envelope.worker, body.token, now, self.lease)

    def _materialized(self, team: str, _: Envelope, body: ev.AssetMaterialized, now: datetime) -> None:
        attempt = self._bound(team, body.attempt_id, body.token, body.asset)
        if is_judging(attempt.step.computation):
            raise StaleEventError("other_asset")  # it is to run checks, and makes nothing
        self.outcomes.materialized(attempt, body, now)

    def _checked(self, team: str, _: Envelope, body: ev.CheckEvaluated, now: datetime) -> None:
        self.outcomes.checked(self._bound(team, body.attempt_id, body.token, body.asset), body, now)

    def _partitions_changed(self, team: str, _: Envelope, body: ev.PartitionsChanged, now: datetime) -> None:
        run = self._bound(team, body.attempt_id, body.token).step.run
        changed = change_keys(
            self.snapshot,
            team,
            body.name,
            now,
            added=body.added,
            removed=body.removed,
            author=f"run {run.id}",
            later=True,
        )
        if changed.problem is not None:  # what could be changed is: the step has ended well
            raise MisfitError(f"{changed.problem.code} {changed.problem.message}")

    def _succeeded(self, team: str, _: Envelope, body: ev.AttemptSucceeded, now: datetime) -> None:
        self.outcomes.succeeded(self._bound(team, body.attempt_id, body.token), body, now)

    def _skipped(self, team: str, _: Envelope, body: ev.AttemptSkipped, now: datetime) -> None:
        self.outcomes.skipped(self._bound(team, body.attempt_id, body.token), body, now)

    def _failed(self, team: str, _: Envelope, body: ev.AttemptFailed, now: datetime) -> None:
        if body.reason == "refused":
            self.snapshot.measure("orders_rejected", (team, REJECTIONS.get(body.error.code, "other")))
            attempt = self._attempt(team, body.attempt_id, body.token)
            if attempt.state is AttemptState.DISPATCHED and not attempt.token:
                attempt.error = body.error
                self.snapshot.revoke(attempt)  # another delivery may still hold the claim: only taking it settles that
            return
        attempt = self._bound(team, body.attempt_id, body.token)
        self.outcomes.failed(attempt, body, self._policy(attempt), now)

    def _bound(self, team: str, attempt_id: str, token: str, asset: str | None = None) -> Attempt:
        """The attempt whose worker an event comes from, which makes `asset`; `StaleEventError` when there is none."""
        attempt = self._attempt(team, attempt_id, token)
        if not attempt.token:
            raise StaleEventError("not_started")
        if asset is not None and asset not in attempt.step.assets:
            raise StaleEventError("other_asset")
        return attempt

    def _policy(self, attempt: Attempt) -> Retry:
        """As the code that ran declares it; as the newest does when that is no longer known."""
        step, bound = attempt.step, self.snapshot.accepted.get(attempt.manifest_hash)
        computation = bound.computations.get(step.computation) if bound else None
        if bound is None:
            computation = self.snapshot.declared(step.team, step.location, step.computation)
        return computation.retry if computation else Retry()

    # -- workers -----------------------------------------------------------------------------------------------------

    def _heartbeat(self, team: str, envelope: Envelope, body: ev.WorkerHeartbeat, now: datetime) -> None:
        snapshot, key = self.snapshot, (team, envelope.worker)
        for held in body.holds:
            attempt = snapshot.attempts.get(held.attempt_id)
            if attempt is None or attempt.step.team != team or attempt.step.attempt_id != attempt.id:
                continue
            if attempt.state is AttemptState.DISPATCHED and held.token:
                bind(snapshot, attempt, envelope.worker, held.token, now, self.lease)
            elif attempt.state is AttemptState.RUNNING and attempt.token == held.token:
                attempt.lease_until = now + self.lease
        worker = snapshot.workers.get(key)
        if worker is None:
            if self._is_crowded(team, now):
                raise MisfitError(f"the team has {MAX_WORKERS:,} workers already")
            worker = Worker(team, envelope.worker, body.location, body.manifest, body.queues, 0, 0, "", now, now)
            snapshot.workers[key] = worker
        worker.slots, worker.busy, worker.state, worker.last_seen = body.slots, body.busy, body.state, now
        worker.host, worker.pid = body.host, body.pid
        if worker.queues != body.queues:
            worker.queues = body.queues
        worker.manifest_hash = body.manifest
        snapshot.changes.workers[key] = worker
        self.manifests.serves(team, body.manifest, now)

    def _is_crowded(self, team: str, now: datetime) -> bool:
        """Whether a team has as many workers as are counted with; looked at again after a second."""
        if now < self._crowded_until.get(team, NEVER):
            return True
        if sum(of == team for of, _ in self.snapshot.workers) < MAX_WORKERS:
            return False
        self._crowded_until[team] = now + LOOK_AGAIN
        return True

    def _stopped(self, team: str, envelope: Envelope, body: ev.WorkerStopped, now: datetime) -> None:
        if self.snapshot.workers.pop((team, envelope.worker), None) is not None:
            self.snapshot.changes.gone_workers.add((team, envelope.worker))

    def _evaluated(self, team: str, _: Envelope, body: ev.Evaluated, now: datetime) -> None:
        if not self.snapshot.evaluations.answer(team, body):
            raise StaleEventError("unknown_evaluation")


def bind(snapshot: Snapshot, attempt: Attempt, worker: str, token: str, now: datetime, lease: timedelta) -> None:
    """A worker holds the claim of a dispatched attempt: it runs, under a lease."""
    attempt.worker, attempt.token, attempt.started_at = worker, token, now
    attempt.state, attempt.lease_until, attempt.revoking = AttemptState.RUNNING, now + lease, False
    snapshot.changes.attempts[attempt.id] = attempt
    step = attempt.step
    labels = (step.team, step.queue)
    snapshot.measure("step_start_latency", labels, (now - attempt.dispatched_at).total_seconds())
    if step.ready_at is not None:
        snapshot.measure("step_queue_wait", labels, (now - step.ready_at).total_seconds())
    step.started_at = now
    if step.state is StepState.DISPATCHED:
        snapshot.move(step, StepState.RUNNING, now)
    if step.cancelling:
        snapshot.press_cancellation(attempt, now)
