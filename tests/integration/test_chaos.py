"""A short piece of `make chaos`: a worker, a runner, the broker and the API are killed under real work, and nothing is lost or done twice."""

from __future__ import annotations

import pytest
from chaos.play import Play
from chaos.stage import stage
from support.platform import QUICK

pytestmark = [pytest.mark.servers, pytest.mark.processes]


def test_kills_of_worker_runner_broker_and_api_lose_nothing_and_record_nothing_twice() -> None:
    kinds = ["worker_killed", "runner_killed", "valkey_killed", "api_killed"]
    with stage(QUICK) as place:
        play = Play(place, kinds, seed=1, live=3)
        play.all(4, 0)
    wrong = (
        *("lost", "recorded_twice", "claimed_twice", "concurrent_twice", "limit_exceeded", "out_of_order"),
        "launched_twice",
    )
    assert {kind: play.summary[kind] for kind in wrong} == dict.fromkeys(wrong, 0)
    assert set(play.summary["faults"]) == set(kinds)
    assert play.summary["steps"] > 0
