"""Claims over a broker whose answers may be lost: exactly one taker, and a taker that knows that it is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import redis

from hedgerow.protocol.orders import StepOrder
from hedgerow_workers.broker import Command
from hedgerow_workers.claims import MARGIN_MS, TRIES, Claims

NOW_MS = 1_000_000


class Broker:
    """Keeps claims. Of the next commands those in `lost` are carried out without an answer, those in `refused` are refused."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.lives_ms: dict[str, int] = {}
        self.lost = self.refused = 0

    def ask(self, commands: Sequence[Command]) -> list[object]:
        if self.refused:
            self.refused -= 1
            return [redis.exceptions.OutOfMemoryError("full")] * len(commands)
        answers: list[object] = []
        for name, key, token, px, life_ms, *options in commands:
            assert (name, px, options) == ("SET", "PX", ["NX", "GET"])
            answers.append(self.held.get(str(key)))
            self.held.setdefault(str(key), str(token).encode())
            self.lives_ms[str(key)] = int(life_ms)
        if self.lost:
            self.lost -= 1
            raise redis.TimeoutError("no answer")
        return answers


@pytest.fixture
def broker() -> Broker:
    return Broker()


def _take(broker: Broker, *attempts: str, start_before_ms: int = 0) -> list[str | None]:
    orders = [
        StepOrder("d", "t", "l", "q", "r", "s", each, 1, "m", "c", ("c",), start_before_ms=start_before_ms)
        for each in attempts
    ]
    return Claims(lambda: broker, "d", "t", "me").take(orders, NOW_MS)


def test_what_no_one_has_is_ours_and_what_is_anothers_is_not(broker: Broker) -> None:
    broker.held["hr:d:t:claims:b"] = b"revoked"
    first, other, last = _take(broker, "a", "b", "c")
    assert other is None
    assert broker.held == {
        "hr:d:t:claims:a": str(first).encode(),
        "hr:d:t:claims:b": b"revoked",
        "hr:d:t:claims:c": str(last).encode(),
    }
    assert _take(broker, "a") == [None]


@pytest.mark.parametrize("lost", range(1, TRIES))
def test_a_claim_whose_answers_were_lost_is_known_to_be_ours(broker: Broker, lost: int) -> None:
    broker.lost = lost
    (token,) = _take(broker, "a")
    assert broker.held == {"hr:d:t:claims:a": str(token).encode()}


def test_without_an_answer_the_attempt_is_given_up(broker: Broker) -> None:
    broker.lost = TRIES
    assert _take(broker, "a", "b") == [None, None]
    assert len(broker.held) == 2


def test_a_broker_that_refuses_is_asked_again(broker: Broker) -> None:
    broker.refused = TRIES - 1
    assert _take(broker, "a") != [None]


def test_a_claim_outlives_its_order(broker: Broker) -> None:
    _take(broker, "a", start_before_ms=NOW_MS + 500)
    _take(broker, "late", start_before_ms=NOW_MS - 500)
    assert broker.lives_ms == {"hr:d:t:claims:a": MARGIN_MS + 500, "hr:d:t:claims:late": MARGIN_MS}
