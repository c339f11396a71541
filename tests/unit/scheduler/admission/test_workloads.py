"""Workloads: whatever steps and workers do, no limit is exceeded, and with workers that work again every step ends."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from support.scheduling import LEASE, World, asset, live, manifest, multi, token_of

from hedgerow.errors import Problem
from hedgerow.manifest.model import Queue, Retry
from hedgerow.partitions.model import StaticPartitions
from hedgerow.protocol import events as ev
from hedgerow_scheduler.lifecycle.model import Attempt, Run
from hedgerow_scheduler.lifecycle.states import ENDED, AttemptState
from hedgerow_scheduler.recovery.claims import claim_answered, claim_unanswered
from hedgerow_scheduler.recovery.leases import Contact, reap

KEYS = StaticPartitions(("k1", "k2", "k3", "k4"))
RETRY = Retry(2, delay_ms=1000, jitter=False)
LIMITS = {("sales", "sales", "default"): 3, ("sales", "sales", "heavy"): 1, ("ml", "ml", "default"): 2}
SALES = manifest(
    "sales",
    asset("a", partitions=KEYS, retry=RETRY),
    asset("b", "a", partitions=KEYS, queue="heavy"),
    multi(("c", "d"), "a", subset=True, retry=RETRY),
    queues=(Queue("default", concurrency=3), Queue("heavy", concurrency=1)),
)
ML = manifest("ml", asset("m", "b", "c"), asset("n", "m"), queues=(Queue("default", concurrency=2),))
WORKERS = {("sales", "w1"): ("default", "heavy"), ("sales", "w2"): ("default",), ("ml", "w3"): ("default",)}


class Platform:
    """A world with workers that take orders, hold claims, and may die, hang or refuse."""

    def __init__(self) -> None:
        self.world = World(SALES, ML)
        self.contacts = {team: Contact(self.world.now, self.world.now) for team in ("sales", "ml")}
        self.claims: dict[str, str] = {}  # attempt → token, or "revoked"
        self.holding: dict[tuple[str, str], list[Attempt]] = {worker: [] for worker in WORKERS}
        self.published: list[Attempt] = []
        self.runs: list[Run] = []

    def tick(self, seconds: float) -> None:
        """Heartbeats, a cycle of the scheduler, and what it asked of the broker."""
        world = self.world
        world.after(seconds=seconds)
        for (team, worker), queues in WORKERS.items():
            held = tuple(ev.Held(attempt.id, token_of(attempt, worker)) for attempt in self.holding[team, worker])
            world.beat(team, worker, slots=4, queues=queues, holds=held)
        for contact in self.contacts.values():
            contact.read_to_end(world.now)
        reap(world.snapshot, self.contacts, world.now, LEASE, LEASE * 3)
        self.published += world.cycle()
        _, effects = world.recorded()
        for attempt in effects.revoke:
            holder = self.claims.setdefault(attempt.id, "revoked")
            claim_answered(world.snapshot, attempt.id, None if holder == "revoked" else holder, world.now, LEASE)
        for attempt in effects.cancel:
            for (team, worker), attempts in self.holding.items():
                if attempt in attempts:
                    attempts.remove(attempt)
                    world.send(
                        team, ev.AttemptFailed(attempt.id, "cancelled", ERROR, token_of(attempt, worker)), worker=worker
                    )
        self.check()

    def check(self) -> None:
        """No limit is exceeded, and nobody but one makes an asset's partition."""
        out = live(self.world.snapshot)
        counts = Counter((a.step.team, a.step.location, a.step.queue) for a in out)
        assert all(count <= LIMITS[queue] for queue, count in counts.items()), counts
        locks = Counter(lock for attempt in out for lock in attempt.step.locks())
        assert all(count == 1 for count in locks.values()), locks
        assert dict(+self.world.snapshot.held) == dict(counts)

    def claim(self, attempt: Attempt, worker: str) -> bool:
        return self.claims.setdefault(attempt.id, token_of(attempt, worker)) == token_of(attempt, worker)

    def start(self, choice: int) -> None:
        """A worker of the right team takes an order, if its claim can be had."""
        if not self.published:
            return
        attempt = self.published.pop(choice % len(self.published))
        mine = [
            name
            for (team, name), queues in WORKERS.items()
            if team == attempt.step.team and attempt.step.queue in queues
        ]
        worker = mine[choice % len(mine)]
        if self.claim(attempt, worker):
            self.holding[attempt.step.team, worker].append(attempt)
            self.world.begin(attempt, worker=worker)

    def end(self, choice: int, how: str) -> None:
        """An attempt that some worker holds ends."""
        held = [(team, worker, attempt) for (team, worker), some in self.holding.items() for attempt in some]
        if not held:
            return
        team, worker, attempt = held[choice % len(held)]
        self.holding[team, worker].remove(attempt)
        if how == "finish":
            self.world.finish(attempt, worker=worker)
        elif how == "skip":
            self.world.send(team, ev.AttemptSkipped(attempt.id, "", token_of(attempt, worker)), worker=worker)
        else:
            self.world.fail(attempt, how, worker)  # type: ignore[arg-type]

    def act(self, action: str, choice: int) -> None:
        """One of the things that happen."""
        world = self.world
        if action == "launch":
            selection = ("*", "+m", "a b", "c", "d n")[choice % 5]
            self.runs.append(world.start(selection, all_partitions=True))
        elif action == "start":
            self.start(choice)
        elif action == "lose order" and self.published:
            self.published.pop(choice % len(self.published))
        elif action == "refuse" and self.published:
            attempt = self.published.pop(choice % len(self.published))
            world.fail(attempt, "refused", "w1" if attempt.step.team == "sales" else "w3")
        elif action == "hang":
            self.holding[sorted(self.holding)[choice % 3]].clear()
        elif action == "cancel" and self.runs:
            run = self.runs[choice % len(self.runs)]
            for step in run.steps:
                world.snapshot.cancel_step(step, world.now, "on request")
        elif action == "retry" and self.runs:
            run = self.runs[choice % len(self.runs)]
            world.snapshot.retry_steps(run, set(range(len(run.steps))), world.now)
        elif action == "no answer":
            for attempt in live(world.snapshot):
                claim_unanswered(world.snapshot, attempt.id)
        elif action in ("pass", "pass long"):
            self.tick(1 if action == "pass" else 25)
        elif action in ENDS:
            self.end(choice, action)
        self.check()


