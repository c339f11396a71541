"""A scheduler's core in a test: manifests from a few words, and a leader's snapshot without database or broker."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from hedgerow.errors import Problem
from hedgerow.manifest import model
from hedgerow.protocol import events as ev
from hedgerow.protocol.envelope import WIRE_VERSION, Envelope, encode_batch, encode_body, encode_envelope
from hedgerow.protocol.references import Reference
from hedgerow_scheduler.admission.admit import Admission
from hedgerow_scheduler.ingest.fold import Entry, Fold
from hedgerow_scheduler.lifecycle.changes import Changes, Effects
from hedgerow_scheduler.lifecycle.judging import Judgeable
from hedgerow_scheduler.lifecycle.model import Attempt, Run, Step
from hedgerow_scheduler.lifecycle.states import AttemptState, MaterializationState, RunState, StepState
from hedgerow_scheduler.metadata.inputs import Stored
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest
from hedgerow_scheduler.planning.planned import PlannedStep
from hedgerow_scheduler.planning.request import RunRequest
from hedgerow_scheduler.planning.rules import PlatformLimits
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.planning.steps import plan_steps
from hedgerow_scheduler.service.dispatching import Dispatcher

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=20)
START_TIMEOUT = timedelta(seconds=30)
HOUR_MS = 3_600_000.0  # steps that last so long have no orders sent ahead of them
JUDGED = (MaterializationState.UNCHECKED, MaterializationState.CURRENT, MaterializationState.REJECTED)
Made = tuple[tuple[model.Asset, ...], model.Computation]


def asset(key: str, *deps: str | model.Dependency, partitions: Any = None, **more: Any) -> Made:
    """An asset and the computation that makes it; a dependency by key is one for order only. `more` belongs to the computation."""
    return multi((key,), *deps, partitions=partitions, **more)


def multi(keys: tuple[str, ...], *deps: str | model.Dependency, partitions: Any = None, **more: Any) -> Made:
    """Several assets that one computation makes."""
    about = {name: more.pop(name) for name in ("group", "tags", "owners", "kinds", "stored") if name in more}
    edges = tuple(model.Dependency(dep) if isinstance(dep, str) else dep for dep in deps)
    computation = model.Computation(keys[0], keys, edges, partitions, **more)
    return tuple(model.Asset(key, keys[0], partitions=partitions, **about) for key in keys), computation


def external(key: str, **more: Any) -> model.Asset:
    """An asset that is only observed."""
    return model.Asset(key, **more)


def manifest(team: str, *parts: Made | model.Asset, location: str = "", **more: Any) -> model.Manifest:
    """What a location of `team` declares."""
    made = [part for part in parts if isinstance(part, tuple)]
    assets = [one for some, _ in made for one in some] + [part for part in parts if isinstance(part, model.Asset)]
    return model.Manifest(
        team,
        location or team,
        tuple(sorted(assets, key=lambda one: one.key)),
        tuple(sorted((computation for _, computation in made), key=lambda one: one.name)),
        **more,
    )


def published(one: model.Manifest) -> PublishedManifest:
    """A manifest with its hash."""
    return PublishedManifest(model.manifest_hash(model.encode(one)), one)


def catalog_of(*manifests: model.Manifest) -> Catalog:
    """The catalog in which these manifests are in force."""
    return Catalog(published(one) for one in manifests)


def planned(catalog: Catalog, *selection: str, now: datetime = NOW, **request: Any) -> tuple[PlannedStep, ...]:
    """The steps of a request."""
    return plan_steps(catalog, RunRequest(selection, **request), now)


def uuid(number: int) -> str:
    """The UUID of a number."""
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def run_of(steps: tuple[PlannedStep, ...], number: int = 1, created_at: datetime = NOW, **more: Any) -> Run:
    """A run of planned steps that was not taken up yet."""
    run = Run(uuid(number), RunState.REQUESTED, created_at, **more)
    run.steps = [
        Step(
            run, plan.number, plan.team, plan.location, plan.queue, plan.priority, plan.computation, plan.assets,
            plan.partition, plan.upstream, StepState.WAITING, StepState.WAITING,
        )
        for plan in steps
    ]  # fmt: skip
    return run


class Stream:
    """What one worker has put into its outbox, numbered without gap."""

    def __init__(self, team: str, worker: str) -> None:
        self.team, self.worker = team, worker
        self.sent: list[bytes] = []

    def add(self, *bodies: ev.Event) -> list[bytes]:
        """The envelopes of further events."""
        fresh = []
        for body in bodies:
            self.sent.append(envelope(body, self.worker, len(self.sent) + 1))
            fresh.append(self.sent[-1])
        return fresh


def envelope(body: ev.Event, worker: str, seq: int) -> bytes:
    """An event as it is sent."""
    kind = ev.KIND_OF[type(body)]
    return encode_envelope(Envelope(f"{worker}-{seq}", kind, WIRE_VERSION, encode_body(body), 0, worker, seq))


class World:
    """A leader's snapshot with everything that decides over it; the clock moves only by `after`.

    Attempts that were dispatched stand in `orders`, as their workers would find them. `stored` and `held_back` are what
    dispatch finds when it looks for inputs.
    """

    def __init__(
        self,
        *manifests: model.Manifest,
        now: datetime = NOW,
        platform: PlatformLimits | None = None,
        max_batch: int = 1,
    ) -> None:
        self.now = now
        self.snapshot = Snapshot(catalog_of(*manifests), platform)
        self.snapshot.backlog.now = now
        for one in manifests:
            self.snapshot.accepted[published(one).hash] = published(one)
            self.snapshot.owners |= {each.key: (one.team, one.location) for each in one.assets}
        self.fold = Fold(self.snapshot, LEASE, lambda: 0.5)
        self.admission = Admission(LEASE, max_batch)
        self._ids = count(1000)
        self.dispatcher = Dispatcher("test", "/storage", START_TIMEOUT, lambda: uuid(next(self._ids)))
        self.stored: dict[tuple[str, str], Reference] = {}
        self.held_back: frozenset[tuple[str, str]] = frozenset()
        self.orders: list[Attempt] = []
        self.streams: dict[tuple[str, str], Stream] = {}
        self._entries = count(1)
        self._runs = count(1)

    # -- people ------------------------------------------------------------------------------------------------------

    def start(self, *selection: str, **request: Any) -> Run:
        """A run of a selection, taken up."""
        config = request.pop("config", {})
        about = {name: request.pop(name) for name in ("cap", "priority", "tags") if name in request}
        steps = planned(self.snapshot.catalog, *selection, **request)
        run = run_of(steps, next(self._runs), self.now, config=config, **about)
        self.snapshot.start_run(run, self.now)
        return run

    def after(self, **duration: float) -> None:
        """Time passes."""
        self.now += timedelta(**duration)

    # -- the scheduler -----------------------------------------------------------------------------------------------

    def cycle(self) -> list[Attempt]:
        """Timers, admission, dispatch: the attempts that were dispatched now."""
        self.snapshot.fire_timers(self.now)
        grants = self.admission.grant(self.snapshot, self.now)
        stored = Stored(self.stored, self.held_back)
        self.dispatcher.dispatch(
            self.snapshot, grants, self.now, lambda _: stored, judgeable=lambda steps: self._judgeable(steps)
        )
        fresh = [attempt for attempt in self.snapshot.changes.new_attempts if attempt not in self.orders]
        self.orders.extend(fresh)
        return fresh

    def _judgeable(self, steps: list[Step]) -> dict[tuple[str, int], Judgeable]:
        """What was made last of what steps judge, of all that is not recorded yet."""
        outputs = sorted(self.snapshot.changes.outputs.values(), key=lambda output: output.dispatch_seq)
        newest = {(output.asset, output.partition): output for output in outputs if output.state in JUDGED}
        return {
            (step.run.id, step.number): Judgeable(newest[step.locks()[0]])
            for step in steps
            if step.locks()[0] in newest
        }

    def recorded(self) -> tuple[Changes, Effects]:
        """Ends a cycle as recording would: what there was to record and to do."""
        snapshot = self.snapshot
        changes, snapshot.changes = snapshot.changes, Changes()
        effects, snapshot.effects = snapshot.effects, Effects()
        return changes, effects

    # -- workers -----------------------------------------------------------------------------------------------------

    def stream(self, team: str, worker: str = "w1") -> Stream:
        """A worker's outbox."""
        return self.streams.setdefault((team, worker), Stream(team, worker))

    def receive(self, team: str, *envelopes: bytes) -> None:
        """An entry of a team's stream is folded."""
        self.fold.entry(Entry(team, f"{next(self._entries)}-0", encode_batch(list(envelopes))), self.now)

    def send(self, team: str, *bodies: ev.Event, worker: str = "w1") -> None:
        """A worker reports."""
        self.receive(team, *self.stream(team, worker).add(*bodies))

    def beat(self, team: str, worker: str = "w1", slots: int = 2, **more: Any) -> None:
        """A heartbeat of a worker that serves the newest manifest of its location, if nothing else is said."""
        location = more.pop("location", team)
        serving = more.pop("manifest", None) or self.snapshot.catalog.manifest_hash(team, location) or ""
        body = ev.WorkerHeartbeat(location, serving, more.pop("queues", ("default",)), slots, **more)
        self.receive(team, envelope(body, worker, 0))

    def begin(self, *attempts: Attempt, worker: str = "w1") -> None:
        """A worker starts attempts."""
        for attempt in attempts:
            self.send(attempt.step.team, ev.AttemptStarted(attempt.id, token_of(attempt, worker)), worker=worker)

    def finish(self, *attempts: Attempt, worker: str = "w1", **outputs: Any) -> None:
        """Attempts that began end well, with one output for each asset."""
        for attempt in attempts:
            self.send(attempt.step.team, *success(attempt, worker), worker=worker)

    def fail(self, attempt: Attempt, reason: ev.FailureReason = "user_error", worker: str = "w1", **more: Any) -> None:
        """An attempt that began fails."""
        self.send(attempt.step.team, failure(attempt, reason, worker, **more), worker=worker)


