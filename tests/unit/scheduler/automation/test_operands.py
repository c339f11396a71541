"""What each operand holds for, and that a partition is requested each time its condition becomes true."""

from __future__ import annotations

import pytest
from support.automated import Assets, Made, Script, act_out, pair

from hedgerow.conditions import constructors as hr
from hedgerow.conditions.model import Condition
from hedgerow.partitions.constructors import daily, hourly, static

DAYS, LANDS = daily("2026-01-01"), static("no", "se")


def only(condition: Condition) -> Assets:
    return {"only": Made((), condition)}


SCENARIOS: dict[str, tuple[Assets, Script]] = {
    "missing holds on, which is no news": (only(hr.missing()), [("fail only", ""), ("wait 1d", ""), ("make only", "")]),
    "missing: a new key of time": ({"only": Made((), hr.missing(), DAYS)}, [("at 2026-01-06T00:00", "only@2026-01-05"), ("at 2026-01-07T00:00", "only@2026-01-06")]),
    "in progress: when a step begins, and once": (pair(hr.any_dep(hr.in_progress())), [("begin up", "down"), ("start up", ""), ("make up", ""), ("make down", ""), ("begin up", "down")]),
    "not in progress: when it ends": (pair(~hr.any_dep(hr.in_progress())), [("make down", ""), ("begin up", ""), ("make up", "down")]),
    "two steps of one partition: in progress until both have ended": (pair(~hr.any_dep(hr.in_progress())), [("make down", ""), ("begin up; begin up", ""), ("make up", ""), ("fail up", "down")]),
    "failed: when a step fails": (only(hr.failed()), [("fail only", "only"), ("make only", "")]),
    "failed twice in a row is one failure until it succeeds": (only(hr.failed()), [("fail only", "only"), ("fail only", ""), ("make only", ""), ("fail only", "only")]),
    "failed of an upstream": (pair(hr.any_dep(hr.failed())), [("fail up", "down"), ("make down", ""), ("make up", ""), ("fail up", "down")]),
    "failed by key": ({"only": Made((), hr.failed(), LANDS)}, [("fail only@no", "only@no"), ("fail only@se", "only@se")]),
    "code changed: when other code is deployed": (only(hr.code_changed()), [("make only", ""), ("code only v2", "only"), ("make only", "")]),
    "code changed: what was never made is not made by other code": (only(hr.code_changed()), [("code only v2", ""), ("make only", "")]),
    "code changed: back to former code": (only(hr.code_changed()), [("make only", ""), ("code only v2", "only"), ("make only", ""), ("code only v1", "only")]),
    "code changed: forth and back without being made is nothing more": (only(hr.code_changed()), [("make only; start only", ""), ("code only v2", "only"), ("fail only", ""), ("code only v1", ""), ("code only v2", "only")]),
    "code changed: a third code while it still holds is no news": (only(hr.code_changed()), [("make only", ""), ("code only v2", "only"), ("fail only", ""), ("code only v3", "")]),
    "code changed: all that was made": ({"only": Made((), hr.code_changed(), LANDS)}, [("make only@no", ""), ("code only v2", "only@no"), ("make only@se", "")]),
    "code changed of an upstream": (pair(hr.any_dep(hr.code_changed())), [("make up", ""), ("code up v2", "down"), ("make up", "")]),
    "another code of an asset that does not ask": (pair(hr.eager()), [("make up", "down"), ("make down", ""), ("code up v2", ""), ("code down v2", "")]),
    "check failed: any": (only(hr.check_failed()), [("make only; check only rows fails", "only"), ("check only nulls fails", ""), ("make only", "")]),
    "check failed: by name": (only(hr.check_failed("rows")), [("make only; check only nulls fails", ""), ("check only rows fails", "only"), ("check only nulls passes", "")]),
    "check failed: a new materialization has no verdict yet": (only(hr.check_failed("rows")), [("make only; check only rows fails", "only"), ("make only", ""), ("check only rows fails", "only")]),
    "check failed: passed again": (only(~hr.check_failed("rows") & ~hr.missing()), [("fail only", ""), ("make only; check only rows fails", ""), ("check only rows passes", "only")]),
    "check failed of an upstream by name": (pair(hr.any_dep(hr.check_failed("rows"))), [("check up nulls fails", ""), ("check up rows fails", "down")]),
    "updated: each time": (pair(hr.any_dep(hr.updated())), [("make up", "down"), ("make down", ""), ("make up", "down"), ("make down", "")]),
    "updated: what comes while a step waits does not double it": (pair(hr.any_dep(hr.updated())), [("make up", "down"), ("make up", ""), ("start down", ""), ("make up", "down")]),
    "updated of itself": (only(hr.updated()), [("make only", "only")]),
    "updated by a run that makes both": (pair(hr.any_dep(hr.updated())), [("together up down; make up", ""), ("start down", ""), ("make up", "down")]),
    "updated with the same data": (pair(hr.any_dep(hr.updated())), [("make up", "down"), ("make down", ""), ("make up same", "down")]),
    "data changed: not with the same data": (pair(hr.any_dep(hr.data_changed())), [("make up", "down"), ("make down", ""), ("make up same", ""), ("make up", "down")]),
    "data changed: by partition": (pair(hr.any_dep(hr.data_changed()), LANDS, LANDS), [("make up@no", "down@no"), ("make down@no", ""), ("make up@se same", "down@se"), ("make up@no", "down@no")]),
    "data changed: another leader knows the version": (pair(hr.any_dep(hr.data_changed())), [("make up", "down"), ("make down", ""), ("takeover", ""), ("make up same", "")]),
    "cron tick: each time, and not in between": (only(hr.cron_tick("0 * * * *")), [("wait 1h", "only"), ("make only", ""), ("wait 59m", ""), ("wait 1m", "only")]),
    "cron tick: a request while a step still waits is not a second one": (only(hr.cron_tick("0 * * * *")), [("wait 1h", "only"), ("wait 3h", ""), ("start only", ""), ("wait 1h", "only")]),
    "in the latest window: when a window becomes the latest": ({"only": Made((), hr.in_latest_window(), DAYS)}, [("at 2026-01-06T00:00", "only@2026-01-05"), ("make only@2026-01-05", "")]),
    "in the latest window: not with a lookback until it has passed": ({"only": Made((), ~hr.in_latest_window("2d"), DAYS)}, [("at 2026-01-06T00:00", "only@2026-01-03"), ("at 2026-01-07T00:00", "only@2026-01-04")]),
    "in the latest window: a lookback that ends between two windows": ({"only": Made((), ~hr.in_latest_window("36h"), DAYS)}, [("at 2026-01-05T11:59", ""), ("at 2026-01-05T12:00", ""), ("at 2026-01-06T00:00", ""), ("at 2026-01-06T11:59", ""), ("at 2026-01-06T12:00", "only@2026-01-04"), ("at 2026-01-07T11:59", ""), ("at 2026-01-07T12:00", "only@2026-01-05")]),
    "in the latest window: the last of a calendar that is over leaves too": ({"only": Made((), ~hr.in_latest_window("36h"), daily("2026-01-01", "2026-01-06"))}, [("at 2026-01-06T12:00", "only@2026-01-04"), ("at 2026-01-09T00:00", "")]),
    "in the latest window: without time always": (only(hr.in_latest_window() & hr.failed()), [("fail only", "only")]),
    "in the latest window: each land of it": ({"only": Made((), hr.in_latest_window(), DAYS * static("no", "se", dim="land"))}, [("at 2026-01-06T00:00", "only@2026-01-05|no only@2026-01-05|se")]),
    "in the latest window: of an upstream": (pair(~hr.any_dep(hr.in_latest_window()), DAYS, DAYS), [("at 2026-01-06T00:00", "down@2026-01-04"), ("at 2026-01-07T00:00", "down@2026-01-05")]),
    "in the latest window: of an upstream with other windows": (pair(hr.all_deps(~hr.in_latest_window()), hourly("2026-01-05T00"), DAYS), [("at 2026-01-06T00:00", ""), ("at 2026-01-06T00:59", ""), ("at 2026-01-06T01:00", "down@2026-01-05")]),
    "will be requested: with its upstream in one turn": ({"up": Made((), hr.cron_tick("0 * * * *")), "down": Made(("up",), hr.any_dep(hr.updated().since_handled()) | hr.any_dep(hr.WillBeRequested()))}, [("wait 1h", "down up"), ("make down", "")]),
    "a condition that names no upstream leaves out the others' news": (only(~hr.failed() & ~hr.in_progress() & ~hr.missing()), [("make only", "only"), ("make only", "only")]),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_requested(name: str) -> None:
    act_out(*SCENARIOS[name])
