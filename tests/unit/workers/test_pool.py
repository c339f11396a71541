"""The pool: messages that wait for a slot are done by it, together when it asks for more, and can be taken back."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from celery.worker import state
from support.processes import eventually

from hedgerow_workers.pool import More, WakingPool


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


def test_what_comes_after_the_end_is_dropped(pool: WakingPool) -> None:
    pool.executor.shutdown()
    pool.submit(Slot(), "late")
    assert not state.reserved_requests
