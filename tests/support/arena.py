"""An arena: the leader's loop, stepped by a test over a moved clock, with the workers of a well-behaved team and of a stranger."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from itertools import count

import msgspec

from hedgerow.errors import Problem
from hedgerow.protocol import control
from hedgerow.protocol import events as ev
from hedgerow.protocol.envelope import encode_batch
from hedgerow.protocol.orders import OrderMessage, StepOrder
from hedgerow.protocol.references import Reference
from hedgerow.settings.platform import PlatformSettings
from hedgerow_scheduler.dispatch.orders import Publication
from hedgerow_scheduler.ingest.fold import Entry
from hedgerow_scheduler.ingest.inbox import Batch, Inbox
from hedgerow_scheduler.ingest.reader import Follow
from hedgerow_scheduler.lifecycle.changes import Effects
from hedgerow_scheduler.metadata.store import Store
from hedgerow_scheduler.observe.metrics import SchedulerMetrics
from hedgerow_scheduler.service.brokers import Brokers
from hedgerow_scheduler.service.care import Care
from hedgerow_scheduler.service.loop import Loop
from support.scheduling import Stream, envelope, uuid

CHUNK = 100_000
METRICS = SchedulerMetrics()


class Sent(Brokers):
    """Brokers that keep what they were handed, for the workers of the arena to take."""

    def __init__(self, settings: PlatformSettings, inbox: Inbox) -> None:
        super().__init__(settings, inbox)
        self.orders: deque[StepOrder] = deque()
        self.questions: deque[tuple[str, control.Evaluate]] = deque()

    def follow(self, order: Follow) -> None:
        """Nothing is read by itself."""

    def trim(self, team: str, before: str) -> None:
        """Nothing is kept."""

    def carry_out(self, effects: Effects, messages: list[Publication]) -> None:
        """Orders, and claims to take."""
        for message in messages:
            ((body,), _, _) = msgspec.json.decode(message.body)
            self.orders.extend(msgspec.json.decode(body, type=OrderMessage).orders)

    def evaluate(self, messages: list[tuple[str, control.Evaluate]]) -> None:
        """Questions to a team's own code."""
        self.questions.extend(messages)


class Unheld(Inbox):
    """An inbox that lets nobody pay with time."""

    def hold(self, team: str, wait_s: float) -> None:
        """Nothing waits."""


class Played:
    """A team's worker: what it serves, and its outbox."""

    def __init__(self, team: str, location: str) -> None:
        self.team, self.location, self.hash = team, location, ""
        self.outbox = Stream(team, f"{team}-1")
        self.numbers = count(1)


class Arena:
    """One term. `store` is what the loop records in; the clock is the store's, moved by `moved`."""

    def __init__(self, store: Store, settings: PlatformSettings, care: Care | None = None, generation: int = 1) -> None:
        self.inbox, self.care, self.generation = Unheld(), care or Care(), generation
        self.sent = Sent(settings, self.inbox)
        numbers = count(generation * 1_000_000)
        self.loop = Loop(
            store,
            settings,
            self.inbox,
            self.sent,
            METRICS,
            generation,
            self.care,
            lambda: uuid(next(numbers)),
            lambda: 0.5,
        )
        self._entries = count(generation * 1_000_000)

    def receive(self, team: str, *envelopes: bytes) -> None:
        """An entry of a team's stream."""
        entry = Entry(team, f"{next(self._entries)}-0", encode_batch(list(envelopes)))
        self.inbox.put(Batch(team, (entry,), True, self.generation, 0.0, None))

    def send(self, worker: Played, *bodies: ev.Event) -> None:
        """A worker reports."""
        for body in bodies:
            self.receive(worker.team, *worker.outbox.add(body))

    def beat(self, worker: Played, slots: int = 50) -> None:
        """A worker lives."""
        body = ev.WorkerHeartbeat(worker.location, worker.hash, ("default", "heavy"), slots)
        self.receive(worker.team, envelope(body, f"{worker.team}-1", 0))

    def publish(self, worker: Played, body: bytes) -> str:
        """A worker serves a manifest of this JSON; its hash."""
        text = body.decode()
        worker.hash = hashlib.sha256(body).hexdigest()
        parts = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
        self.send(
            worker, *(ev.ManifestChunk(worker.hash, number, len(parts), part) for number, part in enumerate(parts))
        )
        return worker.hash

    def step(self, times: int = 1) -> None:
        """Cycles of the loop."""
        for _ in range(times):
            self.loop.step(woken=True)

    def work(self, *workers: Played, fails: Callable[[int], bool] = lambda _: False) -> int:
        """The workers do what they are told to, and answer what they are asked; how much that was."""
        by_team, done = {worker.team: worker for worker in workers}, 0
        while self.sent.orders:
            order = self.sent.orders.popleft()
            if (worker := by_team.get(order.team)) is not None:
                done += 1
                self._execute(worker, order, fails(next(worker.numbers)))
        while self.sent.questions:
            team, question = self.sent.questions.popleft()
            if (worker := by_team.get(team)) is not None:
                done += 1
                self._answer(worker, question, next(worker.numbers))
        return done

    def _execute(self, worker: Played, order: StepOrder, fails: bool) -> None:
        id, token = order.attempt_id, f"t-{order.attempt_id}"
        told: list[ev.Event] = [ev.AttemptStarted(id, token)]
        if fails:
            told.append(
                ev.AttemptFailed(id, "user_error", Problem("HR-X001", "It broke.", "Mend it."), token, True, 1.0)
            )
        else:
            told += [
                ev.AssetMaterialized(id, key, token, order.partition, Reference(f"file:///{id}", "json"), "v1", id)
                for key in order.assets
            ]
            told += [ev.CheckEvaluated(id, order.assets[0], "rows", next(worker.numbers) % 3 > 0, token)]
            told.append(ev.AttemptSucceeded(id, token, 1.0))
        self.send(worker, *told)

    def _answer(self, worker: Played, asked: control.Evaluate, number: int) -> None:
        answers = {
            "sensor": {
                "cursor": f"c{number}",
                "runs": [{"dedupe_key": f"k{number}"}],
                "keys": [{"name": "customers", "added": [f"c{number}"]}],
            },
            "condition": {"holds": number % 2 == 0},
            "reaction": None,
        }
        if asked.name == "probe":
            answers["sensor"] = {"cursor": f"c{number}"}
        fine = number % 4 > 0
        self.send(
            worker,
            ev.Evaluated(
                asked.evaluation_id, asked.kind, asked.name, "ok" if fine else "user_error",
                msgspec.Raw(msgspec.json.encode(answers[asked.kind] if fine else None)),
                None if fine else Problem("HR-X103", "It broke.", "Mend it."),
            ),
        )  # fmt: skip