def token_of(attempt: Attempt, worker: str = "w1") -> str:
    """The token under which a worker claims an attempt."""
    return f"{worker}:{attempt.id[-4:]}"


def success(attempt: Attempt, worker: str = "w1") -> list[ev.Event]:
    """The outputs of an attempt and its good end."""
    token = token_of(attempt, worker)
    made = [ev.AssetMaterialized(attempt.id, key, token, data_version="v1") for key in attempt.step.assets]
    return [*made, ev.AttemptSucceeded(attempt.id, token, HOUR_MS)]


def failure(attempt: Attempt, reason: ev.FailureReason = "user_error", worker: str = "w1", **more: Any) -> ev.Event:
    """The bad end of an attempt."""
    return ev.AttemptFailed(
        attempt.id, reason, Problem("HR-X001", "It broke.", "Mend it."), token_of(attempt, worker), **more
    )


def chunks(one: model.Manifest, size: int = 200) -> list[ev.ManifestChunk]:
    """A manifest as its worker sends it."""
    body = model.encode(one)
    text = body.decode()
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    digest = hashlib.sha256(body).hexdigest()
    return [ev.ManifestChunk(digest, index, len(parts), part) for index, part in enumerate(parts)]


def states(run: Run) -> list[str]:
    """The states of a run's steps, in order."""
    return [step.state.value for step in run.steps]


