"""What operators make of their operands: over time, over breaks, over upstream assets."""

from __future__ import annotations

import pytest
from support.automated import Assets, Made, Script, act_out, pair

from hedgerow.conditions import constructors as hr
from hedgerow.conditions.model import Condition
from hedgerow.partitions.constructors import daily, static

DAYS, LANDS = daily("2026-01-01"), static("no", "se")
NEWS = hr.any_dep(hr.updated()).since_handled()


def only(condition: Condition) -> Assets:
    return {"only": Made((), condition)}


def two(condition: Condition) -> Assets:
    return {"a": Made(), "b": Made(), "down": Made(("a", "b"), condition)}


SCENARIOS: dict[str, tuple[Assets, Script]] = {
    "and: both at once": (two(hr.any_dep(hr.failed(), "a") & hr.any_dep(hr.failed(), "b")), [("fail a", ""), ("fail b", "down")]),
    "and: not one after the other": (two(hr.any_dep(hr.failed(), "a") & hr.any_dep(hr.failed(), "b")), [("fail a", ""), ("make a", ""), ("fail b", "")]),
    "or: the second while the first holds is no news": (two(hr.any_dep(hr.failed(), "a") | hr.any_dep(hr.failed(), "b")), [("fail a", "down"), ("make down", ""), ("fail b", ""), ("make a", ""), ("make b", ""), ("fail b", "down")]),
    "not: when it stops": (pair(~hr.any_dep(hr.missing())), [("make up", "down"), ("make up", "")]),
    "not not is nothing": (pair(~~hr.any_dep(hr.failed())), [("fail up", "down")]),
    "since: remembers a moment": (two(hr.any_dep(hr.updated(), "a").since(hr.any_dep(hr.updated(), "b"))), [("make a", "down"), ("make down", ""), ("make a", ""), ("make b", ""), ("make a", "down")]),
    "since: both at once is not": (two(hr.any_dep(hr.updated(), "a").since(hr.any_dep(hr.updated(), "b"))), [("make a; make b", ""), ("make a", "down")]),
    "since: asked of an upstream partition": (pair(hr.all_deps(hr.updated().since(hr.failed())), LANDS), [("make up@no", ""), ("fail up@no", ""), ("make up@se", ""), ("make up@no", "down")]),
    "since handled: until a step goes out": (pair(NEWS), [("begin down; begin up", ""), ("make up", ""), ("start down", ""), ("make up", "down")]),
    "since: what is so when it is reset has to become so anew": (pair(hr.any_dep(hr.failed()).since_handled()), [("fail up", "down"), ("make down", ""), ("takeover", ""), ("make up", ""), ("fail up", "down")]),
    "since handled: what was so at first does not count for another leader either": (only(hr.missing().since_handled()), [("takeover", ""), ("fail only", "")]),
    "became true: a moment of a state": (only(hr.failed().became_true()), [("fail only", "only"), ("fail only", ""), ("make only", ""), ("fail only", "only")]),
    "became true: not what was so at first, when handled": (only(hr.missing().became_true().since_handled()), [("wait 1d", ""), ("fail only", "")]),
    "became true: not at first for an update": (pair(hr.any_dep(hr.updated()).became_true()), [("make up", "down"), ("make down", ""), ("make up", "down")]),
    "became true: each time anew, when that is kept": (pair(hr.any_dep(hr.updated()).became_true().since_handled()), [("make up", "down"), ("make down", ""), ("make up", "down"), ("make down", ""), ("make up", "down")]),
    "became true: when a moment is over": (pair((~hr.any_dep(hr.updated())).became_true().since_handled()), [("make up", "down"), ("make down", ""), ("make up", "down")]),
    "became true: of an upstream partition": (pair(hr.any_dep(hr.failed().became_true()), LANDS, LANDS), [("fail up@no", "down@no"), ("fail up@se", "down@se"), ("fail up@no", "")]),
    "debounce: after so long": (pair(hr.any_dep(hr.failed()).debounce("5m")), [("fail up", ""), ("wait 4m", ""), ("wait 59s", ""), ("wait 1s", "down")]),
    "debounce: a break starts it anew": (pair(hr.any_dep(hr.failed()).debounce("5m")), [("fail up", ""), ("wait 4m", ""), ("make up", ""), ("fail up", ""), ("wait 4m", ""), ("wait 1m", "down")]),
    "debounce: a break at the last moment": (pair(hr.any_dep(hr.failed()).debounce("5m")), [("fail up", ""), ("wait 4m", ""), ("make up", ""), ("wait 10m", "")]),
    "debounce: news in between does not put it off": (pair(NEWS.debounce("5m")), [("make up", ""), ("wait 3m", ""), ("make up", ""), ("wait 2m", "down")]),
    "debounce: once": (pair(NEWS.debounce("5m")), [("make up", ""), ("wait 5m", "down"), ("make down", ""), ("wait 1h", ""), ("make up", ""), ("wait 5m", "down")]),
    "debounce: each partition has its own time": (pair(hr.any_dep(hr.failed()).debounce("5m"), LANDS, LANDS), [("fail up@no", ""), ("wait 3m", ""), ("fail up@se", ""), ("wait 2m", "down@no"), ("wait 3m", "down@se")]),
    "debounce: another leader goes on counting": (pair(NEWS.debounce("5m")), [("make up", ""), ("wait 3m", ""), ("takeover", ""), ("wait 1m", ""), ("wait 1m", "down")]),
    "debounce: asked of an upstream key": (pair(hr.any_dep(hr.failed().debounce("5m")), LANDS), [("fail up@se", ""), ("wait 4m", ""), ("takeover", ""), ("wait 1m", "down")]),
    "debounce: a moment is never long enough": (pair(hr.any_dep(hr.updated()).debounce("1m")), [("make up", ""), ("wait 10m", "")]),
    "at most: twice an hour": (pair(hr.any_dep(hr.updated()).at_most(2, per="1h")), [("make up", "down"), ("make down", ""), ("make up", "down"), ("make down", ""), ("make up", ""), ("wait 1h", "")]),
    "at most: what waits goes when the time is over": (pair(NEWS.at_most(1, per="1h")), [("make up", "down"), ("make down", ""), ("wait 30m", ""), ("make up", ""), ("wait 29m", ""), ("wait 1m", "down")]),
    "at most: by partition": (pair(NEWS.at_most(1, per="1h"), LANDS, LANDS), [("make up@no", "down@no"), ("make down@no", ""), ("make up@no", ""), ("make up@se", "down@se"), ("wait 1h", "down@no")]),
    "at most: made by hand does not count": (pair(NEWS.at_most(1, per="1h")), [("make down", ""), ("make up", "down")]),
    "at most: another leader goes on counting": (pair(NEWS.at_most(1, per="1h")), [("make up", "down"), ("make down", ""), ("takeover", ""), ("make up", ""), ("wait 59m", ""), ("wait 1m", "down")]),
    "at most: a sliding hour": (pair(NEWS.at_most(2, per="1h")), [("make up", "down"), ("make down", ""), ("wait 40m", ""), ("make up", "down"), ("make down", ""), ("make up", ""), ("wait 19m", ""), ("wait 1m", "down"), ("make down", ""), ("make up", ""), ("wait 39m", ""), ("wait 1m", "down")]),
    "except during: held back over midnight": (pair(NEWS.except_during("0 22 * * *", "8h")), [("at 2026-01-05T23:00", ""), ("make up", ""), ("at 2026-01-06T05:59", ""), ("at 2026-01-06T06:00", "down")]),
    "except during: before it begins": (pair(NEWS.except_during("0 22 * * *", "8h")), [("at 2026-01-05T21:59", ""), ("make up", "down")]),
    "except during: at its first instant": (pair(NEWS.except_during("0 22 * * *", "8h")), [("at 2026-01-05T22:00", ""), ("make up", ""), ("at 2026-01-06T06:00", "down")]),
    "except during: at its end": (pair(NEWS.except_during("0 22 * * *", "8h")), [("at 2026-01-06T06:00", ""), ("make up", "down")]),
    "except during: two updates are one": (pair(NEWS.except_during("0 22 * * *", "8h")), [("at 2026-01-05T23:00", ""), ("make up", ""), ("at 2026-01-06T01:00", ""), ("make up", ""), ("at 2026-01-06T06:00", "down"), ("wait 10h", "")]),
    "except during: what is over by then is not requested": (pair(hr.any_dep(hr.failed()).except_during("0 22 * * *", "8h")), [("at 2026-01-05T23:00", ""), ("fail up", ""), ("make up", ""), ("at 2026-01-06T07:00", "")]),
    "except during: a moment within it is lost": (pair(hr.any_dep(hr.updated()).except_during("0 22 * * *", "8h")), [("at 2026-01-05T23:00", ""), ("make up", ""), ("at 2026-01-06T07:00", "")]),
    "except during: over a change of clocks in Oslo": (pair(NEWS.except_during("0 22 * * *", "8h", "Europe/Oslo")), [("at 2026-03-28T21:30", ""), ("make up", ""), ("at 2026-03-29T04:59", ""), ("at 2026-03-29T05:00", "down")]),
    "except during: another leader keeps it": (pair(NEWS.except_during("0 22 * * *", "8h")), [("at 2026-01-05T23:00", ""), ("make up", ""), ("takeover", ""), ("at 2026-01-06T06:00", "down")]),
    "except during: a state that began before and goes on is requested again afterwards": (pair(hr.any_dep(hr.failed()).except_during("0 22 * * *", "8h")), [("fail up", "down"), ("make down", ""), ("at 2026-01-06T05:59", ""), ("at 2026-01-06T06:00", "down")]),
    "any dep: one of the keys": (two(hr.any_dep(hr.updated(), "b")), [("make a", ""), ("make b", "down")]),
    "any dep: all but one": (two(hr.any_dep(hr.updated(), but="b")), [("make b", ""), ("make a", "down")]),
    "any dep: both are one": (two(hr.any_dep(hr.updated())), [("make a; make b", "down")]),
    "any dep: a key that is not upstream never holds": (two(hr.any_dep(hr.updated(), "elsewhere")), [("make a", ""), ("make b", "")]),
    "any dep: without upstream never": (only(hr.any_dep(hr.missing())), [("wait 1h", ""), ("make only", "")]),
    "all deps: every one": (two(hr.all_deps(hr.failed())), [("fail a", ""), ("fail b", "down")]),
    "all deps: one of the keys": (two(hr.all_deps(hr.failed(), "b")), [("fail a", ""), ("fail b", "down")]),
    "all deps: all but one": (two(hr.all_deps(hr.failed(), but="b")), [("fail b", ""), ("fail a", "down")]),
    "all deps: every partition": (pair(hr.all_deps(hr.failed()), LANDS), [("fail up@no", ""), ("fail up@se", "down")]),
    "all deps some: one partition of each": (pair(hr.all_deps(hr.failed(), some=True), LANDS), [("fail up@no", "down"), ("fail up@se", "")]),
    "all deps some: of every asset": ({"a": Made(partitions=LANDS), "b": Made(), "down": Made(("a", "b"), hr.all_deps(hr.failed(), some=True))}, [("fail a@se", ""), ("fail b", "down")]),
    "all deps and not any dep: the same but for nothing": (two(~hr.any_dep(~hr.failed())), [("fail a", ""), ("fail b", "down")]),
    "labeled: the same": (pair(hr.any_dep(hr.failed()).labeled("trouble upstream")), [("fail up", "down")]),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_requested(name: str) -> None:
    act_out(*SCENARIOS[name])
