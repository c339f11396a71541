"""An asset whose condition can't be evaluated stops alone, and says why."""

from __future__ import annotations

from support.automated import Made, Stage

from hedgerow.conditions import constructors as hr
from hedgerow.conditions.model import Requested
from hedgerow.partitions.model import ProductPartitions, TimePartitions

HOURS = TimePartitions("hour", "2026-01-01T00", dim="one")


def test_partitions_that_cannot_be_numbered_stop_their_own_asset_only() -> None:
    unheard_of = ProductPartitions((HOURS, TimePartitions("hour", "2026-01-01T00", dim="other")))
    assets = {
        "up": Made(), "broken": Made(("up",), hr.eager(), unheard_of), "below": Made(("broken",), hr.eager()), "sound": Made(("up",), hr.eager()),
    }  # fmt: skip
    stage = Stage(assets, "2026-01-05T12:00")
    assert stage.play("make up") == ["sound"]
    assert stage.engine.broken.keys() == {"broken", "below"}
    assert all(stage.engine.broken.values())


def test_a_condition_that_raises_stops_its_own_asset_until_other_code_comes() -> None:
    stage = Stage(
        {"up": Made(), "one": Made(("up",), hr.eager()), "two": Made(("up",), hr.eager())}, "2026-01-05T12:00"
    )
    stage.engine.facts["one"].materialized = None  # type: ignore[assignment]
    assert stage.play("make up") == ["two"]
    assert "one" in stage.engine.broken
    assert stage.evaluated["one"].problem
    assert stage.play("make two") == []
    assert stage.play("make up") == ["two"]


def test_a_condition_that_asks_because_it_asked_comes_to_rest_while_its_step_waits() -> None:
    restless = (~hr.missing().since_handled()).became_true() | (~hr.any_dep(hr.missing()) & ~Requested())
    stage = Stage({"up": Made(), "one": Made(("up",), restless)}, "2026-01-05T12:00")
    stage.play("make up")
    stage.play("start one")
    assert stage.asked < 100


def test_what_was_requested_too_often_in_vain_is_requested_again_when_its_step_has_ended() -> None:
    stage = Stage({"one": Made((), hr.missing().at_most(1, per="2h"))}, "2026-01-05T12:00")
    assert stage.play("wait 26h") == []  # its step waits, and is asked for every two hours, until that is enough
    assert stage.play("fail one", "wait 3h") == ["one"]


def test_a_deploy_amid_a_turn_loses_nothing_of_what_was_decided() -> None:
    assets = {"up": Made(), "one": Made(("up",), hr.eager()), "two": Made(("up",), hr.eager()), "other": Made()}
    stage = Stage(assets, "2026-01-05T12:00")
    stage.engine.materialize("up", None, "v1", "run")
    assert stage.engine.turn(stage.now, lambda: True) is None
    assert stage.engine.store() == {}  # it has not said yet what it requests
    stage.deploy({**assets, "other": Made(code="v2")})
    assert stage.engine.store() == {}
    assert sorted(stage.settle()) == ["one", "two"]
    assert stage.engine.store().keys() == {"one", "two"}


def test_what_was_decided_for_a_condition_that_is_gone_is_not_requested() -> None:
    assets = {"up": Made(), "one": Made(("up",), hr.eager()), "two": Made(("up",), hr.eager())}
    stage = Stage(assets, "2026-01-05T12:00")
    stage.engine.materialize("up", None, "v1", "run")
    assert stage.engine.turn(stage.now, lambda: True) is None
    stage.deploy({"up": Made()})
    assert stage.settle() == []
