"""Other code comes into force, or a condition can't be asked: what is remembered, and who goes on."""

from __future__ import annotations

from typing import Any

import pytest
from support.automated import NOON, Assets, Made, Script, Stage, act_out, mapped, pair

from hedgerow.conditions import constructors as hr
from hedgerow.partitions import mapping
from hedgerow.partitions.constructors import daily, static

DAYS, LANDS, MORE = daily("2026-01-01"), static("no", "se"), static("no", "se", "dk")
EAGER, LATER = pair(hr.eager()), pair(hr.eager().debounce("1h"))

SCENARIOS: dict[str, tuple[Assets, Script]] = {
    "nothing changes: what was handled stays handled": (EAGER, [("make up", "down"), ("make down", ""), (EAGER, ""), ("make up", "down")]),
    "nothing changes: news that waits is kept": (pair(hr.any_dep(hr.updated()).since_handled() & ~hr.in_progress()), [("begin down; start down", ""), ("make up", ""), (pair(hr.any_dep(hr.updated()).since_handled() & ~hr.in_progress()), ""), ("make down", "down")]),
    "nothing changes: a state that holds is no news": (pair(hr.any_dep(hr.failed())), [("fail up", "down"), (pair(hr.any_dep(hr.failed())), ""), ("make down", "")]),
    "another condition: what is missing is left alone": (pair(hr.on_missing()), [(EAGER, ""), ("make up", "down")]),
    "another condition: news that waited is forgotten": (EAGER, [("begin down; start down", ""), ("make up", ""), (pair(hr.eager("all") & ~hr.failed()), ""), ("make down", "")]),
    "another condition: a state that holds is requested": (EAGER, [("fail up", ""), (pair(hr.any_dep(hr.failed())), "down")]),
    "another condition: the clock starts anew": (LATER, [("make up", ""), ("wait 30m", ""), (pair(hr.eager().debounce("40m")), ""), ("wait 2h", "")]),
    "a condition is taken away and given back: as new": (EAGER, [({"up": Made(), "down": Made(("up",))}, ""), ("make up", ""), (EAGER, ""), ("make up", "down")]),
    "a condition is given": ({"up": Made(), "down": Made(("up",))}, [("make up", ""), (EAGER, ""), ("make up", "down")]),
    "an asset comes": ({"up": Made()}, [("make up", ""), (EAGER, ""), ("make up", "down")]),
    "an asset goes": (EAGER, [({"up": Made()}, ""), ("make up", "")]),
    "an upstream asset goes": (EAGER, [({"down": Made(("up",), hr.eager())}, ""), ("wait 1d", "")]),
    "other partitions: as new": (pair(hr.eager(), LANDS, LANDS), [(pair(hr.eager(), MORE, MORE), ""), ("make up@dk", "down@dk"), ("make up@no", "down@no")]),
    "other partitions upstream only": (mapped(hr.any_dep(hr.updated()), LANDS, None, mapping.all()), [("make up@no", "down"), ("make down", ""), (mapped(hr.any_dep(hr.updated()), MORE, None, mapping.all()), ""), ("make up@dk", "down")]),
    "another mapping: asked again with it": (mapped(hr.any_dep(hr.failed()), DAYS, DAYS, mapping.same()), [("fail up@2026-01-03", "down@2026-01-03"), (mapped(hr.any_dep(hr.failed()), DAYS, DAYS, mapping.window(-1, 0)), "down@2026-01-04")]),
    "another upstream that failed before": ({"a": Made(), "b": Made(), "down": Made(("a",), hr.any_dep(hr.failed())), "eye": Made(("b",), hr.any_dep(hr.failed()))}, [("fail b", "eye"), ({"a": Made(), "b": Made(), "down": Made(("a", "b"), hr.any_dep(hr.failed())), "eye": Made(("b",), hr.any_dep(hr.failed()))}, "down")]),
    "other code of one that is asked for it, and back": ({"only": Made((), hr.code_changed())}, [("make only", ""), ("code only v2", "only"), ("make only", ""), ("code only v1", "only"), ("make only", ""), ("code only v1", "")]),
    "back to code that made some of the partitions": ({"only": Made((), hr.code_changed(), LANDS)}, [("make only@no; make only@se", ""), ("code only v2", "only@no only@se"), ("make only@no", ""), ("code only v1", "only@no")]),
    "a cron that another condition goes on with": ({"only": Made((), hr.on_cron("0 6 * * *"))}, [({"only": Made((), hr.on_cron("0 6 * * *") & ~hr.failed())}, ""), ("at 2026-01-06T06:00", "only")]),
    "a cron that is no more asked for": ({"only": Made((), hr.on_cron("0 6 * * *"))}, [({"only": Made((), hr.on_cron("0 7 * * *"))}, ""), ("at 2026-01-06T06:00", ""), ("at 2026-01-06T07:00", "only")]),
    "a period that ends before the next window": ({"only": Made((), hr.missing() & hr.failed(), DAYS)}, [("wait 1h", ""), ({"only": Made((), ~hr.in_latest_window("40h"), DAYS)}, "only@2026-01-01 only@2026-01-02"), ("at 2026-01-05T15:59", ""), ("at 2026-01-05T16:00", "only@2026-01-03"), ("at 2026-01-06T15:59", ""), ("at 2026-01-06T16:00", "only@2026-01-04")]),
    "an external asset is made by us now": ({"up": Made(external=True), "down": Made(("up",), hr.eager())}, [("make up", "down"), ("make down", ""), (EAGER, ""), ("make up", "down")]),
    "an upstream that nobody declares comes": ({"down": Made(("up",), hr.eager())}, [("wait 1h", ""), (EAGER, ""), ("make up", "down")]),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_requested(name: str) -> None:
    act_out(*SCENARIOS[name])


class Unreadable(dict[str, Any]):
    """Facts that can't be read."""

    def get(self, *_: Any) -> Any:
        raise RuntimeError("unreadable")


def test_a_condition_that_cannot_be_asked_stops_only_its_own_asset() -> None:
    stage = Stage(
        {"up": Made(), "a": Made(("up",), hr.eager() & ~hr.check_failed("x")), "b": Made(("up",), hr.eager())}, NOON
    )
    stage.engine.facts["a"].failed_checks = Unreadable()
    assert stage.play("make up") == ["b"]
    assert stage.engine.broken == {"a": "RuntimeError: unreadable"}
    assert stage.evaluated["a"].problem == "RuntimeError: unreadable"
    assert stage.play("make b") == []
    assert stage.play("make up") == ["b"]


def test_a_condition_that_could_not_be_asked_is_asked_again_after_a_deploy() -> None:
    assets = {"up": Made(), "down": Made(("up",), hr.any_dep(hr.updated()) & ~hr.check_failed("x"))}
    stage = Stage(assets, NOON)
    readable, stage.engine.facts["down"].failed_checks = stage.engine.facts["down"].failed_checks, Unreadable()
    assert stage.play("make up") == []
    stage.engine.facts["down"].failed_checks = readable
    assert stage.play("make up") == []
    stage.deploy(assets)
    assert stage.engine.broken == {}
    assert stage.play("make up") == ["down"]
