"""What freshness costs: it follows what happens, and a turn can stop and be gone on with."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

from support.aged import Aging, Stage

from hedgerow.cron import Cron
from hedgerow.freshness import FreshBy, fresh_by, fresh_within
from hedgerow.partitions import daily, hourly, static
from hedgerow_scheduler.automation.freshness import MOST_TOLD

DAY = fresh_within("26h", warn="24h")
MANY = {f"a{number}": Aging(DAY) for number in range(500)}


def test_a_turn_with_nothing_due_looks_at_nothing() -> None:
    stage = Stage(MANY)
    stage.make(*MANY)
    assert stage.turn() == []
    stage.now += timedelta(hours=23)
    assert not stage.board.is_due(stage.now)
    looked = count()
    assert stage.board.turn(stage.now, lambda: next(looked) < 0) == []
    assert next(looked) == 1


def test_what_is_made_again_and_again_keeps_one_instant() -> None:
    stage = Stage(
        {
            "a": Aging(DAY),
            "b": Aging(DAY, static("de", "no")),
            "c": Aging(fresh_by("0 6 * * *")),
            "d": Aging(DAY, daily("2026-01-01")),
        }
    )
    for _ in range(1_000):
        stage.make("a", "b@de", "b@no", "c")
        stage.turn()
        stage.now += timedelta(minutes=1)
    assert len(stage.board._due) <= 2 * len(stage.assets)  # what it holds on to is no part of its answers


def test_a_turn_that_is_over_is_gone_on_with() -> None:
    stage = Stage(MANY)
    stage.make(*MANY)
    stage.turn()
    stage.now += timedelta(hours=26)
    told: list[str] = []
    turns = 0
    while stage.board.is_due(stage.now):
        left = count(100, -1)
        told += [turned.key for turned in stage.board.turn(stage.now, lambda left=left: next(left) <= 0)]
        turns += 1
    assert sorted(told) == sorted(MANY)
    assert turns > 4


def test_very_many_partitions_are_told_in_several_turns() -> None:
    keys = [f"k{number}" for number in range(4_000)]
    stage = Stage({"a": Aging(DAY, static(*keys)), "b": Aging(DAY)})
    stage.make("b", *(f"a@{key}" for key in keys))
    stage.turn()
    stage.now += timedelta(hours=26)
    told: list[str] = []
    while stage.board.is_due(stage.now):
        told += (now := stage.turn())
        assert len(now) <= MOST_TOLD
    assert sorted(told) == sorted(["late b", *(f"late a@{key}" for key in keys)])
    assert len(stage.board.stands("a")[1]) == len(keys)


def test_partitions_that_cannot_be_told_apart_cost_their_own_asset_its_policy() -> None:
    endless = (
        static(*map(str, range(3_000)), dim="x") * static(*map(str, range(3_000)), dim="y") * hourly("2020-01-01T00")
    )
    stage = Stage({"a": Aging(DAY, endless), "b": Aging(DAY)})
    stage.make("b")
    stage.now += timedelta(hours=26)
    assert stage.turn() == ["late b"]


def test_a_zone_that_this_machine_does_not_know_costs_its_own_asset_its_policy() -> None:
    nowhere = FreshBy(Cron("0 6 * * *", "Nowhere/None"), 3_600_000)
    stage = Stage({"a": Aging(nowhere), "b": Aging(DAY)})
    stage.make("a", "b")
    stage.turn()
    stage.now += timedelta(hours=26)
    stage.make("a")
    assert stage.turn() == ["late b"]
    assert not stage.board.is_due(stage.now)
