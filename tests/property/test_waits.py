"""Waiting is accounted for without a gap: the seconds by cause are all those in which a step was neither running nor over."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scheduling import LEASE, World, asset, live, manifest
from support.succession import Ledger

from hedgerow.manifest.model import Pool, PoolUse, Queue, Retry
from hedgerow.partitions.model import StaticPartitions
from hedgerow_scheduler.lifecycle.model import Run, Step
from hedgerow_scheduler.lifecycle.states import AttemptState, StepState
from hedgerow_scheduler.planning.limiting import prioritise, use_overrides
from hedgerow_scheduler.planning.rules import Override
from hedgerow_scheduler.recovery.claims import claim_answered
from hedgerow_scheduler.recovery.leases import Contact, reap

SOME = StaticPartitions(("p1", "p2", "p3"))
RETRY = Retry(2, delay_ms=3000, jitter=False)
SALES = manifest(
    "sales",
    asset("a", partitions=SOME, retry=RETRY, pools=(PoolUse("own"),)),
    asset("b", "a", partitions=SOME, queue="mail"),
    asset("c", "b", retry=RETRY),
    asset("u", "nobody/x"),
    queues=(Queue("default", concurrency=3), Queue("mail", rate_per_s=0.5, burst=1.0)),
    pools=(Pool("own", 2),),
)
WAITING = frozenset({StepState.WAITING, StepState.READY, StepState.RETRY_WAIT, StepState.DISPATCHED})
OVER = frozenset({StepState.FAILED, StepState.CANCELLED, StepState.POISONED, StepState.UPSTREAM_FAILED})


class Watched:
    """A world in which every second of every step is counted by its state."""

    def __init__(self) -> None:
        self.world, self.ledger = World(SALES), Ledger()
        self.contact = Contact(self.world.now, self.world.now)
        self.runs: list[Run] = []
        self.waited: defaultdict[Step, float] = defaultdict(float)
        self.started: set[str] = set()
        self.overrides: dict[tuple[str, str, str], Override] = {}
        self.slots = 4

    def launch(self, selection: str) -> None:
        """A run that was asked for a while ago."""
        created = self.world.now
        self.after(0.25)
        run = self.world.start(selection, all_partitions=True)
        run.created_at = created
        self.runs.append(run)
        for step in run.steps:
            self.waited[step] += 0.25

    def after(self, seconds: float) -> None:
        """Time passes, and is counted."""
        before = self.world.now
        self.world.after(seconds=seconds)
        passed = (self.world.now - before).total_seconds()
        for step in (step for run in self.runs for step in run.steps if step.state in WAITING):
            self.waited[step] += passed

    def cycle(self) -> None:
        world = self.world
        if self.slots:
            world.beat("sales", slots=self.slots, queues=("default", "mail"))
        self.contact.read_to_end(world.now)
        reap(world.snapshot, {"sales": self.contact}, world.now, LEASE, LEASE * 3)
        world.cycle()
        for attempt in self.ledger.record(world).revoke:
            claim_answered(world.snapshot, attempt.id, None, world.now, LEASE)
        self.check()

    def check(self) -> None:
        """Those that have just started have waited for as long as they did."""
        for step in (step for run in self.runs for step in run.steps):
            if step.state is StepState.RUNNING and step.attempt_id not in self.started:
                assert step.attempt_id is not None
                self.started.add(step.attempt_id)
                assert sum((step.waits or {}).values()) == pytest.approx(self.waited[step], abs=1e-6), step.waits
        for step in self.world.snapshot.backlog:
            assert step.ticket is not None

    def act(self, action: str, choice: int, number: float) -> None:
        world = self.world
        if action == "launch":
            self.launch(("a b", "*", "c", "a")[choice % 4])
        elif action == "pass":
            self.after(number)
        elif action == "workers":
            self.slots = choice % 5
        elif action == "begin":
            world.begin(*[attempt for attempt in live(world.snapshot)[: choice % 4] if is_unstarted(attempt)])
        elif action == "end":
            running = [attempt for attempt in live(world.snapshot) if attempt.state is AttemptState.RUNNING]
            for attempt in running[: 1 + choice % 3]:
                how: Any = ("finish", "user_error", "runner_lost", "interrupted", "finish")[choice % 5]
                world.finish(attempt) if how == "finish" else world.fail(attempt, how)
        elif action == "set":
            field, value = (("concurrency", choice % 3 + 1), ("paused", choice % 2))[choice // 2 % 2]
            kind, name = (("queue", "sales/default"), ("pool", "sales/own"))[choice // 4 % 2]
            self.overrides[kind, name, field] = Override(kind, name, field, value, "ada", "why", world.now)
            use_overrides(world.snapshot, self.overrides.values(), world.now)
        elif action == "lead":
            self.ledger.record(world)
            self.ledger.another_leads(world, self.overrides.values())
        elif self.runs:
            self.ask(action, self.runs[choice % len(self.runs)], choice)
        self.check()

    def ask(self, action: str, run: Run, choice: int) -> None:
        """What people ask of a run."""
        snapshot, now = self.world.snapshot, self.world.now
        if action == "hurry" and run.id in snapshot.runs:
            prioritise(snapshot, run, choice % 5, now)
        elif action == "cancel" and run.id in snapshot.runs:
            run.cancel_requested = True
            for step in run.steps:
                snapshot.cancel_step(step, now, "on request")
        elif action == "retry":
            snapshot.retry_steps(run, {step.number for step in run.steps if step.state in OVER}, now)


def is_unstarted(attempt: Any) -> bool:
    return attempt.state is AttemptState.DISPATCHED


ACTIONS = st.sampled_from(
    [
        "launch",
        "pass",
        "pass",
        "pass",
        "begin",
        "begin",
        "end",
        "end",
        "set",
        "lead",
        "workers",
        "hurry",
        "cancel",
        "retry",
    ]
)


@settings(max_examples=100)
@given(st.lists(st.tuples(ACTIONS, st.integers(0, 1000), st.floats(0.0, 12.0)), max_size=50))
def test_every_second_of_waiting_belongs_to_one_cause(history: list[tuple[str, int, float]]) -> None:
    watched = Watched()
    watched.launch("*")
    watched.cycle()
    for action, choice, number in history:
        watched.act(action, choice, number)
        watched.cycle()
    watched.slots = 9
    for _ in range(12):
        watched.after(4)
        watched.cycle()
        watched.world.begin(*filter(is_unstarted, live(watched.world.snapshot)))
        watched.check()
        watched.world.finish(*live(watched.world.snapshot))


def test_a_history_does_know_most_causes() -> None:
    watched, causes = Watched(), Counter[str]()
    watched.launch("*")
    for _ in range(8):
        watched.after(3)
        watched.cycle()
        watched.after(1)
        watched.world.begin(*filter(is_unstarted, live(watched.world.snapshot)))
        watched.check()
        for attempt in live(watched.world.snapshot)[:1]:
            watched.world.fail(attempt)
        watched.world.finish(*live(watched.world.snapshot))
    for run in watched.runs:
        for step in run.steps:
            causes.update(step.waits or {})
    assert {"planning", "upstream", "pool_slots", "queue_rate", "retry_wait", "dispatch"} <= set(causes)
