"""Admission under random work and random changes: no limit is exceeded, no rate outrun, nothing admissible is left, whoever leads.

The checks count by themselves, from the attempts that are out and the overrides that were made; they ask admission nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.crowds import crowds
from support.limited_world import (
    DECLARED,
    ETL,
    ML,
    PLATFORM,
    WORKERS,
    Id,
    NeedByHand,
    declared,
    needs_by_hand,
    sales,
)
from support.scheduling import LEASE, World, chunks, live, published
from support.succession import Ledger

from hedgerow_scheduler.lifecycle.model import Attempt, Run, Step
from hedgerow_scheduler.lifecycle.states import ENDED, HELD, AttemptState, StepState
from hedgerow_scheduler.limits.backlog import queue_of
from hedgerow_scheduler.planning.limiting import expire_overrides, prioritise, use_overrides
from hedgerow_scheduler.planning.rules import Override
from hedgerow_scheduler.recovery.claims import claim_answered

FULL_SLOTS = {"w1": 3, "w2": 2, "w3": 2, "w4": 4}


class Windows:
    """Every admission under one rate, and what the rate was since when."""

    def __init__(self) -> None:
        self.times: list[datetime] = []
        self.rates: list[tuple[datetime, float, float]] = []  # from when on, starts per second, burst

    def note(self, now: datetime, rate: float | None, burst: float | None, fresh: int) -> None:
        """What was admitted in the cycle at `now`, in which the rate was this."""
        if rate is None:
            self.times.clear()
            self.rates.clear()
            return
        if not self.rates or self.rates[-1][1:] != (rate, burst):
            self.rates.append((now, rate, max(1.0, burst or 1.0)))
        self.times += [now] * fresh
        if fresh:
            self.check(now)

    def check(self, now: datetime) -> None:
        """Every window that ends now: no more than was saved up at its beginning, and what was earned in it."""
        for first, start in enumerate(self.times):
            begun = [index for index, (since, _, _) in enumerate(self.rates) if since <= start][-1]
            ends = [*(since for since, _, _ in self.rates[begun + 1 :]), now]
            earliest = begun
            while earliest and self.rates[earliest][0] == start:
                earliest -= 1  # at the instant of a change either may have been in force
            allowed, since = max(burst for _, _, burst in self.rates[earliest : begun + 1]), start
            for (_, rate, _), end in zip(self.rates[begun:], ends, strict=True):
                allowed += rate * (end - since).total_seconds()
                since = end
            assert len(self.times) - first <= allowed + 1e-6, (start, now, allowed, len(self.times) - first)


class Trial:
    """A world with workers, and the books that the checks keep."""

    def __init__(self, max_batch: int) -> None:
        self.world, self.ledger = World(sales(False), ETL, ML, platform=PLATFORM, max_batch=max_batch), Ledger()
        self.changed = False  # whether the next code of sales is in force
        self.slots = dict(FULL_SLOTS)
        self.overrides: dict[tuple[str, str, str], Override] = {}
        self.needs: dict[str, list[NeedByHand]] = {}  # of attempts, as they were when these went out
        self.windows: defaultdict[Id, Windows] = defaultdict(Windows)
        self.runs: list[Run] = []

    # -- what is so, by hand -----------------------------------------------------------------------------------------

    def values(self, run: Run | None, spec: Id) -> dict[str, Any]:
        """What a limit is set to now."""
        base = declared(self.changed, spec)
        if spec[0] == "run" and run is not None:
            base = {"concurrency": run.cap}
        found: dict[str, Any] = dict(base)
        for (kind, name, field), override in self.overrides.items():
            if (kind, name) == spec:
                found[field] = override.value
        if (*spec, "rate") in self.overrides and (*spec, "burst") not in self.overrides and found["rate"] is not None:
            on_purpose = "rate" in base and base["burst"] != base["rate"]
            found["burst"] = base["burst"] if on_purpose else max(1.0, found["rate"])
        return found

    def is_limited(self, run: Run) -> bool:
        return run.cap is not None or any(key[:2] == ("run", run.id) for key in self.overrides)

    def needs_of(self, step: Step) -> list[NeedByHand]:
        return needs_by_hand(step, self.changed, self.is_limited(step.run))

    def used(self) -> Counter[Id]:
        """Slots that are out by limit, counted once for each message."""
        found: Counter[Id] = Counter()
        for attempt in {attempt.batch: attempt for attempt in live(self.world.snapshot)}.values():
            for id, _, slots in self.needs[attempt.id]:
                if id[0] != "run":
                    found[id] += slots
            found["run", attempt.step.run.id] += 1
        return found

    def has_room(self, step: Step) -> bool:
        """Whether a worker's slot is left for the step."""
        out = [
            a.step for a in live(self.world.snapshot) if (a.step.team, a.step.location) == (step.team, step.location)
        ]
        mine = {name: about[2] for name, about in WORKERS.items() if about[:2] == (step.team, step.location)}
        slots = sum(self.slots[name] for name in mine)
        of_queue = sum(self.slots[name] for name, queues in mine.items() if step.queue in queues)
        return len(out) < slots and sum(other.queue == step.queue for other in out) < of_queue

    # -- what must hold ----------------------------------------------------------------------------------------------

    def cycle(self) -> None:
        """What the loop does, again at once when there is more; then everything is checked."""
        world = self.world
        for name, (team, location, queues) in WORKERS.items():
            state = "ready" if self.slots[name] else "draining"
            world.beat(team, name, slots=self.slots[name] or 1, location=location, queues=queues, state=state)
        for override in expire_overrides(world.snapshot, world.now):
            del self.overrides[override.kind, override.name, override.field]
        for _ in range(20):
            before = self.used()
            fresh, ended = world.cycle(), sum(step.state in ENDED for run in self.runs for step in run.steps)
            self.check_grants(fresh, before)
            revoked = self.ledger.record(world).revoke
            for attempt in revoked:
                claim_answered(world.snapshot, attempt.id, None, world.now, LEASE)
            self.check_counters()
            if not fresh and not revoked and ended == self._ended and world.admission.due != world.now:
                break
            self._ended = ended
        else:
            raise AssertionError("admission does not come to rest")
        for step in self.left_over():
            raise AssertionError(f"{step.name} {step.computation} could start, and waits for {step.ticket.group.cause}")

    _ended = -1

    def check_grants(self, fresh: list[Attempt], before: Counter[Id]) -> None:
        batches: defaultdict[int, list[Attempt]] = defaultdict(list)
        admitted: Counter[Id] = Counter()
        for attempt in fresh:
            self.needs[attempt.id] = self.needs_of(attempt.step)
            batches[attempt.batch].append(attempt)
            admitted.update(id for id, _, _ in self.needs[attempt.id])
        used = self.used()
        for together in batches.values():
            self.check_batch(together)
            for id, spec, _ in self.needs[together[0].id]:
                values = self.values(together[0].step.run, spec)
                assert not values.get("paused"), (id, values)
                if values.get("concurrency") is not None:
                    assert before[id] < used[id] <= values["concurrency"], (id, used[id], values)
        for id in [id for id in DECLARED if id[0] in ("queue", "pool")]:
            values = self.values(None, id)
            self.windows[id].note(self.world.now, values.get("rate"), values.get("burst"), admitted[id])

    def check_batch(self, together: list[Attempt]) -> None:
        steps = [attempt.step for attempt in together]
        alike = {(s.team, s.location, s.queue, s.run.id, s.priority, s.computation) for s in steps}
        assert len({*alike}) == len({tuple(self.needs[attempt.id]) for attempt in together}) == 1, together
        assert len(together) <= self.world.admission.max_batch
        assert len({id(step.holding) for step in steps}) == 1

    def check_counters(self) -> None:
        """What admission counts is what is out; nothing is held by what waits, and what is out makes no output twice."""
        used, snapshot = self.used(), self.world.snapshot
        for limit in snapshot.limits:
            if limit.id[0] != "run" or self.is_run_limited(limit.id[1]):
                assert limit.used == used[limit.id], (limit, used[limit.id])
            assert sum(limit.by_sharer.values()) == limit.used
            assert min(limit.by_sharer.values(), default=1) > 0
        assert all(snapshot.limits.find(id) for id in used if id[0] != "run")  # type: ignore[arg-type]
        for run in self.runs:
            for step in run.steps:
                assert (step.holding is not None) == (step.state in HELD)
        locks = Counter(lock for attempt in live(snapshot) for lock in attempt.step.locks())
        assert set(locks.values()) <= {1}

    def is_run_limited(self, run_id: str) -> bool:
        return any(run.id == run_id and self.is_limited(run) for run in self.runs)

    def left_over(self) -> Iterator[Step]:
        """Ready steps that every limit would let out."""
        snapshot, used = self.world.snapshot, self.used()
        locked = {lock for attempt in live(snapshot) for lock in attempt.step.locks()}
        for run in snapshot.runs.values():
            for step in run.steps:
                ready = step.state is StepState.READY and self.has_room(step)
                if ready and not locked & set(step.locks()) and not self.is_refused(step, used):
                    yield step

    def is_refused(self, step: Step, used: Counter[Id]) -> bool:
        for id, spec, slots in self.needs_of(step):
            values, limit = self.values(step.run, spec), self.world.snapshot.limits.find(id)  # type: ignore[arg-type]
            if values.get("paused"):
                return True
            if values.get("concurrency") is not None and used[id] + slots > values["concurrency"]:
                return True
            if values.get("rate") is not None and limit is not None and not limit.has_token(self.world.now):
                return True
            group = limit.reserved_for if limit is not None else None
            if group is not None and group is not step.ticket.group and values.get("concurrency") is not None:
                kept = sum(needed for each, needed in group.needs if each is limit)
                waits = bool(group.size and group.hungry_since <= self.world.now - timedelta(minutes=5))
                if waits and used[id] + slots + kept > values["concurrency"]:
                    return True
        return False

    # -- what happens ------------------------------------------------------------------------------------------------

    def act(self, action: str, choice: int, number: float) -> None:
        world = self.world
        if action == "launch":
            selection = ("a b", "*", "c m", "k", "n m b", "a n e", "p f", "g e", "f k")[choice % 9]
            about = {"cap": (None, None, 2, 1)[choice % 4], "tags": {"tenant": f"t{choice % 2}"}}
            config = {"f": {"who": choice % 3}}
            priority = (0, 0, 0, 3)[choice // 4 % 4]
            self.runs.append(world.start(selection, all_partitions=True, config=config, priority=priority, **about))
        elif action == "pass":
            world.after(seconds=number if choice % 8 else 200 * number)
        elif action in ("finish", "user_error", "runner_lost", "interrupted", "refused"):
            self.end(action, choice)
        elif action == "quick":
            for step in (step for run in self.runs for step in run.steps):
                world.snapshot.step_times[queue_of(step), step.computation].took(0.0001)
        elif action == "workers":
            name = sorted(WORKERS)[choice % 4]
            self.slots[name] = 0 if choice % 3 == 0 else FULL_SLOTS[name] - choice % 2
        elif action == "override":
            self.override(choice, number)
        elif action == "clear" and self.overrides:
            del self.overrides[sorted(self.overrides)[choice % len(self.overrides)]]
            use_overrides(world.snapshot, self.overrides.values(), world.now)
        elif action == "deploy":
            self.deploy(not self.changed)
        elif action == "lead":
            self.ledger.another_leads(world, self.overrides.values())
        elif self.runs:
            self.ask(action, self.runs[choice % len(self.runs)], choice)

    def ask(self, action: str, run: Run, choice: int) -> None:
        """What people ask of a run."""
        snapshot, now = self.world.snapshot, self.world.now
        if action == "hurry" and run.id in snapshot.runs:
            prioritise(snapshot, run, choice % 7 - 3, now)
        elif action == "cancel" and run.id in snapshot.runs:
            run.cancel_requested = True
            for step in run.steps:
                snapshot.cancel_step(step, now, "on request")
        elif action == "retry" and not run.cancel_requested:
            snapshot.retry_steps(run, {step.number for step in run.steps}, now)

    def deploy(self, changed: bool) -> None:
        self.world.send("sales", *chunks(sales(changed)), worker="deployer")
        self.changed = self.world.snapshot.catalog.manifest_hash("sales", "sales") == published(sales(True)).hash

    def end(self, how: str, choice: int) -> None:
        """Some attempt that is out begins, if it has not, and ends."""
        attempts = live(self.world.snapshot)
        attempt = attempts[choice % len(attempts)] if attempts else None
        if attempt is None or (how == "refused" and attempt.state is not AttemptState.DISPATCHED):
            return
        if attempt.state is AttemptState.DISPATCHED and how != "refused":
            self.world.begin(attempt)
        if how == "finish":
            self.world.finish(attempt)
        else:
            self.world.fail(attempt, how)  # type: ignore[arg-type]

    def override(self, choice: int, number: float) -> None:
        """An operator sets a field of some limit, for a while or for good."""
        specs: list[tuple[Id, str]] = [
            (spec, field)
            for spec in DECLARED
            for field in {"queue": ("concurrency", "rate", "burst", "paused"), "pool": ("concurrency", "rate", "burst", "paused"),
                          "team": ("concurrency", "paused", "weight", "minimum"), "key": ("concurrency",)}[spec[0]]
        ]  # fmt: skip
        specs += [(("run", run.id), "concurrency") for run in self.runs[-2:]]
        (kind, name), field = specs[choice % len(specs)]
        values = {"concurrency": choice % 6 + 1, "rate": number + 0.1, "burst": 1 + choice % 4, "paused": choice // 7 % 2,
                  "weight": number + 0.5, "minimum": choice % 3}  # fmt: skip
        value = None if field in ("concurrency", "rate") and choice % 6 == 0 else values[field]
        ends = self.world.now + timedelta(seconds=number + 0.01) if choice % 5 == 0 else None
        self.overrides[kind, name, field] = Override(kind, name, field, value, "ada", "why", self.world.now, ends)
        use_overrides(self.world.snapshot, self.overrides.values(), self.world.now)


ACTIONS = st.sampled_from(
    ["launch", "launch", "pass", "pass", "pass", "finish", "finish", "finish", "override", "override", "override", "clear", "hurry",
     "lead", "quick", "cancel", "retry", "deploy", "workers", "user_error", "runner_lost", "interrupted", "refused"]
)  # fmt: skip


@pytest.mark.parametrize("many", [False, True])
@settings(max_examples=60)
@given(st.sampled_from([1, 4]), st.lists(st.tuples(ACTIONS, st.integers(0, 10_000), st.floats(0.0, 3.0)), max_size=60))
def test_limits_hold_and_nothing_admissible_is_left_whatever_happens(
    many: bool, max_batch: int, history: list[tuple[str, int, float]]
) -> None:
    with crowds(many):
        check(max_batch, history)


def check(max_batch: int, history: list[tuple[str, int, float]]) -> None:
    trial = Trial(max_batch)
    trial.act("launch", 1, 0)
    trial.cycle()
    for action, choice, number in history:
        trial.act(action, choice, number)
        trial.cycle()
    trial.overrides.clear()
    use_overrides(trial.world.snapshot, (), trial.world.now)
    trial.slots = dict(FULL_SLOTS)
    trial.cycle()
    for _ in range(600):
        if not trial.world.snapshot.runs:
            break
        trial.world.after(seconds=1)
        for _ in range(len(live(trial.world.snapshot))):
            trial.end("finish", 0)
        trial.cycle()
    assert trial.world.snapshot.runs == {}
    assert all(step.state in ENDED for run in trial.runs for step in run.steps)
    assert {limit.id: limit.used for limit in trial.world.snapshot.limits if limit.used} == {}


def test_a_trial_does_make_messages_of_several_orders() -> None:
    trial = Trial(4)
    trial.act("launch", 4, 0)
    trial.act("quick", 0, 0)
    trial.cycle()
    sizes = Counter(attempt.batch for attempt in live(trial.world.snapshot))
    assert max(sizes.values()) > 1