ERROR = Problem("HR-X109", "Cancelled.", "")
ENDS = ("finish", "skip", "user_error", "runner_lost", "interrupted", "timed_out", "bad_order")
ACTIONS = st.sampled_from(
    ["launch", "pass", "pass", "start", "start", "finish", "finish", "pass long", "lose order", "refuse", "hang", "cancel",
     "retry", "no answer", *ENDS]
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(st.tuples(ACTIONS, st.integers(0, 1000)), max_size=60))
def test_no_limit_is_exceeded_and_every_step_ends(history: list[tuple[str, int]]) -> None:
    platform = Platform()
    platform.runs.append(platform.world.start("*", all_partitions=True))
    platform.tick(1)
    for action, choice in history:
        platform.act(action, choice)
    for _ in range(400):
        if not platform.world.snapshot.runs:
            break
        platform.tick(5)
        for _ in range(len(platform.published)):
            platform.start(0)
        for _ in range(sum(map(len, platform.holding.values()))):
            platform.end(0, "finish")
        platform.check()
    assert platform.world.snapshot.runs == {}
    assert all(step.state in ENDED for run in platform.runs for step in run.steps)
    assert platform.world.snapshot.locks == {}
    assert not [a for a in platform.world.snapshot.attempts.values() if a.state is not AttemptState.LOST]
