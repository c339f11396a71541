"""Candidates: outputs that wait for the end of their attempt, and what becomes of them when it ends otherwise."""

from __future__ import annotations

from support.scheduling import World, asset, manifest, states, token_of

from hedgerow.manifest.model import Dependency
from hedgerow.protocol import events as ev
from hedgerow_scheduler.lifecycle.model import Attempt
from hedgerow_scheduler.recovery.leases import lose


def reported(world: World) -> Attempt:
    """An attempt of `raw` whose output was reported and whose end was not."""
    world.beat("sales", slots=9)
    world.start("raw")
    (attempt,) = world.cycle()
    world.begin(attempt)
    world.send("sales", ev.AssetMaterialized(attempt.id, "raw", token_of(attempt)))
    return attempt


def test_a_step_that_waits_for_a_candidate_is_looked_at_again_when_its_attempt_fails() -> None:
    world = World(manifest("sales", asset("raw"), asset("a", Dependency("raw", parameter="raw"))))
    raw = reported(world)
    run = world.start("a")
    world.held_back = frozenset({("raw", "")})
    assert world.cycle() == []
    world.fail(raw, "user_error")
    world.held_back = frozenset()
    world.cycle()
    assert (states(run), run.steps[0].error and run.steps[0].error.code) == (["failed"], "HR-Q023")


def test_what_a_lost_attempt_left_as_a_candidate_is_discarded_when_it_is_replaced() -> None:
    world = World(manifest("sales", asset("raw")))
    raw = reported(world)
    lose(world.snapshot, raw, world.now)
    world.snapshot.fire_timers(world.now)
    world.recorded()
    world.beat("sales")
    assert len(world.cycle()) == 1
    changes, _ = world.recorded()
    assert [output.state.value for output in changes.outputs.values()] == ["discarded"]
