"""When heartbeats are due, and what is stopped when they reach no one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from hedgerow import clock
from hedgerow.protocol import events
from hedgerow.protocol.orders import StepOrder
from hedgerow_workers.attempts import Attempt, Attempts
from hedgerow_workers.heartbeat import LOST_RETRY_S, Heartbeat


class Client:
    """Counts heartbeats, unless it is `away`."""

    def __init__(self) -> None:
        self.away = False
        self.count = 0

    def xadd(self, *_: Any) -> None:
        if self.away:
            raise redis.ConnectionError("away")
        self.count += 1


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], float]:
    """Sets the monotonic clock."""

    def set_clock(seconds: float) -> float:
        monkeypatch.setattr(clock, "monotonic", lambda: seconds)
        return seconds

    set_clock(0.0)
    return set_clock


def _attempt(attempt_id: str, mode: str) -> Attempt:
    order = StepOrder("d", "t", "l", "q", "run", "step", attempt_id, 1, "m", "c", ("c",), on_lost_contact=mode)
    return Attempt(order, "token")


def test_a_lost_heartbeat_is_tried_again_sooner_and_what_must_stop_is_stopped_within_its_lease(
    at: Callable[[float], float],
) -> None:
    client, attempts = Client(), Attempts()
    stop, finish = _attempt("1", "stop"), _attempt("2", "finish")
    attempts.add(stop)
    attempts.add(finish)
    describe = lambda: events.WorkerHeartbeat("l", "m", ("q",), 1)  # noqa: E731
    heartbeat = Heartbeat(client, "d", "t", "me", 5.0, 20.0, attempts, describe)  # type: ignore[arg-type]

    assert heartbeat.turn(at(1.0)) == 6.0
    client.away = True
    assert heartbeat.turn(at(6.0)) == 6.0 + LOST_RETRY_S
    heartbeat.turn(at(12.9))
    assert (stop.stop, heartbeat.broker_losses) == (None, 1)

    heartbeat.turn(at(13.0))
    assert stop.stop is not None
    assert stop.stop.reason == "interrupted"
    assert stop.kill_at < 1.0 + 20.0
    assert finish.stop is None

    client.away = False
    assert heartbeat.turn(at(14.0)) == 19.0
    assert (client.count, heartbeat.contact_at) == (2, 14.0)


def test_a_worker_that_was_frozen_stops_what_must_stop_although_the_broker_answers(
    at: Callable[[float], float],
) -> None:
    attempts = Attempts()
    stop, finish = _attempt("1", "stop"), _attempt("2", "finish")
    attempts.add(stop)
    attempts.add(finish)
    describe = lambda: events.WorkerHeartbeat("l", "m", ("q",), 1)  # noqa: E731
    heartbeat = Heartbeat(Client(), "d", "t", "me", 5.0, 20.0, attempts, describe)  # type: ignore[arg-type]

    heartbeat.turn(at(1.0))
    heartbeat.turn(at(12.9))  # late, and soon enough
    assert stop.stop is None
    assert heartbeat.turn(at(40.0)) == 45.0
    assert stop.stop is not None
    assert finish.stop is None
