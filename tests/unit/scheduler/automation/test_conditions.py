"""Conditions on a stage: what is requested when this or that happens."""

from __future__ import annotations

import pytest
from support.automated import Made, Stage

from hedgerow.conditions import constructors as hr
from hedgerow.partitions.constructors import daily, static

NOON = "2026-01-05T12:00"
DAYS = daily("2026-01-01").lower() if hasattr(daily("2026-01-01"), "lower") else daily("2026-01-01")
LANDS = static("no", "se").lower() if hasattr(static("a"), "lower") else static("no", "se")


def pair(condition: object, up: object = None, down: object = None) -> dict[str, Made]:
    return {"up": Made(partitions=up), "down": Made(("up",), condition, down)}  # type: ignore[arg-type]


SCENARIOS = {
    "eager: an upstream update requests it once": (
        pair(hr.eager()), [("make up", "down"), ("make down", ""), ("make up", "down")],
    ),
    "eager: not while it is being made; afterwards": (
        pair(hr.eager()), [("make up", "down"), ("make up", ""), ("make down", "")],
    ),
    "eager: a failure is not tried again by itself": (pair(hr.eager()), [("make up", "down"), ("fail down", "")]),
    "eager: two upstreams, one missing": (
        {"a": Made(), "b": Made(), "down": Made(("a", "b"), hr.eager())}, [("make a", ""), ("make b", "down")],
    ),
    "eager: a chain is requested at once": (
        {"a": Made(), "b": Made(("a",), hr.eager()), "c": Made(("b",), hr.eager())}, [("make a", "b c"), ("make b", ""), ("make c", "")],
    ),
    "eager: a run that makes both asks for nothing more": (
        pair(hr.eager()), [("together up down", ""), ("make up", ""), ("make down", "")],
    ),
    "eager: a run that makes both and fails below": (
        pair(hr.eager()), [("together up down", ""), ("make up", ""), ("fail down", "")],
    ),
    "eager: the same day only": (
        pair(hr.eager(), DAYS, DAYS), [("make up@2026-01-04", "down@2026-01-04"), ("make up@2026-01-02", "")],
    ),
    "eager all: any day": (
        pair(hr.eager("all"), DAYS, DAYS), [("make up@2026-01-02", "down@2026-01-02")],
    ),
    "eager 3d: days of three days": (
        pair(hr.eager("3d"), DAYS, DAYS), [("make up@2026-01-03", "down@2026-01-03"), ("make up@2026-01-01", "")],
    ),
    "eager static: the same key": (pair(hr.eager(), LANDS, LANDS), [("make up@no", "down@no"), ("make up@se", "down@se")]),
    "eager static to whole: everything must be there": (pair(hr.eager(), LANDS), [("make up@no", ""), ("make up@se", "down")]),
    "on_cron: once everything upstream is new": (
        pair(hr.on_cron("0 6 * * *")),
        [("make up", ""), ("at 2026-01-06T06:00", ""), ("make up", "down"), ("make down", ""), ("make up", ""), ("at 2026-01-07T07:00", "")],
    ),
    "on_cron: nothing upstream": (
        {"only": Made((), hr.on_cron("0 6 * * *"))}, [("at 2026-01-06T05:59", ""), ("at 2026-01-06T06:00", "only"), ("make only", "")],
    ),
    "on_missing: only what comes to exist later": (
        pair(hr.on_missing(), DAYS, DAYS),
        [("make up@2026-01-04", ""), ("at 2026-01-06T00:00", ""), ("make up@2026-01-05", "down@2026-01-05")],
    ),
    "missing: asks once each time": (
        {"only": Made((), hr.missing(), LANDS)}, [("fail only@no", ""), ("make only@se", "")],
    ),
    "code: made anew when the code changes": (
        {"only": Made((), hr.code_changed())}, [("make only", ""), ("code only v2", "only"), ("make only", "")],
    ),
    "debounce: after five quiet minutes": (
        pair(hr.any_dep(hr.updated()).since_handled().debounce("5m")),
        [("make up", ""), ("wait 4m", ""), ("wait 1m", "down")],
    ),
    "at_most: twice an hour": (
        pair((hr.any_dep(hr.updated())).at_most(2, per="1h")),
        [("make up", "down"), ("make down", ""), ("make up", "down"), ("make down", ""), ("make up", ""), ("wait 1h", "")],
    ),
    "except_during: held back over the night": (
        pair(hr.any_dep(hr.updated()).since_handled().except_during("0 22 * * *", "8h")),
        [("at 2026-01-05T23:00", ""), ("make up", ""), ("at 2026-01-06T05:59", ""), ("at 2026-01-06T06:00", "down")],
    ),
    "checks: held back while one upstream fails": (
        pair(hr.eager() & hr.deps_checks_passed()),
        [("begin up", ""), ("check up rows fails", ""), ("make up", "down")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_requested(name: str) -> None:
    assets, script = SCENARIOS[name]
    stage = Stage(assets, NOON)
    for number, (event, wanted) in enumerate(script):
        assert " ".join(stage.play(event)) == wanted, f"step {number}: {event}"
