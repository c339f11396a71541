"""Histories: however events are cut into entries, mixed, repeated and lost on the way, the end is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.scheduling import (
    Stream,
    World,
    asset,
    chunks,
    failure,
    manifest,
    multi,
    picture,
    published,
    success,
    token_of,
)

from hedgerow.manifest.model import Retry
from hedgerow.protocol import events as ev
from hedgerow_scheduler.ingest.fold import Entry
from hedgerow_scheduler.lifecycle.changes import Changes
from hedgerow_scheduler.lifecycle.model import Attempt

BEFORE = manifest(
    "sales",
    *(asset(name, retry=Retry(1, jitter=False)) for name in "abcd"),
    *(asset(f"{name}{name}", name) for name in "abcd"),
    multi(("x", "y")),
)
AFTER = manifest("sales", *(asset(name) for name in "abcdx"), asset("new", "a"))

ENDS: dict[str, Callable[[Attempt, str], list[ev.Event]]] = {
    "succeeds": success,
    "fails": lambda attempt, worker: [failure(attempt, "user_error", worker)],
    "fails for good": lambda attempt, worker: [failure(attempt, "bad_order", worker)],
    "is cancelled": lambda attempt, worker: [failure(attempt, "cancelled", worker)],
    "dies": lambda attempt, worker: [failure(attempt, "runner_lost", worker)],
    "is skipped": lambda attempt, worker: [ev.AttemptSkipped(attempt.id, "why", token_of(attempt, worker))],
    "is blocked": lambda attempt, worker: [
        ev.AssetMaterialized(attempt.id, attempt.step.assets[0], token_of(attempt, worker)),
        ev.CheckEvaluated(attempt.id, attempt.step.assets[0], "c", False, token_of(attempt, worker), blocking=True),
        failure(attempt, "check_failed", worker),
    ],
    "goes on": lambda attempt, worker: [
        ev.AssetMaterialized(attempt.id, attempt.step.assets[-1], token_of(attempt, worker))
    ],
    "never starts": lambda attempt, worker: [],
    "ends unstarted": success,
}


def new_world() -> tuple[World, list[Attempt]]:
    world = World(BEFORE)
    world.beat("sales", slots=20)
    world.start("*")
    attempts = world.cycle()
    assert len(attempts) == 5
    world.recorded()
    return world, attempts


def outboxes(attempts: list[Attempt], ends: list[str], deploys: bool) -> list[Stream]:
    """What two workers have to say: the first of attempts 0, 2, 4, the second of 1, 3, and of a new manifest."""
    first, second = Stream("sales", "w1"), Stream("sales", "w2")
    for number, (attempt, end) in enumerate(zip(attempts, ends, strict=True)):
        stream = (first, second)[number % 2]
        if end not in ("never starts", "ends unstarted"):
            stream.add(ev.AttemptStarted(attempt.id, token_of(attempt, stream.worker)))
        stream.add(*ENDS[end](attempt, stream.worker))
        if number == 2 and deploys:
            second.add(ev.ManifestPublished("sales", "sales", published(AFTER).hash, 1), *chunks(AFTER, 300))
    first.add(ev.WorkerStopped())
    return [first, second]


def summary(world: World, changes: Changes) -> dict[str, Any]:
    """Everything that is left behind, in memory and to be recorded."""
    return picture(world.snapshot) | {
        "steps": {key: (step.state, step.failures, step.deaths) for key, step in changes.steps.items()},
        "ended": {key: (attempt.state, attempt.worker) for key, attempt in changes.attempts.items()},
        "outputs": {key: output.state for key, output in changes.outputs.items()},
        "checks": sorted((record.verdict.attempt_id, record.verdict.passed) for record in changes.checks),
        "events": sorted((event.worker, event.seq, event.body) for event in changes.events),
        "sequences recorded": dict(changes.sequences),
        "manifests": [new.hash for new in changes.manifests],
        "gone": set(changes.gone_workers),
    }


@given(st.lists(st.sampled_from(sorted(ENDS)), min_size=5, max_size=5), st.booleans(), st.data())
def test_however_events_arrive_the_end_is_the_same(ends: list[str], deploys: bool, data: Any) -> None:
    plain, attempts = new_world()
    for stream in outboxes(attempts, ends, deploys):
        for sent in stream.sent:
            plain.receive("sales", sent)
    expected = summary(plain, plain.recorded()[0])

    world, attempts = new_world()
    streams = outboxes(attempts, ends, deploys)
    ways = st.tuples(st.integers(0, 1), st.integers(0, 12), st.integers(0, 6), st.booleans())
    for which, start, length, garbage in data.draw(st.lists(ways, max_size=25)):
        # A worker sends some of its outbox, from anywhere on: what it skips is what was lost on the way.
        world.receive("sales", *streams[which].sent[start : start + length])
        if garbage:
            world.fold.entry(Entry("sales", "0-0", b"[7, {}]"), world.now)
    for which in data.draw(st.permutations([0, 1])):
        acked = world.snapshot.sequences.get(("sales", streams[which].worker), 0)
        world.receive("sales", *streams[which].sent[acked:])
    assert summary(world, world.recorded()[0]) == expected
