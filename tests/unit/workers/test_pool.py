"""The pool: messages that wait for a slot are done by it, together when it asks for more, and can be taken back."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from celery.worker import state
from support.processes import eventually

from hedgerow_workers.pool import HubWaker, More, WakingPool


@pytest.fixture
def pool() -> Iterator[WakingPool]:
    made = WakingPool(limit=2)
    made.on_start()
    yield made
    made.executor.shutdown()


class Slot:
    """What a slot does: waits for leave, then takes up to `most` messages at once."""

    def __init__(self, most: int = 1) -> None:
        self.most = most
        self.leave = threading.Event()
        self.done: list[list[str]] = []

    def __call__(self, text: str, more: More) -> None:
        self.leave.wait(10)
        texts = [text]
        while len(texts) < self.most and (another := more()) is not None:
            texts.append(another)
        self.done.append(texts)


def test_every_message_is_done_once_and_then_counts_no_more(pool: WakingPool) -> None:
    slot = Slot(most=4)
    for number in range(20):
        pool.submit(slot, str(number))
    assert (len(state.reserved_requests), pool.free) == (20, 0)
    slot.leave.set()
    eventually(lambda: not state.reserved_requests, what="all are done")
    assert sorted(int(text) for texts in slot.done for text in texts) == list(range(20))
    assert any(len(texts) > 1 for texts in slot.done)
    assert pool.free == 2


def test_a_slot_gets_no_more_than_its_part_of_what_waits(pool: WakingPool) -> None:
    slot = Slot(most=100)
    for number in range(10):
        pool.submit(slot, str(number))
    slot.leave.set()
    eventually(lambda: not state.reserved_requests, what="all are done")
    assert max(len(texts) for texts in slot.done) <= 6


def test_what_has_waited_too_long_for_a_slot_is_taken_back(pool: WakingPool) -> None:
    slot = Slot()
    for number in range(5):
        pool.submit(slot, str(number))
    eventually(lambda: len(pool._waiting) == 3, what="two are taken")
    assert pool.give_up(60) == []
    assert pool.give_up(0) == ["2", "3", "4"]
    assert len(state.reserved_requests) == 2
    slot.leave.set()
    eventually(lambda: len(slot.done) == 2 and not state.reserved_requests, what="the rest is done")


class Alarm(HubWaker):
    """Notes how many messages waited whenever the loop was woken."""

    def __init__(self, pool: WakingPool) -> None:
        super().__init__()
        self.pool, self.waiting = pool, list[int]()

    def wake(self) -> None:
        self.waiting.append(len(self.pool._waiting))
        super().wake()


class TestWaking:
    @pytest.fixture
    def wakings(self, pool: WakingPool) -> list[int]:
        pool.waker = Alarm(pool)
        return pool.waker.waiting

    def test_a_loop_that_found_room_is_not_woken(self, pool: WakingPool, wakings: list[int]) -> None:
        slot = Slot()
        pool.submit(slot, "one")
        assert pool.free == 1
        slot.leave.set()
        eventually(lambda: not state.reserved_requests, what="it is done")
        assert not wakings

    def test_a_loop_that_found_none_is_woken_by_each_slot_that_is_free(
        self, pool: WakingPool, wakings: list[int]
    ) -> None:
        slot = Slot()
        for text in ("one", "two"):
            pool.submit(slot, text)
        assert pool.free == 0
        slot.leave.set()
        eventually(lambda: len(wakings) == 2, what="both have woken it")

    def test_room_to_wait_is_filled_when_half_of_it_is_free(self, pool: WakingPool, wakings: list[int]) -> None:
        pool.room = lambda: 10
        slot = Slot()
        for number in range(10):
            pool.submit(slot, str(number))
        assert pool.free == 0
        slot.leave.set()
        eventually(lambda: not state.reserved_requests and wakings, what="all are done")
        assert max(wakings) <= 4

    def test_it_is_woken_also_when_there_are_fewer_runners_than_slots(
        self, pool: WakingPool, wakings: list[int]
    ) -> None:
        pool.room = lambda: 1
        slot = Slot()
        pool.submit(slot, "one")
        assert pool.free == 0
        slot.leave.set()
        eventually(lambda: wakings, what="it has woken the loop")


def test_what_comes_after_the_end_is_dropped(pool: WakingPool) -> None:
    pool.executor.shutdown()
    pool.submit(Slot(), "late")
    assert not state.reserved_requests
