"""A rolling deploy during a run of 500 steps: prints what became of every attempt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.processes import eventually
from support.rolling import fleet, outcomes, succeeded, write_release

pytestmark = [pytest.mark.servers, pytest.mark.processes, pytest.mark.timeout(600)]
STEPS = 500


def test_a_rolling_deploy_during_five_hundred_steps_fails_none(tmp_path: Path) -> None:
    old, new = (write_release(tmp_path, name, steps=STEPS, seconds=0.1) for name in ("one", "two"))
    with fleet() as (place, workers):
        for name in ("a", "b"):
            workers.start(name, old)
        run = place.launch("orders", all_partitions=True)
        eventually(lambda: succeeded(place, run) >= 50, what="50 steps")
        for former, name in (("a", "c"), ("b", "d")):
            workers.start(name, new)
            workers.end(former)
        found = place.finished(run)
        ends, bound = outcomes(place, run)
    print(
        json.dumps(
            {
                "steps": found["counts"],
                "attempts": ends,
                "by_code": {f"{key[0][:12]} ran {key[1]}": n for key, n in bound.items()},
            }
        )
    )
    assert found["counts"] == {"succeeded": STEPS}
    assert {"failed", "lost", "timed_out"}.isdisjoint(ends)
    assert len(bound) == len({release for _, release in bound}) == len({manifest for manifest, _ in bound}) == 2
