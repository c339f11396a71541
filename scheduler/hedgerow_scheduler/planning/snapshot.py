"""The snapshot: all live runs, steps, attempts and workers, and the only functions that move a step from state to state."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

from hedgerow.errors import Problem
from hedgerow.manifest.model import Computation
from hedgerow.partitions.key_sets import KeySet
from hedgerow_scheduler.lifecycle.changes import Changes, Effects, Measure
from hedgerow_scheduler.lifecycle.evaluations import Evaluations, numbered_ids
from hedgerow_scheduler.lifecycle.happenings import GIVEN_UP, Happenings
from hedgerow_scheduler.lifecycle.model import Attempt, Materialization, Run, Step, Worker
from hedgerow_scheduler.lifecycle.news import NewsDesk
from hedgerow_scheduler.lifecycle.service_time import ServiceTime, StepTime
from hedgerow_scheduler.lifecycle.states import (
    ATTEMPT_LIVE,
    ENDED,
    HELD,
    STEP_ARROWS,
    AttemptState,
    MaterializationState,
    RunState,
    StepState,
    run_state_of,
)
from hedgerow_scheduler.lifecycle.waits import Cause
from hedgerow_scheduler.limits.backlog import Backlog, queue_of
from hedgerow_scheduler.limits.book import LimitBook
from hedgerow_scheduler.limits.limit import Holding, LimitId, Need, Values
from hedgerow_scheduler.limits.lines import Line, QueueName
from hedgerow_scheduler.partitions.key_sets import KeySets
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest
from hedgerow_scheduler.planning.former_columns import FormerColumns
from hedgerow_scheduler.planning.neighbours import downstream_of, inherited, with_neighbours
from hedgerow_scheduler.planning.rules import PlatformLimits, Rules, queue_limit_name

# What a step waits for outside the backlog.
WAITS = {
    StepState.WAITING: Cause.UPSTREAM,
    StepState.RETRY_WAIT: Cause.RETRY_WAIT,
    StepState.DISPATCHED: Cause.DISPATCH,
}


class Snapshot:
    """The leader's picture of everything that is not over, kept equal to PostgreSQL: what changes here is noted in `changes`.

    If recording the changes fails, the snapshot is thrown away and read again.
    """

    def __init__(
        self,
        catalog: Catalog | None = None,
        platform: PlatformLimits | None = None,
        new_id: Callable[[], str] | None = None,
        key_sets: KeySets | None = None,
    ) -> None:
        self.catalog = catalog or Catalog()
        self.key_sets = key_sets or KeySets()
        self.removed_keys: dict[KeySet, set[str]] = {}
        """By set, keys that were removed while steps of them may wait (planning.key_changes.cancel_removed)."""
        self.run_caps: dict[str, int] = {}
        self.rules = Rules(self.catalog, platform, (), self.run_caps)
        self.limits = LimitBook(self._values_of)
        self.runs: dict[str, Run] = {}
        self.attempts: dict[str, Attempt] = {}
        self.workers: dict[tuple[str, str], Worker] = {}
        self.backlog = Backlog(self._open_line, self._needs_of)
        self.held: Counter[QueueName] = Counter()
        self.locks: dict[tuple[str, str], str] = {}
        self.sequences: dict[tuple[str, str], int] = {}
        self.owners: dict[str, tuple[str, str]] = {}
        self.accepted: dict[str, PublishedManifest] = {}  # by hash, in the order in which they came into force
        self.broken: set[tuple[str, str]] = set()  # (team, location) whose latest code is not in force
        self.dispatch_seq = 0
        self.former_columns = FormerColumns()
        self.service_times: defaultdict[QueueName, ServiceTime] = defaultdict(ServiceTime)
        self.step_times: defaultdict[tuple[QueueName, str], StepTime] = defaultdict(StepTime)
        self.changes = Changes()
        self.effects = Effects()
        self.news = NewsDesk()
        self.happenings = Happenings()
        self.evaluations = Evaluations(self.serving, new_id or numbered_ids())
        self._timers: list[tuple[datetime, int, Step]] = []
        self._tie = count()
        self._over: deque[Run] = deque()

    # -- limits ------------------------------------------------------------------------------------------------------

    def _values_of(self, id: LimitId) -> Values:
        return self.rules.values(id, self.backlog.now)

    def _open_line(self, queue: QueueName) -> Line:
        return Line(queue, self.limits.get(("queue", queue_limit_name(*queue))), self.limits.get(("team", queue[0])))

    def _needs_of(self, step: Step) -> tuple[object, tuple[Need, ...], tuple[str, ...]]:
        wants = self.rules.wants(step, self.declared(step.team, step.location, step.computation))
        if not wants:
            return (), (), ()
        return wants, tuple((self.limits.get(id), slots) for id, slots, _ in wants), tuple(want[2] for want in wants)

    def declared(self, team: str, location: str, computation: str) -> Computation | None:
        """A computation as the code in force declares it, or the newest code that did; None when none is known."""
        in_force = self.catalog.published.get((team, location))
        if in_force is not None and (found := in_force.computations.get(computation)) is not None:
            return found
        for published in reversed(self.accepted.values()):
            home = (published.manifest.team, published.manifest.location)
            if home == (team, location) and (found := published.computations.get(computation)) is not None:
                return found
        return None

    def serving(self, team: str, location: str) -> str | None:
        """The hash of a location's code in force, if a live worker serves it."""
        manifest = self.catalog.manifest_hash(team, location)
        workers = (one for (of, _), one in self.workers.items() if of == team and one.location == location)
        return manifest if any(one.manifest_hash == manifest and one.state == "ready" for one in workers) else None

    def give_back(self, holding: Holding) -> None:
        """A grant of this very cycle comes to nothing."""
        for limit, _ in holding.needs:
            limit.give_token_back()
        self.limits.leave(holding)

    def free(self, step: Step) -> None:
        """What the step's attempt holds is given back."""
        holding: Holding | None = step.holding
        if holding is not None:
            step.holding = None
            self.limits.leave(holding)

    # -- runs --------------------------------------------------------------------------------------------------------

    def add_run(self, run: Run, now: datetime) -> None:
        """Takes up a run whose steps are known: those that wait for nothing become candidates of admission, timers are set."""
        self.backlog.now = now
        self.runs[run.id] = run
        if run.cap is not None:
            self.run_caps[run.id] = run.cap
        run.counts = Counter(step.state for step in run.steps)
        run.downstream = downstream_of(run)
        for step in run.steps:
            step.waiting_on = sum(run.steps[number].state is not StepState.SUCCEEDED for number in step.upstream)
            if step.state not in ENDED:
                self.news.begun(step)
            if step.state is StepState.READY:
                if step.ready_at is not None and step.ready_at < now:
                    step.waited(Cause.TAKEOVER, (now - step.ready_at).total_seconds())
                self.backlog.add(step)
            elif step.state is StepState.RETRY_WAIT and step.not_before is not None:
                self._set_timer(step, step.not_before)
            elif step.state in HELD:
                self.held[queue_of(step)] += 1

    def start_run(self, run: Run, now: datetime) -> None:
        """Takes up a run that was just planned."""
        run.state, run.started_at = RunState.RUNNING, now
        for step in run.steps:
            step.state = step.recorded = StepState.WAITING if step.upstream else StepState.READY
            step.ready_at = None if step.upstream else now
            step.since = now
        self.changes.planned_runs.append(run)
        self.add_run(run, now)
        if not run.steps:
            self._close_if_over(run, now)

    def _close_if_over(self, run: Run, now: datetime) -> None:
        state = run_state_of(run.counts, run.cancel_requested)
        if state is run.state:
            return
        run.state = state
        self.changes.runs[run.id] = run
        if state is RunState.RUNNING:
            run.ended_at = None
            return
        run.ended_at = now
        self.happenings.run_ended(run, now)
        del self.runs[run.id]
        self.run_caps.pop(run.id, None)
        for step in run.steps:
            if step.attempt_id is not None:
                self.forget_attempt(step.attempt_id)
        self._over.append(run)
        # Runs and steps refer to each other: unparted, they pile up until Python's next full collection, a million steps away.
        while (over := self._over[0]).id not in self.changes.runs:  # it is recorded, as this one is not
            self._over.popleft()
            over.steps = over.steps if self.runs.get(over.id) is over else []

    # -- steps -------------------------------------------------------------------------------------------------------

    def move(self, step: Step, to: StepState, now: datetime, error: Problem | None = None) -> None:
        """Moves one step along an arrow of the table, with everything that follows from it: counts, limits, downstream, the run."""
        before = step.state
        if (before, to) not in STEP_ARROWS:
            raise AssertionError(f"no arrow {before} -> {to} (step {step.name})")
        run, self.backlog.now = step.run, now
        if before is StepState.READY:
            self.backlog.leave(step)
        elif before in WAITS and step.since is not None:
            step.waited(WAITS[before], (now - step.since).total_seconds())
        step.state, step.since = to, now
        self.news.moved(step, before, to)
        run.counts[before] -= 1
        run.counts[to] += 1
        self.changes.steps[(run.id, step.number)] = step
        if before in HELD and to not in HELD:
            self.held[queue_of(step)] -= 1
            self.free(step)
            self._unlock(step)
        elif to in HELD and before not in HELD:
            self.held[queue_of(step)] += 1
        step.error = error
        if to is StepState.READY:
            step.ready_at, step.not_before = now, None
            self.backlog.add(step)
        elif to in ENDED:
            step.ended_at = now
            if to in GIVEN_UP:
                self.happenings.step_failed(step, error, now)
            step.not_before = None
            step.cancelling = False
            self._propagate(step, now)
            self._close_if_over(run, now)

    def wait_for_retry(self, step: Step, delay: timedelta, now: datetime, error: Problem | None) -> None:
        """The step is tried again once `delay` has passed."""
        self.move(step, StepState.RETRY_WAIT, now, error)
        step.not_before = now + delay
        self._set_timer(step, step.not_before)

    def lock(self, step: Step, attempt_id: str) -> None:
        """The attempt takes the step's (asset, partition) locks."""
        for lock in step.locks():
            self.locks[lock] = attempt_id

    def _unlock(self, step: Step) -> None:
        for lock in step.locks():
            if self.locks.get(lock) == step.attempt_id:
                del self.locks[lock]
                self.backlog.unlocked(lock)

    def _propagate(self, ended: Step, now: datetime) -> None:
        """Carries the end of a step to the steps that wait for it. Iterative: chains may be long."""
        run = ended.run
        queue = deque([ended])
        while queue:
            step = queue.popleft()
            for number in run.downstream.get(step.number, ()):
                below = run.steps[number]
                if below.state is not StepState.WAITING:
                    continue
                if step.state is StepState.SUCCEEDED:
                    below.waiting_on -= 1
                    if below.waiting_on == 0:
                        self.move(below, StepState.READY, now)
                    continue
                to, error = inherited(step)
                if below.since is not None:
                    below.waited(Cause.UPSTREAM, (now - below.since).total_seconds())
                below.state, below.ended_at, below.error = to, now, error
                self.news.moved(below, StepState.WAITING, to)
                run.counts[StepState.WAITING] -= 1
                run.counts[to] += 1
                self.changes.steps[(run.id, number)] = below
                queue.append(below)

    def cancel_step(self, step: Step, now: datetime, why: str, problem: Problem | None = None) -> None:
        """Cancels a step: at once when no attempt is out, else through its claim or its worker. `problem` stands in for HR-Q020."""
        if step.state in ENDED:
            return
        if step.state in HELD:
            step.cancelling = True
            self.changes.steps[(step.run.id, step.number)] = step
            attempt = self.attempts.get(step.attempt_id or "")
            if attempt is not None:
                self.press_cancellation(attempt, now)
            return
        if step.attempt_id is not None:
            self.forget_attempt(step.attempt_id)
        self.move(
            step,
            StepState.CANCELLED,
            now,
            problem or Problem("HR-Q020", f"Cancelled: {why}.", "Retry the run to take it up again."),
        )

    def press_cancellation(self, attempt: Attempt, now: datetime) -> None:
        """Asks for the end of an attempt: takes its claim while it is unstarted, tells its worker otherwise."""
        attempt.told_to_cancel_at = now
        if attempt.state is AttemptState.DISPATCHED:
            self.revoke(attempt)
        else:
            self.effects.cancel.append(attempt)

    def retry_steps(self, run: Run, numbers: set[int], now: datetime) -> int:
        """Takes up steps that failed, were cancelled, parked or had a failed upstream, with fresh budgets; returns how many.

        What they wait for is taken up with them, and so is what failed only because of them. A run that has ended is taken up
        with its steps, and left as it is when there are none to try.
        """
        again = [run.steps[number] for number in sorted(with_neighbours(run, numbers))]
        if not again:
            return 0
        if run.id not in self.runs:
            self.add_run(run, now)
        for step in again:
            step.failures = step.losses = step.deaths = 0
            step.since = now
        run.cancel_requested = False
        for step in again:
            step.waiting_on = sum(run.steps[number].state is not StepState.SUCCEEDED for number in step.upstream)
            step.ended_at = None
            self.move(step, StepState.WAITING if step.waiting_on else StepState.READY, now)
            step.ready_at = now  # also of one that waits for others again: the next leader must know since when
        self.changes.runs[run.id] = run
        self._close_if_over(run, now)
        return len(again)

    # -- attempts ----------------------------------------------------------------------------------------------------

    def revoke(self, attempt: Attempt) -> None:
        """Tries to take an unstarted attempt's claim; the answer comes back to recovery."""
        if not attempt.revoking:
            attempt.revoking = True
            self.effects.revoke.append(attempt)

    def end_attempt(self, attempt: Attempt, state: AttemptState, now: datetime, error: Problem | None = None) -> None:
        """Ends an attempt; a lost one stays known, because its outcome may still come and count."""
        attempt.state, attempt.ended_at, attempt.error = state, now, error
        self.changes.attempts[attempt.id] = attempt
        labels = (attempt.step.team, attempt.step.queue)
        if state in _UNSTARTED:
            self.measure("step_redispatches", (*labels, state.value))
        elif state is AttemptState.INTERRUPTED:
            self.measure("step_retries", (*labels, state.value))
        else:
            self.measure("steps", (*labels, state.value))
        if attempt.started_at is not None:
            self.measure("step_duration", labels, (now - attempt.started_at).total_seconds())
        if state is not AttemptState.LOST:
            self.forget_attempt(attempt.id)

    def forget_attempt(self, attempt_id: str) -> None:
        """Nothing that still comes of the attempt counts: outputs that are candidates never become current, and whoever waits for
        them is looked at again.
        """
        attempt = self.attempts.pop(attempt_id, None)
        for asset, output in attempt.outputs.items() if attempt else ():
            if output.state is MaterializationState.CANDIDATE:
                self.settle(output, MaterializationState.DISCARDED, attempt.step.team if attempt else "")
            self.backlog.asset_changed(asset)
        if attempt is not None and attempt.judged is not None:
            self.backlog.asset_changed(attempt.judged.asset)

    def settle(self, output: Materialization, state: MaterializationState, team: str) -> None:
        """Decides what an output is worth."""
        output.state = state
        if state is MaterializationState.CURRENT:
            self.former_columns.accepted(output)
        elif state is MaterializationState.REJECTED:
            self.former_columns.rejected(output)
        self.changes.outputs[output.attempt_id, output.asset] = output
        self.measure("asset_materializations", (team, state.value))

    def measure(self, metric: str, labels: tuple[str, ...], value: float = 1.0) -> None:
        """Notes something to count or observe once this cycle is recorded."""
        self.effects.measures.append(Measure(metric, labels, value))

    def live_attempts(self) -> list[Attempt]:
        """The attempts that hold limits."""
        return [attempt for attempt in self.attempts.values() if attempt.state in ATTEMPT_LIVE]

    # -- timers ------------------------------------------------------------------------------------------------------

    def _set_timer(self, step: Step, at: datetime) -> None:
        heapq.heappush(self._timers, (at, next(self._tie), step))

    def next_timer(self) -> datetime | None:
        """When the next retry is due."""
        return self._timers[0][0] if self._timers else None

    def fire_timers(self, now: datetime) -> None:
        """Makes the steps ready whose retry is due."""
        while self._timers and self._timers[0][0] <= now:
            step = heapq.heappop(self._timers)[2]
            if step.state is StepState.RETRY_WAIT and step.not_before is not None and step.not_before <= now:
                self.move(step, StepState.READY, now)


_UNSTARTED = frozenset({AttemptState.REFUSED, AttemptState.SUPERSEDED})