def picture(snapshot: Snapshot) -> dict[str, Any]:
    """Everything a snapshot says, as plain data to be compared. What is over is not part of it, nor is the order of arrival."""
    runs = {
        run.id: (run.state, [_plain(step) for step in run.steps], dict(+run.counts)) for run in snapshot.runs.values()
    }
    attempts = {
        attempt.id: (attempt.state, attempt.worker, attempt.token, attempt.lease_until, sorted(attempt.outputs))
        for attempt in snapshot.attempts.values()
    }
    return {
        "runs": runs,
        "attempts": attempts,
        "held": dict(+snapshot.held),
        "locks": dict(snapshot.locks),
        "sequences": dict(snapshot.sequences),
        "ready": sorted(step.name for step in snapshot.backlog),
        "used": {limit.id: limit.used for limit in snapshot.limits if limit.used},
        "owners": dict(snapshot.owners),
        "accepted": set(snapshot.accepted),
        "in force": {place: entry.hash for place, entry in snapshot.catalog.published.items()},
    }


def _plain(step: Step) -> tuple[Any, ...]:
    apart = ("run", "ticket", "holding", "waits", "since", "held_locks")
    return tuple(getattr(step, name) for name in step.__struct_fields__ if name not in apart)


def live(snapshot: Snapshot) -> list[Attempt]:
    """The attempts that are out."""
    return [a for a in snapshot.attempts.values() if a.state in (AttemptState.DISPATCHED, AttemptState.RUNNING)]
