"""A simulated worker alone with its broker: whatever goes wrong, its events come without gaps, and all are acknowledged in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest
from support.scheduling import asset, manifest

from hedgerow.protocol import control
from hedgerow.protocol.orders import StepOrder
from simulation.broker import Fault, SimBroker
from simulation.clock import VirtualClock, virtual_time
from simulation.desk import DEPLOYMENT, TEAM, Desk
from simulation.disk import SimDisk
from simulation.worker import Code, Crashed, Execution, Fate, SimWorker

CODE = Code.of(manifest("sales", asset("raw")))


class Place:
    """A broker, a machine with workers, and the other side's desk."""

    def __init__(self, seed: int) -> None:
        self.rng, self.clock = Random(seed), VirtualClock()
        self.broker = SimBroker(self.clock, self.rng)
        self.disk = SimDisk(self.rng)
        self.desk = Desk(self.broker, CODE)
        self.log: list[Execution] = []
        self.workers: list[SimWorker] = []
        self.fate: Callable[[StepOrder], Fate] = lambda _: Fate(self.rng.choice((0.1, 0.5, 2.0)))
        self.boundary: Callable[[str], None] = lambda _: None

    def worker(self, slots: int = 2) -> SimWorker:
        """One more worker."""
        worker = SimWorker(
            DEPLOYMENT, TEAM, TEAM, ("default",), slots, CODE, self.broker, self.clock, self.rng, self.disk,
            lambda order: self.fate(order), self.log, boundary=lambda place: self.boundary(place),
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def live(self, seconds: float, *, acknowledge: bool = True) -> None:
        """Time passes; the desk reads whenever it can."""
        until = self.clock.seconds + seconds
        while self.clock.seconds < until:
            self.clock.advance(0.25)
            for worker in self.workers:
                worker.turn()
            if self.broker.fault is None:
                self.desk.read(acknowledge=acknowledge)

    def send(self, count: int, **changes: object) -> list[str]:
        """Orders, one per message; their attempts."""
        attempts = [f"a{len(self.log)}-{number}" for number in range(count)]
        for attempt in attempts:
            self.desk.send(self.desk.order(attempt, **changes))
        return attempts

    def settle(self) -> None:
        """All is well again and everything comes to its end."""
        self.broker.heal()
        self.disk.full = self.disk.broken = False
        for worker in self.workers:
            worker.link.heal()
            worker.thaw()
        self.live(60)
        assert [worker for worker in self.workers if worker.alive and worker.attempts.running()] == []
        for worker, left in self.disk.left().items():
            assert self.desk.acked.get(worker, 0) >= left


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place(1)
    with virtual_time(place.clock, Random(2)):
        yield place


def test_orders_are_executed_and_their_events_come_in_order(place: Place) -> None:
    place.worker()
    attempts = place.send(5)
    place.live(20)

    assert place.desk.ends() == {attempt: ["attempt_succeeded"] for attempt in attempts}
    assert [each.attempt_id for each in place.log if each.ended is not None] == attempts
    for attempt in attempts:
        kinds = [envelope.kind for envelope, body in place.desk.events if getattr(body, "attempt_id", "") == attempt]
        assert kinds == ["attempt_started", "asset_materialized", "attempt_succeeded"]
    assert place.desk.events[0][0].kind == "manifest_published"
    assert list(place.disk.left().values()) == [16]


def test_no_more_run_at_once_than_there_are_slots(place: Place) -> None:
    place.fate = lambda _: Fate(1.0)
    place.worker(slots=2)
    place.send(6)
    place.live(20)
    times = sorted({each.began for each in place.log})
    for at in times:
        assert sum(each.began <= at < (each.ended or 0.0) for each in place.log) <= 2
    assert len(place.log) == 6


@pytest.mark.parametrize(
    ("outcome", "told"), [("user_error", "user_error"), ("runner_lost", "runner_lost"), ("skipped", "attempt_skipped")]
)
def test_every_outcome_is_told(place: Place, outcome: str, told: str) -> None:
    place.fate = lambda _: Fate(0.5, outcome)  # type: ignore[arg-type]
    place.worker()
    (attempt,) = place.send(1)
    place.live(5)
    assert place.desk.ends() == {attempt: [told]}
    assert place.log[0].outcome == outcome


def test_what_is_late_or_for_others_is_refused_and_what_is_claimed_is_left_alone(place: Place) -> None:
    place.worker()
    place.desk.send(
        place.desk.order("late", start_before_ms=1),
        place.desk.order("other", location="elsewhere", queue="default"),
        place.desk.order("mine"),
        place.desk.order("mine"),
    )
    place.live(1)
    # An order for another location lies on another queue, but here they share a message of the first.
    assert place.desk.ends()["late"] == ["refused"]
    assert place.desk.ends()["other"] == ["refused"]
    place.live(20)
    assert place.desk.ends()["mine"] == ["attempt_succeeded"]
    assert [each.attempt_id for each in place.log] == ["mine"]


def test_a_cancelled_attempt_ends_before_its_time(place: Place) -> None:
    place.fate = lambda _: Fate(1000.0)
    place.worker()
    (attempt,) = place.send(1)
    place.live(5)
    place.desk.tell(control.CancelAttempt(attempt, "asked"))
    place.live(15)
    assert place.desk.ends() == {attempt: ["cancelled"]}
    assert place.log[0].outcome == "cancelled"


def test_a_step_ends_at_its_timeout(place: Place) -> None:
    place.fate = lambda _: Fate(1000.0)
    place.worker()
    (attempt,) = place.send(1, timeout_ms=3000)
    place.live(20)
    assert place.desk.ends() == {attempt: ["timed_out"]}


def test_without_contact_only_what_must_stop_is_stopped_before_its_lease_ends(place: Place) -> None:
    place.fate = lambda _: Fate(40.0)
    worker = place.worker()
    (stop,) = place.send(1, on_lost_contact="stop")
    place.live(2)
    (finish,) = [place.desk.send(place.desk.order("finish")) or "finish"]
    place.live(2)
    cut_at = place.clock.seconds
    worker.link.fault = "away"
    place.live(30)
    (stopped,) = [each for each in place.log if each.attempt_id == stop]
    assert stopped.outcome == "interrupted"
    assert stopped.ended is not None
    assert stopped.ended - cut_at < worker.timings.lease_s
    worker.link.heal()
    place.live(30)
    assert place.desk.ends() == {stop: ["interrupted"], finish: ["attempt_succeeded"]}


def test_a_crashed_workers_events_are_delivered_by_the_next(place: Place) -> None:
    first = place.worker()
    place.fate = lambda _: Fate(0.5)
    place.send(2)
    place.live(0.5, acknowledge=False)
    place.broker.fault = "away"
    place.live(2)
    first.crash()
    assert place.disk.left() == {first.id: 7}
    place.broker.heal()
    place.worker()
    place.live(40)
    assert place.desk.acked[first.id] == 7
    assert first.id not in place.disk.left()
    assert not first.alive


def test_a_crash_ends_what_runs_and_no_one_tells_of_it(place: Place) -> None:
    place.fate = lambda _: Fate(10.0)
    worker = place.worker()
    place.send(1)
    place.live(3)
    worker.crash()
    place.live(20)
    assert [(each.outcome, each.ended) for each in place.log] == [("crashed", 3.0)]
    assert place.desk.ends() == {}


def test_a_frozen_worker_does_nothing_while_its_runners_go_on(place: Place) -> None:
    place.fate = lambda _: Fate(5.0)
    worker = place.worker()
    (attempt,) = place.send(1)
    place.live(1)
    worker.freeze()
    beats = len(place.desk.heartbeats)
    place.live(60)
    assert len(place.desk.heartbeats) == beats
    assert place.desk.ends() == {}
    worker.thaw()
    place.live(2)
    assert place.desk.ends() == {attempt: ["attempt_succeeded"]}
    assert place.log[0].frozen
    assert place.log[0].ended == place.log[0].began + 5.0


def test_a_draining_worker_finishes_what_runs_takes_nothing_more_and_is_gone(place: Place) -> None:
    place.fate = lambda _: Fate(10.0)
    worker = place.worker(slots=1)
    running, waiting = place.send(2)
    place.live(1)
    worker.drain()
    place.live(20)
    assert place.desk.ends() == {running: ["attempt_succeeded"]}
    assert not worker.alive
    assert place.disk.left() == {}
    assert [envelope.kind for envelope, _ in place.desk.events][-1] == "worker_stopped"
    place.worker()
    place.live(20)
    assert waiting in place.desk.ends()


def test_a_drain_that_takes_too_long_interrupts_what_runs(place: Place) -> None:
    place.fate = lambda _: Fate(1000.0)
    worker = place.worker()
    (attempt,) = place.send(1)
    place.live(1)
    place.desk.tell(control.DrainWorker(worker.id, "asked"))
    place.live(70)
    assert place.desk.ends() == {attempt: ["interrupted"]}
    assert not worker.alive


def test_a_full_disk_pauses_the_worker_and_what_it_holds_is_told_afterwards(place: Place) -> None:
    place.fate = lambda _: Fate(1.0)
    place.worker()
    (attempt,) = place.send(1)
    place.live(0.5)
    place.disk.full = True
    place.live(5)
    assert place.desk.heartbeats[-1][1].slots == 0
    (waiting,) = [place.desk.send(place.desk.order("waiting")) or "waiting"]
    place.live(3)
    assert place.desk.ends() == {}
    place.disk.full = False
    place.live(5)
    assert place.desk.ends() == {attempt: ["attempt_succeeded"], waiting: ["attempt_succeeded"]}


def test_while_the_disk_is_full_what_it_holds_is_still_sent_and_acknowledged(place: Place) -> None:
    place.fate = lambda _: Fate(0.5)
    worker = place.worker()
    place.live(1)
    worker.link.fault = "away"
    place.send(1)
    place.live(2)
    worker.link.heal()
    place.live(0.25)
    worker.link.fault = "away"
    place.live(1)
    place.disk.full = True
    place.live(2)
    worker.link.heal()
    place.live(5)
    assert place.desk.acked[worker.id] == place.disk.left()[worker.id]


FAULTS: tuple[Fault, ...] = ("away", "black_hole", "flaky", "full", "read_only", "no_perm")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", range(5))
def test_no_event_is_lost_by_a_broker_that_fails(fault: Fault, seed: int) -> None:
    place = Place(seed)
    with virtual_time(place.clock, Random(seed)):
        place.worker()
        for _ in range(6):
            place.send(2, start_before_ms=0)
            place.live(place.rng.choice((0.5, 1.0, 4.0)))
            place.broker.fault = fault
            place.live(place.rng.choice((0.5, 3.0, 20.0)))
            place.broker.heal()
        place.settle()
    assert len({each.attempt_id for each in place.log}) == len(place.log)
    assert set(place.desk.ends()) == {each.attempt_id for each in place.log}


def test_events_that_the_broker_forgot_come_again_at_once_when_they_are_asked_for(place: Place) -> None:
    worker = place.worker()
    place.live(1, acknowledge=False)
    place.broker.forget()
    place.desk.acked.clear()
    place.live(2, acknowledge=False)
    assert place.desk.acked == {}
    place.desk.begin_epoch()
    place.live(1)
    assert place.desk.acked == {worker.id: 1}


def test_events_of_which_no_one_has_heard_come_again_unasked(place: Place) -> None:
    worker = place.worker()
    worker.turn()
    place.broker.forget()
    place.live(8)
    assert place.desk.acked == {}
    place.live(8)
    assert place.desk.acked == {worker.id: 1}


@pytest.mark.parametrize("seed", range(5))
def test_no_event_is_lost_when_the_broker_forgets(seed: int) -> None:
    place = Place(seed)
    with virtual_time(place.clock, Random(seed)):
        place.worker()
        for _ in range(6):
            place.send(2)
            place.live(place.rng.choice((0.5, 1.0, 4.0)), acknowledge=place.rng.random() < 0.5)
            saved = place.broker.snapshot()
            place.live(place.rng.choice((0.25, 2.0)))
            if place.rng.random() < 0.5:
                place.broker.forget()
            else:
                place.broker.restore(saved)
            place.desk.begin_epoch()
        place.settle()
    assert set(place.desk.ends()) >= {each.attempt_id for each in place.log}


@pytest.mark.parametrize("seed", range(20))
def test_a_worker_that_may_crash_anywhere_leaves_no_gap(seed: int) -> None:
    place = Place(seed)
    crashes: list[str] = []

    def boundary(at: str) -> None:
        if place.rng.random() < 0.01 and len(crashes) < 10:
            crashes.append(at)
            raise Crashed

    with virtual_time(place.clock, Random(seed)):
        place.boundary = boundary
        for _ in range(12):
            place.workers = [worker for worker in place.workers if worker.alive] or [place.worker()]
            place.send(2)
            place.live(3)
        place.boundary = lambda _: None
        place.workers = [place.worker()]
        place.settle()
    assert crashes
    told = place.desk.ends()
    assert all(len(each) == 1 for each in told.values())
    assert {each.attempt_id for each in place.log if each.outcome == "crashed"}.isdisjoint(told)


def test_the_same_seed_gives_the_same_world() -> None:
    def lived() -> tuple[list[tuple[str, float]], list[str]]:
        place = Place(7)
        with virtual_time(place.clock, Random(8)):
            place.worker()
            place.send(5)
            place.live(10)
            place.broker.fault = "black_hole"
            place.live(5)
            place.settle()
        return [(each.token, each.began) for each in place.log], [envelope.id for envelope, _ in place.desk.events]

    assert lived() == lived()
