"""What `eager` requests, and when."""

from __future__ import annotations

import pytest
from support.automated import Assets, Made, Script, act_out, pair

from hedgerow.conditions import constructors as hr
from hedgerow.partitions.constructors import daily, hourly, monthly, static, weekly

DAYS, LANDS = daily("2026-01-01"), static("no", "se")
CHAIN = {"a": Made(), "b": Made(("a",), hr.eager()), "c": Made(("b",), hr.eager())}
TWO = {"a": Made(), "b": Made(), "down": Made(("a", "b"), hr.eager())}
DIAMOND = {"a": Made(), "b": Made(("a",), hr.eager()), "c": Made(("a",), hr.eager()), "d": Made(("b", "c"), hr.eager())}
FED = {"feed": Made(external=True), "down": Made(("feed",), hr.eager())}
JOINT = {"a": Made(), "feed": Made(external=True), "down": Made(("a", "feed"), hr.eager())}

SCENARIOS: dict[str, tuple[Assets, Script]] = {
    "an update upstream requests it once": (pair(hr.eager()), [("make up", "down"), ("make down", ""), ("wait 3d", "")]),
    "each update upstream requests it again": (pair(hr.eager()), [("make up", "down"), ("make down", ""), ("make up", "down"), ("make down", "")]),
    "what is missing at first is left alone": (pair(hr.eager()), [("wait 1h", "")]),
    "without upstream assets it is never requested by itself": ({"only": Made((), hr.eager())}, [("wait 10d", ""), ("make only", "")]),
    "what comes while a step waits is in it": (pair(hr.eager()), [("make up", "down"), ("make up", ""), ("start down", ""), ("make down", "")]),
    "what comes after the step went out asks for another, once that has ended": (pair(hr.eager()), [("make up", "down"), ("start down", ""), ("make up", ""), ("make down", "down"), ("make down", "")]),
    "two updates after the step went out ask for one more": (pair(hr.eager()), [("make up", "down"), ("start down", ""), ("make up", ""), ("make up", ""), ("make down", "down"), ("make down", "")]),
    "two updates in one turn ask for one": (pair(hr.eager()), [("make up; make up", "down"), ("make down", "")]),
    "a failure is not tried again by itself": (pair(hr.eager()), [("make up", "down"), ("fail down", ""), ("wait 1d", "")]),
    "after a failure the next update asks again": (pair(hr.eager()), [("make up", "down"), ("fail down", ""), ("make up", "down"), ("make down", "")]),
    "a failure upstream asks for nothing": (pair(hr.eager()), [("fail up", ""), ("begin up", ""), ("fail up", "")]),
    "a failure that follows an update while it ran asks again": (pair(hr.eager()), [("make up", "down"), ("start down", ""), ("make up", ""), ("fail down", "down")]),
    "made by hand it asks for nothing": (pair(hr.eager()), [("make down", ""), ("begin down", ""), ("make down", "")]),
    "a step begun by hand takes what comes while it waits": (pair(hr.eager()), [("begin down", ""), ("make up", ""), ("start down", ""), ("make down", "")]),
    "a step begun by hand that went out does not": (pair(hr.eager()), [("begin down; start down", ""), ("make up", ""), ("make down", "down")]),
    "an update while upstream is being made again waits for that": (pair(hr.eager()), [("begin up; begin up", ""), ("make up", ""), ("make up", "down")]),
    "an upstream step that fails lets the update before it through": (pair(hr.eager()), [("begin up; begin up", ""), ("make up", ""), ("fail up", "down")]),
    "one upstream missing holds it back": (TWO, [("make a", ""), ("make a", ""), ("make b", "down")]),
    "both upstream in one turn ask for one": (TWO, [("make a; make b", "down"), ("make down", "")]),
    "one upstream updated is enough when both are there": (TWO, [("make a; make b", "down"), ("make down", ""), ("make b", "down")]),
    "a chain is requested at once": (CHAIN, [("make a", "b c"), ("make b", ""), ("make c", "")]),
    "a chain is requested again at once": (CHAIN, [("make a", "b c"), ("make b", ""), ("make c", ""), ("make a", "b c")]),
    "the middle of a chain made by hand asks for the end": (CHAIN, [("make b", "c"), ("make c", "")]),
    "a failure in the middle of a chain asks for nothing": (CHAIN, [("make a", "b c"), ("fail b", ""), ("fail c", "")]),
    "a diamond is requested at once and whole": (DIAMOND, [("make a", "b c d"), ("make b", ""), ("make c", ""), ("make d", "")]),
    "one side of a diamond asks for its foot": (DIAMOND, [("make a", "b c d"), ("make b", ""), ("make c", ""), ("make d", ""), ("together c; make c", "d")]),
    "a run that makes both asks for nothing more": (pair(hr.eager()), [("together up down", ""), ("make up", ""), ("make down", "")]),
    "a run that makes both and fails below is not repeated": (pair(hr.eager()), [("together up down", ""), ("make up", ""), ("fail down", ""), ("wait 1d", "")]),
    "after a run that made both the next update asks": (pair(hr.eager()), [("together up down; make up; make down", ""), ("begin up", "")]),
    "the last day only": (pair(hr.eager(), DAYS, DAYS), [("make up@2026-01-04", "down@2026-01-04"), ("make up@2026-01-02", "")]),
    "any day where all are asked for": (pair(hr.eager("all"), DAYS, DAYS), [("make up@2026-01-02", "down@2026-01-02"), ("make up@2026-01-04", "down@2026-01-04")]),
    "days that ended within three days": (pair(hr.eager("3d"), DAYS, DAYS), [("make up@2026-01-03", "down@2026-01-03"), ("make up@2026-01-02", "down@2026-01-02"), ("make up@2026-01-01", "")]),
    "a new day is requested when its upstream is there": (pair(hr.eager(), DAYS, DAYS), [("at 2026-01-06T00:00", ""), ("make up@2026-01-05", "down@2026-01-05"), ("make down@2026-01-05", "")]),
    "a new day without upstream is requested when it comes": ({"only": Made((), hr.eager(), DAYS)}, [("at 2026-01-05T23:59", ""), ("at 2026-01-06T00:00", "only@2026-01-05"), ("make only@2026-01-05", "")]),
    "each new day is requested by itself": ({"only": Made((), hr.eager(), DAYS)}, [("at 2026-01-08T00:00", "only@2026-01-05 only@2026-01-06 only@2026-01-07")]),
    "yesterday's upstream that comes a day late asks for nothing": (pair(hr.eager(), DAYS, DAYS), [("at 2026-01-07T00:00", ""), ("make up@2026-01-05", "")]),
    "a day that ends under way is out of the last window": (pair(hr.eager(), DAYS, DAYS), [("make up@2026-01-04", "down@2026-01-04"), ("start down@2026-01-04; make up@2026-01-04", ""), ("at 2026-01-06T00:00", ""), ("make down@2026-01-04", "")]),
    "the first day of a calendar that begins later": ({"only": Made((), hr.eager(), daily("2026-01-06"))}, [("at 2026-01-06T23:59", ""), ("at 2026-01-07T00:00", "only@2026-01-06")]),
    "a new hour": ({"only": Made((), hr.eager(), hourly("2026-01-05T00"))}, [("wait 59m", ""), ("wait 1m", "only@2026-01-05T12")]),
    "a new week": ({"only": Made((), hr.eager(), weekly("2025-12-01"))}, [("at 2026-01-11T23:59", ""), ("at 2026-01-12T00:00", "only@2026-01-05")]),
    "a new month": ({"only": Made((), hr.eager(), monthly("2025-12"))}, [("at 2026-01-31T23:59", ""), ("at 2026-02-01T00:00", "only@2026-01")]),
    "static keys are requested one by one": (pair(hr.eager(), LANDS, LANDS), [("make up@no", "down@no"), ("make up@se", "down@se")]),
    "static keys in one turn": (pair(hr.eager(), LANDS, LANDS), [("make up@no; make up@se", "down@no down@se")]),
    "a whole made from keys waits for all of them": (pair(hr.eager(), LANDS), [("make up@no", ""), ("make up@se", "down"), ("make down", ""), ("make up@no", "down")]),
    "keys made from a whole are all requested": (pair(hr.eager(), None, LANDS), [("make up", "down@no down@se"), ("make down@no", ""), ("make up", "down@no")]),
    "an external upstream is never missing": (FED, [("make feed", "down"), ("make down", ""), ("make feed", "down")]),
    "an external upstream does not hold back": (JOINT, [("make a", "down"), ("make down", ""), ("make feed", "down")]),
    "an external upstream alone is not enough": (JOINT, [("make feed", ""), ("make a", "down")]),
    "an unknown upstream holds back": ({"a": Made(), "down": Made(("a", "nowhere"), hr.eager())}, [("make a", ""), ("wait 1d", "")]),
    "a failed check upstream holds back and lets through": (pair(hr.eager() & hr.deps_checks_passed()), [("begin up", ""), ("make up; check up rows fails", ""), ("check up rows passes", "down")]),
    "a new upstream without verdict is let through": (pair(hr.eager() & hr.deps_checks_passed()), [("make up; check up rows fails", ""), ("make up", "down")]),
    "a failed check of its own does not hold back": (pair(hr.eager() & hr.deps_checks_passed()), [("make up", "down"), ("make down; check down rows fails", ""), ("make up", "down")]),
    "another leader asks for nothing by itself": (pair(hr.eager()), [("make up", "down"), ("takeover", ""), ("make down", ""), ("takeover", ""), ("make up", "down")]),
    "another leader knows that a step went out": (pair(hr.eager()), [("make up", "down"), ("start down", ""), ("make up", ""), ("takeover", ""), ("make down", "down")]),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_requested(name: str) -> None:
    act_out(*SCENARIOS[name])
