"""The loop of the leader: take events, fold, plan, admit, record, and only then hand the effects over."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from time import perf_counter

import msgspec

from hedgerow import clock
from hedgerow.settings.platform import PlatformSettings
from hedgerow_scheduler.admission.admit import Admission
from hedgerow_scheduler.automation.pauses import Pause, Pauses
from hedgerow_scheduler.dispatch.orders import Publication
from hedgerow_scheduler.ingest.fold import Fold
from hedgerow_scheduler.ingest.inbox import Batch, ClaimAnswer, Inbox, Message, StreamLost
from hedgerow_scheduler.ingest.pace import pauses
from hedgerow_scheduler.lifecycle.changes import Changes, Effects
from hedgerow_scheduler.lifecycle.judging import Judgeable
from hedgerow_scheduler.lifecycle.model import Step
from hedgerow_scheduler.metadata.inputs import Stored
from hedgerow_scheduler.metadata.store import Store, Transaction
from hedgerow_scheduler.observe.metrics import SchedulerMetrics
from hedgerow_scheduler.observe.pictures import Pictures
from hedgerow_scheduler.planning import limiting
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.former_columns import Former
from hedgerow_scheduler.planning.key_changes import cancel_removed
from hedgerow_scheduler.planning.rules import PlatformLimits
from hedgerow_scheduler.recovery.claims import claim_answered, claim_unanswered
from hedgerow_scheduler.recovery.leases import reap
from hedgerow_scheduler.service.automating import Automating
from hedgerow_scheduler.service.backfills import COMMANDS, Backfills
from hedgerow_scheduler.service.brokers import Brokers
from hedgerow_scheduler.service.care import Care, RehearsedError
from hedgerow_scheduler.service.dispatching import Dispatcher
from hedgerow_scheduler.service.freshness import FreshnessWatch
from hedgerow_scheduler.service.reactions import Reactions
from hedgerow_scheduler.service.requests import Apply, take_commands, take_requested_runs
from hedgerow_scheduler.service.run_commands import Begun
from hedgerow_scheduler.service.schedules import Schedules
from hedgerow_scheduler.service.sensors import Sensors
from hedgerow_scheduler.service.streams import Streams
from hedgerow_scheduler.service.takeover import snapshot_of

RENEW = timedelta(seconds=1)
REAP = timedelta(milliseconds=500)
LOOK = timedelta(seconds=1)
TRIM = timedelta(minutes=1)
IDLE_S = 0.25
SHORTEST_REST_S = 0.001
# For teams with many events cycles begin no closer together than this, so that each takes more of them: it costs about a millisecond
# of CPU before its first one. Others are not kept waiting by that.
BUSY_EVENTS = 24
BUSY_STEPS = 16
APART_S = 0.01


class _Due(msgspec.Struct):
    """When the things that come at intervals were last done."""

    renewed: datetime
    reaped: datetime
    looked: datetime
    trimmed: datetime
    measured: datetime


class Loop:
    """One term of leadership: owns the snapshot from the takeover to the first error, after which a new one is begun.

    Single-threaded. `generation` marks what the readers bring, so that nothing read before this term is folded.
    """

    def __init__(
        self,
        store: Store,
        settings: PlatformSettings,
        inbox: Inbox,
        brokers: Brokers,
        metrics: SchedulerMetrics,
        generation: int,
        care: Care,
        new_id: Callable[[], str] = clock.uuid7,
        noise: Callable[[], float] = clock.jitter,
    ) -> None:
        timings = settings.timings
        self.lease = timedelta(seconds=timings.lease_s)
        self._store, self._inbox, self._brokers = store, inbox, brokers
        self._metrics, self._care = metrics, care
        self._pictures = Pictures(metrics)
        care.begin_term()
        inbox.begin_term(generation)
        start_timeout = timedelta(seconds=timings.start_timeout_s)
        self._dispatcher = Dispatcher(settings.name, settings.storage, start_timeout, new_id)
        platform = PlatformLimits(settings.teams, {pool.name: pool for pool in settings.pools})
        with store.transaction() as transaction:
            self.now = transaction.now()
            state = transaction.state(start_timeout)
            left_out = care.left_out(state.lately)
            self.snapshot = snapshot_of(state, self.now, self.lease, platform, new_id, left_out)
        self._schedules = Schedules(self.snapshot, state.schedules, settings.automation.enabled, new_id)
        self._sensors = Sensors(self.snapshot, state.sensors, settings.automation.enabled, new_id)
        self._reactions = Reactions(self.snapshot, state.deliveries, settings.automation.enabled, new_id, noise)
        self._backfills = Backfills(self.snapshot, state.backfills, new_id, self.now)
        self._automating = Automating(
            self.snapshot, state.memories, settings.automation.enabled, new_id, self._backfills.coming
        )
        self._backfills.let_go = self._automating.let_go
        self._appliers: dict[str, Apply] = {
            **dict.fromkeys(COMMANDS, self._backfills.apply),
            "evaluate_sensor": lambda _, command, now: self._sensors.request(command, now),
            "retry_deliveries": self._reactions.retry,
        }
        self._freshness = FreshnessWatch(self.snapshot, state.not_fresh, self._automating.turned)
        self._automating.stands = self._freshness.stands
        self.fold = Fold(self.snapshot, self.lease, noise)
        self.fold.manifests.condemns = care.condemns
        self.admission = Admission(self.lease, settings.dispatch.max_batch)
        self._streams = Streams(
            self.snapshot, self.fold, inbox, care, metrics, state.cursors, generation, self.lease, new_id
        )
        past = self.now - timedelta(hours=1)
        self._due = _Due(self.now, past, past, self.now, past)
        self._more = self._unwatched = self._unasked = self._unplanned = False
        self._settled = Catalog()
        self._begun: dict[int, Begun] = {}
        self._paused: tuple[Pause, ...] = ()
        self._admit_at: datetime | None = None
        self._read_at = clock.monotonic()
        # How long to leave events of these teams together after the cycle that has just ended.
        self.gather_s, self.busy = 0.0, frozenset[str]()
        self._busy_since_s = clock.thread_time()

    # -- one cycle ---------------------------------------------------------------------------------------------------

    def step(self, woken: bool) -> float:
        """One cycle: everything that was decided is recorded in one transaction, and its effects follow. `woken` says that the
        API has written something. Returns the seconds until something is due without a bell. Any error ends the term, as does the end
        of a rehearsal.
        """
        began, self._busy_since_s = perf_counter(), clock.thread_time()
        offer = self.fold.manifests.next_offer()
        self._care.judges(offer)  # with nothing beside it that could be at fault
        messages = self._care.portion(self._inbox.take()) if offer is None else []
        quiet = not (messages or woken or self._has_more() or self.snapshot.effects.revoke)
        if quiet and not self._is_due():
            return self._until_due()
        with self._store.transaction() as transaction:
            self.now = max(self.now, transaction.now())

            def record() -> None:
                transaction.write(self._swap_changes(), self.now)

            self.fold.manifests.take_offer(self.now)
            for message in messages:
                self._take(message)
            cancel_removed(self.snapshot, self.now)
            folded = perf_counter()
            if woken or self._more or self.now - self._due.looked >= LOOK:
                self._look(transaction)
            self._schedules.launch(self.now, transaction.stay)
            self.snapshot.evaluations.turn(self.now)
            self._unplanned = self._sensors.turn(transaction, self.now)
            self.snapshot.fire_timers(self.now)
            self._unwatched = self._freshness.turn(transaction, self.now, record)
            if not self._freshness.is_behind():  # what conditions ask of it would change by its being learnt
                self._unasked = self._automating.turn(transaction, self.now, record)
            self._backfills.turn(self.now)
            if gone := limiting.expire_overrides(self.snapshot, self.now):
                transaction.remove_expired(gone)
            planned = perf_counter()
            if self.now - self._due.reaped >= REAP:
                self._due.reaped = self.now
                reap(self.snapshot, self._streams.contacts, self.now, self.lease, self.lease * 3)
            reaped = perf_counter()
            if len(self.snapshot.changes.steps) >= BUSY_STEPS:  # PostgreSQL writes what has ended while we admit
                transaction.write(self._swap_changes(), self.now, at_once=True)
            sent = perf_counter()
            grants = self.admission.grant(self.snapshot, self.now)
            self._admit_at = self.admission.due
            admitted = perf_counter()

            def current(pairs: list[tuple[str, str]]) -> Stored:
                record()
                return transaction.stored(pairs)

            def judgeable(steps: list[Step]) -> Mapping[tuple[str, int], Judgeable]:
                record()
                return transaction.judgeable(steps)

            def former(assets: Collection[str]) -> Mapping[str, Former]:
                record()
                return transaction.former(assets)

            publications = self._dispatcher.dispatch(
                self.snapshot, grants, self.now, current, transaction.earlier, judgeable, former
            )
            if self._dispatcher.spared:  # what comes after the steps that need not run is ready now
                self._more, self._dispatcher.spared = True, 0
            self.snapshot.changes.buckets.extend(self.snapshot.limits.levels())
            self._backfills.store()
            self._reactions.turn(self.now)
            record()
            if self._care.is_rehearsal():
                transaction.rehearse()
                raise RehearsedError
        self._due.renewed = self.now
        self._care.recorded()
        recorded = perf_counter()
        self._carry_out(publications)
        ended = perf_counter()
        self._metrics.phases(
            ingest=folded - began, plan=planned - folded, reap=reaped - planned, admit=admitted - sent,
            record=sent - reaped + recorded - admitted, publish=ended - recorded,
        )  # fmt: skip
        self._measure(ended - began)
        return self._rest()

    def worked_s(self) -> float:
        """How many seconds of the processor's time this cycle has taken so far, in the loop's own thread."""
        return clock.thread_time() - self._busy_since_s

    def _is_due(self) -> bool:
        elapsed = timedelta(seconds=IDLE_S)
        soon = self._now_estimate()
        timer = self._next_timer()
        return soon - self._due.renewed >= RENEW - elapsed or (timer is not None and timer <= soon)

    def _now_estimate(self) -> datetime:
        """PostgreSQL's clock, guessed from the local one since it was last read: good enough to know that a look is due."""
        return self.now + timedelta(seconds=clock.monotonic() - self._read_at)

    def _rest(self) -> float:
        self._read_at = clock.monotonic()
        return 0.0 if self._has_more() else self._until_due()

    def _has_more(self) -> bool:
        """Whether something of an earlier cycle is left to do."""
        return (
            self._more
            or self._unwatched
            or self._unasked
            or self._unplanned
            or self._backfills.is_due()
            or self.fold.manifests.next_offer() is not None
            or self._care.is_holding()
        )

    def _until_due(self) -> float:
        timer, held_s = self._next_timer(), self._inbox.held_s()
        timer_s = None if timer is None else (timer - self._now_estimate()).total_seconds()
        waits = [max(SHORTEST_REST_S, wait) for wait in (timer_s, held_s) if wait is not None]
        return min([IDLE_S, *waits])

    def _next_timer(self) -> datetime | None:
        """When a retry, a limit's next token, the end of an override, a schedule's tick or an asset is due, or a sensor or condition is to be asked."""
        snapshot = self.snapshot
        parts = (self._sensors.next_due(), self._automating.next_due(), self._reactions.next_due())
        dues = (
            *(snapshot.next_timer(), self._admit_at, snapshot.rules.next_expiry(self.now), self._schedules.next_tick()),
            *(snapshot.evaluations.next_due(), self._freshness.next_due(), self._backfills.next_due(), *parts),
        )
        return min((due for due in dues if due is not None), default=None)

    def _swap_changes(self) -> Changes:
        changes, self.snapshot.changes = self.snapshot.changes, Changes()
        return changes

    def _take(self, message: Message) -> None:
        if isinstance(message, Batch):
            self._streams.take(message, self.now)
        elif isinstance(message, StreamLost):
            self._streams.lost(message, self.now)
        elif isinstance(message, ClaimAnswer):
            if message.failed:
                claim_unanswered(self.snapshot, message.attempt_id)
            else:
                claim_answered(self.snapshot, message.attempt_id, message.holder, self.now, self.lease)

    # -- requests ----------------------------------------------------------------------------------------------------

    def _look(self, transaction: Transaction) -> None:
        self._due.looked = self.now
        self._streams.meet(transaction.teams())
        overrides = transaction.overrides()
        if overrides != self.snapshot.rules.overrides:
            limiting.use_overrides(self.snapshot, overrides, self.now)
        if (paused := transaction.pauses()) != self._paused:
            self._paused = paused
            self._schedules.pauses = Pauses(paused)
            self._sensors.pauses = self._reactions.pauses = self._schedules.pauses
            self._automating.use(self._schedules.pauses)
        more_runs = take_requested_runs(transaction, self.snapshot, self.now)
        more_backfills = self._backfills.take_requested(transaction, self.now)
        more_commands = take_commands(transaction, self.snapshot, self.now, self._begun, self._appliers)
        self._more = more_runs or more_backfills or more_commands

    # -- effects -----------------------------------------------------------------------------------------------------

    def _carry_out(self, publications: list[Publication]) -> None:
        effects, self.snapshot.effects = self.snapshot.effects, Effects()
        for order in self._streams.to_follow():
            self._brokers.follow(order)
        self._brokers.carry_out(effects, publications)
        self._brokers.evaluate(self.snapshot.evaluations.outgoing())
        self._metrics.take(effects.measures)
        if self.now - self._due.trimmed >= TRIM:
            self._due.trimmed = self.now
            for team, position in self._streams.outlived():
                self._brokers.trim(team, position)

    def _measure(self, lasted_s: float) -> None:
        events: Counter[str] = Counter()
        for (team, what), count in self.fold.counted.items():
            self._metrics.counted(team, what, count)
            events[team] += count
        self.busy = frozenset(team for team, count in events.items() if count >= BUSY_EVENTS)
        self.gather_s = max(0.0, APART_S - lasted_s) if self.busy else 0.0
        for team, wait_s in pauses(self.fold.counted).items():
            self._inbox.hold(team, wait_s)
        self.fold.counted.clear()
        if self.now - self._due.measured >= LOOK:
            self._due.measured = self.now
            self._settle()
            self._pictures.draw_freshness(self._freshness.counts())
            self._pictures.draw_backfills(self._backfills.states())
            self._pictures.draw(self.snapshot, self.admission.capacities(self.snapshot, self.now), self.now)

    def _settle(self) -> None:
        """What other code has brought lives long: looked through by Python's collector, it would hold the loop for most of a second."""
        if self.snapshot.catalog is not self._settled and not self._automating.is_behind():
            self._settled = self.snapshot.catalog
            gc.collect(1)
            gc.freeze()
