"""Rolling restarts and rolling deploys, with real workers in mid-run: nothing fails, nothing is lost, nothing runs other code than bound."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.processes import eventually
from support.rolling import fleet, let_go, outcomes, succeeded, write_release

pytestmark = [pytest.mark.servers, pytest.mark.processes]
STEPS, SECONDS = 200, 0.1
RATE = "10/s"  # so that the run outlasts what happens to the workers, however slow the machine


def test_a_deploy_in_mid_run_fails_nothing_and_each_step_runs_the_code_it_was_bound_to(tmp_path: Path) -> None:
    old, new = (write_release(tmp_path, name, steps=STEPS, seconds=SECONDS, rate=RATE) for name in ("one", "two"))
    with fleet() as (place, workers):
        workers.start("a", old)
        workers.start("b", old)
        run = place.launch("orders", all_partitions=True)
        eventually(lambda: succeeded(place, run) >= 10, what="10 steps")
        workers.start("c", new)
        workers.end("a")
        workers.start("d", new)
        workers.end("b")
        left = STEPS - succeeded(place, run)
        let_go(place)
        found = place.finished(run)
        ends, bound = outcomes(place, run)
    assert left > 0, "the run was over before the workers were exchanged"
    assert (found["state"], found["counts"]) == ("succeeded", {"succeeded": STEPS})
    assert {"failed", "lost", "timed_out"}.isdisjoint(ends)
    assert {release for _, release in bound} == {"one", "two"}, "the deploy came too early to show anything"
    assert len(bound) == len({manifest for manifest, _ in bound}) == 2, "a step ran other code than its manifest says"


def test_a_restart_of_worker_after_worker_in_mid_run_loses_nothing(tmp_path: Path) -> None:
    release = write_release(tmp_path, "one", steps=STEPS, seconds=SECONDS, rate=RATE)
    with fleet() as (place, workers):
        workers.start("a", release)
        workers.start("b", release)
        run = place.launch("orders", all_partitions=True)
        eventually(lambda: succeeded(place, run) >= 10, what="10 steps")
        for name in ("a", "b"):
            workers.end(name)
            workers.start(f"{name}2", release)
        left = STEPS - succeeded(place, run)
        let_go(place)
        found = place.finished(run)
        ends, _ = outcomes(place, run)
    assert left > 0, "the run was over before the workers were exchanged"
    assert (found["state"], found["counts"]) == ("succeeded", {"succeeded": STEPS})
    assert {"failed", "lost", "timed_out"}.isdisjoint(ends)
