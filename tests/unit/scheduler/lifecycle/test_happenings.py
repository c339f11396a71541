"""Happenings: what reactions may be told of, noted where it happens and only while someone wants to hear of it."""

from __future__ import annotations

from support.scheduling import NOW, World, asset, manifest

from hedgerow.errors import Problem
from hedgerow.protocol import events as ev
from hedgerow.protocol.happenings import HAPPENING_KINDS
from hedgerow_scheduler.lifecycle.happenings import Happenings

BOOM = Problem("HR-X001", "ValueError: boom", "Look.")


def world_of(*parts: object, wanted: tuple[str, ...] = HAPPENING_KINDS) -> World:
    world = World(manifest("sales", *parts))
    world.snapshot.happenings.wanted = frozenset(wanted)
    return world


def fail_first(world: World) -> None:
    world.beat("sales")
    (attempt,) = world.cycle()
    world.begin(attempt)
    world.fail(attempt)


def test_a_failed_run_names_what_failed_first_and_a_given_up_step_says_why() -> None:
    world = world_of(asset("a"), asset("b", "a"))
    run = world.start("*")
    fail_first(world)
    step, ended = world.snapshot.happenings.take()
    assert (step.kind, step.team, step.assets, step.message, step.run_id) == (
        "step_failed", "sales", ("a",), "It broke.", run.id,
    )  # fmt: skip
    assert (ended.kind, ended.assets, ended.details["failed"], ended.details["steps"]) == (
        "run_failed",
        ("a", "b"),
        1,
        2,
    )
    assert "broke" not in ended.message  # another team may hear of the run, and nothing of what the code said


def test_what_nobody_wants_to_hear_of_is_not_noted() -> None:
    world = world_of(asset("a"), wanted=("run_succeeded",))
    world.start("*")
    fail_first(world)
    assert world.snapshot.happenings.take() == []


def test_a_broken_location_is_told_once_until_it_is_whole_again() -> None:
    world = world_of(asset("a"))
    for _ in range(2):
        world.send("sales", ev.LocationFailed("sales", "sales", (BOOM,)))
    (told,) = world.snapshot.happenings.take()
    assert (told.kind, told.team, told.details) == ("location_failed", "sales", {"location": "sales", "problems": 1})


def test_what_is_said_is_cut() -> None:
    happenings = Happenings()
    happenings.wanted = frozenset({"run_failed"})
    happenings.add("run_failed", "sales", NOW, ("a",), "x" * 10_000)
    (told,) = happenings.take()
    assert len(told.message) == 2_000
