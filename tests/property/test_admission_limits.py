"""Admission under random work and random changes: no limit is exceeded, no rate outrun, nothing admissible is left, whoever leads.

The checks count by themselves, from the attempts that are out and the overrides that were made; they ask admission nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.scheduling import LEASE, World, asset, live, manifest

from hedgerow.manifest.model import KeyLimit, Pool, PoolUse, Queue
from hedgerow.partitions.model import StaticPartitions
from hedgerow.settings.platform import TeamPolicy
from hedgerow_scheduler.admission.admit import Admission
from hedgerow_scheduler.lifecycle.changes import Effects
from hedgerow_scheduler.lifecycle.model import Attempt, Run, Step
from hedgerow_scheduler.lifecycle.states import ENDED, AttemptState, StepState
from hedgerow_scheduler.limits.limit import Holding
from hedgerow_scheduler.planning.limiting import expire_overrides, prioritise, use_overrides
from hedgerow_scheduler.planning.rules import Override, PlatformLimits, sharer_of
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.recovery.claims import claim_answered

KEYS = StaticPartitions(tuple(f"k{number}" for number in range(24)))
SALES = manifest(
    "sales",
    asset("a", partitions=KEYS, pools=(PoolUse("dw", 2), PoolUse("own"))),
    asset("b", partitions=KEYS, priority=2),
    asset("c", partitions=KEYS, queue="mail", pools=(PoolUse("dw"),)),
    asset("k", partitions=KEYS, limits=(KeyLimit("tenant", "tags.tenant", 1),)),
    queues=(Queue("default", concurrency=4), Queue("mail", rate_per_s=1.0, burst=2.0)),
    pools=(Pool("own", 2),),
)
ML = manifest(
    "ml", asset("m", partitions=KEYS, pools=(PoolUse("dw"),)), asset("n", partitions=KEYS, pools=(PoolUse("dw", 3),))
)
PLATFORM = PlatformLimits(
    {"sales": TeamPolicy(max_slots=6, min_slots=1), "ml": TeamPolicy(weight=3.0)}, {"dw": Pool("dw", 4, 3.0, 4.0)}
)
SLOTS = {"sales": 7, "ml": 5}
USES = {
    "a": [(("pool", "dw"), 2), (("pool", "sales/own"), 1)],
    "b": [],
    "c": [(("pool", "dw"), 1)],
    "k": [],
    "m": [(("pool", "dw"), 1)],
    "n": [(("pool", "dw"), 3)],
}
DECLARED: dict[tuple[str, str], dict[str, float | None]] = {
    ("queue", "sales/default"): {"concurrency": 4},
    ("queue", "sales/mail"): {"rate": 1.0, "burst": 2.0},
    ("queue", "ml/default"): {},
    ("pool", "dw"): {"concurrency": 4, "rate": 3.0, "burst": 4.0},
    ("pool", "sales/own"): {"concurrency": 2},
    ("team", "sales"): {"concurrency": 6},
    ("team", "ml"): {},
    ("key", "sales/tenant"): {"concurrency": 1},
}
Id = tuple[str, str]


def needs_of(step: Step) -> list[tuple[Id, Id, int]]:
    """What a step needs, by hand: the limit, under which name it is set, and the slots."""
    found: list[tuple[Id, Id, int]] = [
        (("queue", f"{step.team}/{step.queue}"), ("queue", f"{step.team}/{step.queue}"), 1),
        (("team", step.team), ("team", step.team), 1),
        *((id, id, slots) for id, slots in USES[step.computation]),
    ]
    if step.computation == "k":
        found.append((("key", f"sales/tenant={step.run.tags.get('tenant', '')}"), ("key", "sales/tenant"), 1))
    if step.run.cap is not None:
        found.append((("run", step.run.id), ("run", step.run.id), 1))
    return found


class Trial:
    """A world with workers that never leave, and the books that the checks keep."""

    def __init__(self, max_batch: int) -> None:
        self.world = World(SALES, ML, platform=PLATFORM, max_batch=max_batch)
        self.max_batch = max_batch
        self.overrides: dict[tuple[str, str, str], Override] = {}
        self.admitted: defaultdict[Id, list[datetime]] = defaultdict(list)  # since the rate was last changed
        self.runs: list[Run] = []
        self.beat()

    def beat(self) -> None:
        for team, slots in SLOTS.items():
            self.world.beat(team, f"w-{team}", slots=slots, queues=("default", "mail"))

    def values(self, run: Run | None, spec: Id) -> dict[str, Any]:
        """What a limit is set to now, by hand."""
        found = dict(DECLARED.get(spec, {}))
        if spec[0] == "run" and run is not None:
            found["concurrency"] = run.cap
        for (kind, name, field), override in self.overrides.items():
            if (kind, name) == spec and (override.expires_at is None or self.world.now < override.expires_at):
                found[field] = override.value
                if field == "rate":
                    found["burst"] = (
                        max(1.0, override.value or 1.0)
                        if DECLARED.get(spec, {}).get("burst") is None
                        else found["burst"]
                    )
        return found

    def used(self) -> Counter[Id]:
        """Slots by limit, counted once for each message."""
        found: Counter[Id] = Counter()
        for batch in {attempt.batch: attempt for attempt in live(self.world.snapshot)}.values():
            for id, _, slots in needs_of(batch.step):
                found[id] += slots
        return found

    def cycle(self) -> None:
        world = self.world
        self.beat()
        before = {id(each) for each in live(world.snapshot)}
        expire_overrides(world.snapshot, world.now)
        world.cycle()
        _, effects = world.recorded()
        fresh = [attempt for attempt in live(world.snapshot) if id(attempt) not in before]
        self.check(fresh)
        for attempt in effects.revoke:
            claim_answered(world.snapshot, attempt.id, None, world.now, LEASE)

    # -- what must hold ----------------------------------------------------------------------------------------------

    def check(self, fresh: list[Attempt]) -> None:
        used = self.used()
        for attempt in fresh:
            for id, spec, _ in needs_of(attempt.step):
                values = self.values(attempt.step.run, spec)
                assert not values.get("paused"), (id, values)
                if values.get("concurrency") is not None:
                    assert used[id] <= values["concurrency"], (id, used[id], values)
                if values.get("rate") is not None:
                    self.admitted[id].append(self.world.now)
        for id, times in self.admitted.items():
            values = self.values(None, id)
            if values.get("rate") is None:
                continue
            burst = max(1.0, values.get("burst") or 1.0)
            for first in range(len(times)):
                width = (times[-1] - times[first]).total_seconds()
                assert len(times) - first <= burst + values["rate"] * width + 1e-6, (id, times, values)
        self.check_batches(fresh)
        self.check_counters(used)
        self.check_nothing_admissible_is_left(used)

    def check_batches(self, fresh: list[Attempt]) -> None:
        batches: defaultdict[int, list[Attempt]] = defaultdict(list)
        for attempt in fresh:
            batches[attempt.batch].append(attempt)
        for together in batches.values():
            assert len(together) <= self.max_batch
            steps = [attempt.step for attempt in together]
            alike = {(s.team, s.queue, s.run.id, s.priority, s.computation, tuple(needs_of(s))) for s in steps}
            assert len(alike) == 1, alike
            assert len({id(step.holding) for step in steps}) == 1

    def check_counters(self, used: Counter[Id]) -> None:
        """What admission counts is what is out: nothing is held by what waits."""
        known = {limit.id: limit for limit in self.world.snapshot.limits}
        for id, limit in known.items():
            assert limit.used == used[id], (id, limit.used, used[id])
            assert sum(limit.by_sharer.values()) == limit.used

    def check_nothing_admissible_is_left(self, used: Counter[Id]) -> None:
        snapshot = self.world.snapshot
        out = Counter(attempt.step.team for attempt in live(snapshot))
        locked = {lock for attempt in live(snapshot) for lock in attempt.step.locks()}
        for run in snapshot.runs.values():
            for step in run.steps:
                if step.state is not StepState.READY or out[step.team] >= SLOTS[step.team]:
                    continue
                if any(lock in locked for lock in step.locks()):
                    continue
                reason = self.refusal(step, used)
                assert reason is not None, (
                    f"{step.name} {step.computation} could start: {step.ticket and step.ticket.group and step.ticket.group.cause}"
                )

    def refusal(self, step: Step, used: Counter[Id]) -> str | None:
        for id, spec, slots in needs_of(step):
            values = self.values(step.run, spec)
            limit = self.world.snapshot.limits.find(id)  # type: ignore[arg-type]
            if values.get("paused"):
                return f"{id} paused"
            if values.get("concurrency") is not None and used[id] + slots > values["concurrency"]:
                return f"{id} full"
            if values.get("rate") is not None and limit is not None and not limit.has_token(self.world.now):
                return f"{id} too often"
            if limit is not None and limit.reserved_for is not None:
                return f"{id} reserved"
        return None

    # -- what happens ------------------------------------------------------------------------------------------------

    def act(self, action: str, choice: int, number: float) -> None:
        world = self.world
        if action == "launch":
            selection = ("a b", "*", "c m", "k", "n m b", "a n")[choice % 6]
            cap = (None, None, 2, 1)[choice % 4]
            tags = {"tenant": f"t{choice % 2}"}
            run = world.start(selection, all_partitions=True, cap=cap, tags=tags, priority=(0, 0, 0, 3)[choice % 4])
            self.runs.append(run)
        elif action == "pass":
            world.after(seconds=number)
            self.cycle()
        elif action in ("finish", "user_error", "runner_lost", "interrupted"):
            self.end(action, choice)
        elif action == "quick":
            for computation in USES:
                team = "ml" if computation in "mn" else "sales"
                queue = "mail" if computation == "c" else "default"
                for _ in range(6):
                    world.snapshot.step_times[(team, team, queue), computation].took(0.0001)
        elif action == "override":
            self.override(choice, number)
        elif action == "clear" and self.overrides:
            key = sorted(self.overrides)[choice % len(self.overrides)]
            del self.overrides[key]
            self.changed(key[:2])
        elif action == "hurry" and self.runs:
            run = self.runs[choice % len(self.runs)]
            if run.id in world.snapshot.runs:
                prioritise(world.snapshot, run, choice % 7 - 3, world.now)
        elif action == "cancel" and self.runs:
            run = self.runs[choice % len(self.runs)]
            for step in run.steps[:: 1 + choice % 3]:
                world.snapshot.cancel_step(step, world.now, "on request")
        elif action == "lead":
            self.another_leads()

    def end(self, how: str, choice: int) -> None:
        """Some attempt that is out begins, if it has not, and ends."""
        attempts = live(self.world.snapshot)
        if attempts:
            attempt = attempts[choice % len(attempts)]
            if attempt.state is AttemptState.DISPATCHED:
                self.world.begin(attempt)
            if how == "finish":
                self.world.finish(attempt)
            else:
                self.world.fail(attempt, how)  # type: ignore[arg-type]

    def override(self, choice: int, number: float) -> None:
        specs: list[tuple[Id, str, float | None]] = [
            (("queue", "sales/default"), "concurrency", choice % 6 + 1), (("queue", "sales/default"), "concurrency", None),
            (("queue", "sales/mail"), "rate", number + 0.1), (("queue", "ml/default"), "concurrency", choice % 3 + 1),
            (("pool", "dw"), "concurrency", choice % 6 + 1), (("pool", "dw"), "rate", None), (("pool", "dw"), "paused", choice % 2),
            (("pool", "sales/own"), "concurrency", choice % 3 + 1), (("team", "sales"), "concurrency", choice % 6 + 1),
            (("team", "ml"), "weight", choice % 5 + 1), (("team", "ml"), "paused", choice % 2), (("team", "ml"), "minimum", choice % 3),
            (("queue", "sales/default"), "paused", choice % 2), (("key", "sales/tenant"), "concurrency", choice % 3 + 1),
        ]  # fmt: skip
        (kind, name), field, value = specs[choice % len(specs)]
        ends = self.world.now + timedelta(seconds=number) if choice % 5 == 0 else None
        self.overrides[kind, name, field] = Override(kind, name, field, value, "ada", "why", self.world.now, ends)
        self.changed((kind, name))

    def changed(self, spec: Id) -> None:
        use_overrides(self.world.snapshot, self.overrides.values(), self.world.now)
        self.admitted[spec].clear()  # the bound holds for windows in which the rate stays the same

    def another_leads(self) -> None:
        """A new leader reads what the last one recorded: runs, attempts with what they hold, and the levels of token buckets."""
        old, world = self.world.snapshot, self.world
        world.recorded()
        levels = {
            (limit.id): (limit.bucket.tokens, limit.bucket.at) for limit in old.limits if limit.bucket is not None
        }
        fresh = Snapshot(old.catalog, PLATFORM)
        fresh.accepted, fresh.owners, fresh.workers = old.accepted, old.owners, old.workers
        fresh.dispatch_seq, fresh.sequences, fresh.step_times = old.dispatch_seq, old.sequences, old.step_times
        use_overrides(fresh, self.overrides.values(), world.now)
        fresh.limits.restore_levels(levels)
        held = {attempt.id: attempt.step.holding for attempt in live(old)}
        for run in old.runs.values():
            for step in run.steps:
                step.ticket = step.holding = None
            fresh.add_run(run, world.now)
        again: dict[int, Holding] = {}
        for attempt in old.attempts.values():
            fresh.attempts[attempt.id] = attempt
            if attempt.id not in held:
                continue
            for lock in attempt.step.locks():
                fresh.locks[lock] = attempt.id
            former = held[attempt.id]
            if former.batch in again:
                again[former.batch].attempts += 1
            else:
                ids = [(limit.id, slots) for limit, slots in former.needs]
                needs = tuple((fresh.limits.get(id), slots) for id, slots in ids)
                sharers = (
                    attempt.step.queue,
                    attempt.step.location,
                    *(sharer_of(id, attempt.step) for id, _ in ids[2:]),
                )
                again[former.batch] = Holding(needs, sharers, former.batch)
            attempt.step.holding = again[former.batch]
        fresh.effects = Effects()
        world.snapshot = fresh
        world.fold.snapshot = world.fold.outcomes.snapshot = fresh
        world.admission = Admission(LEASE, self.max_batch)


ACTIONS = st.sampled_from(
    ["launch", "pass", "pass", "pass", "finish", "finish", "finish", "override", "override", "clear", "hurry", "lead", "quick",
     "cancel", "user_error", "runner_lost", "interrupted"]
)  # fmt: skip


@settings(max_examples=100)
@given(st.sampled_from([1, 4]), st.lists(st.tuples(ACTIONS, st.integers(0, 1000), st.floats(0.0, 3.0)), max_size=60))
def test_limits_hold_and_nothing_admissible_is_left_whatever_happens(
    max_batch: int, history: list[tuple[str, int, float]]
) -> None:
    trial = Trial(max_batch)
    trial.act("launch", 1, 0)
    trial.cycle()
    for action, choice, number in history:
        trial.act(action, choice, number)
        trial.cycle()
    trial.overrides.clear()
    for spec in DECLARED:
        trial.changed(spec)
    for _ in range(600):
        if not trial.world.snapshot.runs:
            break
        trial.world.after(seconds=1)
        trial.cycle()
        for _ in range(len(live(trial.world.snapshot))):
            trial.end("finish", 0)
    assert trial.world.snapshot.runs == {}
    assert all(step.state in ENDED for run in trial.runs for step in run.steps)
    assert {limit.id: limit.used for limit in trial.world.snapshot.limits if limit.used} == {}


def test_a_trial_does_make_messages_of_several_orders() -> None:
    trial = Trial(4)
    trial.act("quick", 0, 0)
    trial.act("launch", 4, 0)
    trial.cycle()
    sizes = Counter(attempt.batch for attempt in live(trial.world.snapshot))
    assert max(sizes.values()) > 1
