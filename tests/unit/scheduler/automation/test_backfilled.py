"""What a backfill is going to make, conditions do not launch as well; what it gives up they do."""

from __future__ import annotations

from pyroaring import BitMap
from support.automated import NOON, Stage, pair

from hedgerow.conditions.constructors import eager
from hedgerow.partitions import static

KEYS = static(["a", "b"])


def test_what_a_backfill_is_going_to_make_is_left_to_it() -> None:
    stage = Stage(pair(eager(), KEYS, KEYS), NOON)
    stage.coming["down"] = BitMap([0])
    assert stage.play("make up@a", "make up@b") == ["down@b"]
    stage.coming.clear()
    assert stage.play("begin down@a", "start down@a", "make down@a") == []
    assert stage.play("make up@a") == ["down@a"]


def test_what_a_backfill_gives_up_is_requested_after_all_and_nothing_else() -> None:
    stage = Stage(pair(eager(), KEYS, KEYS), NOON)
    stage.coming["down"] = BitMap([0, 1])
    assert stage.play("make up@a") == []
    stage.coming.clear()
    stage.engine.let_go("down", BitMap([0, 1]))
    assert stage.settle() == ["down@a"]
    stage.engine.let_go("down", BitMap([0, 1]))
    assert stage.settle() == []
