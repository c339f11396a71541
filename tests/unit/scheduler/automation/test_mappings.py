"""What conditions request over mappings of partitions: windows, cadences, zones and products."""

from __future__ import annotations

import pytest
from support.automated import Assets, Made, Script, act_out, mapped, pair

from hedgerow.conditions import constructors as hr
from hedgerow.partitions import mapping
from hedgerow.partitions.constructors import daily, hourly, monthly, static, weekly

DAYS, LANDS = daily("2026-01-01"), static("no", "se")
LATE = daily("2026-01-03")
OSLO, NEW_YORK = daily("2026-01-03", tz="Europe/Oslo"), daily("2026-01-02", tz="America/New_York")
HOURS = hourly("2026-01-05T09")
EACH = daily("2026-01-03") * static("no", "se", dim="land")
LAND = static("no", "se", dim="land")
ALL = hr.eager("all")
NEWS = hr.any_dep(hr.updated())

SCENARIOS: dict[str, tuple[Assets, Script] | tuple[Assets, Script, str]] = {
    "window: one day is in three": (mapped(NEWS, DAYS, DAYS, mapping.window(-2, 0)), [("make up@2026-01-02", "down@2026-01-02 down@2026-01-03 down@2026-01-04")]),
    "window: not in days that do not exist yet": (mapped(NEWS, DAYS, DAYS, mapping.window(-2, 0)), [("make up@2026-01-04", "down@2026-01-04"), ("at 2026-01-07T00:00", "")]),
    "window: eager waits for all three": (mapped(hr.eager(), DAYS, DAYS, mapping.window(-2, 0)), [("make up@2026-01-04", ""), ("make up@2026-01-02", ""), ("make up@2026-01-03", "down@2026-01-04")]),
    "window: yesterday only": (mapped(NEWS, DAYS, DAYS, mapping.window(-1, -1)), [("make up@2026-01-03", "down@2026-01-04"), ("make up@2026-01-04", ""), ("at 2026-01-06T00:00", "")]),
    "window: yesterday's news counts for the day that comes to exist later": (mapped(hr.any_dep(hr.updated()).since_handled(), DAYS, DAYS, mapping.window(-1, 0)), [("make up@2026-01-04", "down@2026-01-04"), ("at 2026-01-06T00:00", "down@2026-01-05")]),
    "last: any day asks the whole when it is the last": (mapped(NEWS, DAYS, None, mapping.last()), [("make up@2026-01-03", ""), ("make up@2026-01-04", "down")]),
    "last: the last moves on": (mapped(NEWS, DAYS, None, mapping.last()), [("at 2026-01-06T00:00", ""), ("make up@2026-01-04", ""), ("make up@2026-01-05", "down")]),
    "last two: eager waits for both": (mapped(hr.eager(), DAYS, None, mapping.last(2)), [("make up@2026-01-04", ""), ("make up@2026-01-03", "down")]),
    "last: a new day that is missing is noticed": (mapped(hr.any_dep(hr.missing()), DAYS, None, mapping.last()), [("make down", ""), ("make up@2026-01-04", ""), ("at 2026-01-06T00:00", "down")]),
    "all: any day asks the whole": (mapped(NEWS, DAYS, None, mapping.all()), [("make up@2026-01-01", "down"), ("make down", ""), ("make up@2026-01-04", "down")]),
    "all: eager waits for every day": (mapped(hr.eager(), LATE, None, mapping.all()), [("make up@2026-01-04", ""), ("make up@2026-01-03", "down")]),
    "all: a new day holds back until it is there": (mapped(hr.eager(), LATE, None, mapping.all()), [("make up@2026-01-03; make up@2026-01-04", "down"), ("make down", ""), ("at 2026-01-06T00:00", ""), ("make up@2026-01-04", ""), ("make up@2026-01-05", "down")]),
    "all: every key asks for every key": (mapped(NEWS, LANDS, LANDS, mapping.all()), [("make up@no", "down@no down@se")]),
    "keys: those that read it": (mapped(NEWS, LANDS, static("north", "west"), mapping.keys({"north": ["no", "se"], "west": "no"})), [("make up@se", "down@north"), ("make down@north", ""), ("make up@no", "down@north down@west")]),
    "keys: eager waits for those it reads": (mapped(hr.eager(), LANDS, static("north", "west"), mapping.keys({"north": ["no", "se"], "west": "no"})), [("make up@no", "down@west"), ("make up@se", "down@north")]),
    "keys: any other": (mapped(NEWS, LANDS, static("north", "west"), mapping.keys({"north": "no", "*": "se"})), [("make up@se", "down@west"), ("make up@no", "down@north")]),
    "hours to days: any hour of the day": (pair(NEWS, hourly("2026-01-04T00"), DAYS), [("make up@2026-01-04T07", "down@2026-01-04"), ("make up@2026-01-05T07", "")]),
    "hours to days: eager waits for every hour": (pair(hr.eager(), hourly("2026-01-05T21"), daily("2026-01-05")), [("at 2026-01-06T00:00", ""), ("make up@2026-01-05T21", ""), ("make up@2026-01-05T22", ""), ("make up@2026-01-05T23", "down@2026-01-05")]),
    "days to hours: every hour of the day": (pair(NEWS, DAYS, hourly("2026-01-04T22")), [("make up@2026-01-04", "down@2026-01-04T22 down@2026-01-04T23")]),
    "days to weeks: the week that holds the day": (pair(NEWS, daily("2025-12-22"), weekly("2025-12-22")), [("make up@2025-12-31", "down@2025-12-29"), ("make up@2025-12-28", "down@2025-12-22"), ("make up@2026-01-04", "")]),
    "days to weeks: eager waits for the whole week": (pair(hr.eager(), daily("2026-01-02"), weekly("2025-12-29")), [("make up@2026-01-02", ""), ("make up@2026-01-03", ""), ("make up@2026-01-04", "down@2025-12-29")]),
    "days to months over a leap day": (pair(NEWS, daily("2028-02-01"), monthly("2028-02")), [("make up@2028-02-29", "down@2028-02"), ("make up@2028-03-01", "")], "2028-03-05T12:00"),
    "Oslo's days to UTC's days: both that overlap": (pair(NEWS, OSLO, DAYS), [("make up@2026-01-04", "down@2026-01-03 down@2026-01-04")]),
    "New York's days to Oslo's days: both that overlap": (pair(NEWS, NEW_YORK, OSLO), [("make up@2026-01-03", "down@2026-01-03 down@2026-01-04")]),
    "New York's days to UTC's days: eager waits until the later one has ended": (pair(hr.eager(), daily("2026-01-05", tz="America/New_York"), daily("2026-01-06")), [("at 2026-01-07T05:00", ""), ("make up@2026-01-05", ""), ("make up@2026-01-06", "down@2026-01-06")]),
    "products: the same day and land": (pair(NEWS, EACH, EACH), [("make up@2026-01-04|no", "down@2026-01-04|no"), ("make up@2026-01-03|se", "down@2026-01-03|se")]),
    "products: a day of all lands": (pair(NEWS, EACH, LATE), [("make up@2026-01-04|no", "down@2026-01-04"), ("make up@2026-01-04|se", "")]),
    "products: eager waits for all lands of the day": (pair(hr.eager(), EACH, LATE), [("make up@2026-01-04|no", ""), ("make up@2026-01-04|se", "down@2026-01-04")]),
    "products: all lands made from a day": (pair(hr.eager(), LATE, EACH), [("make up@2026-01-04", "down@2026-01-04|no down@2026-01-04|se")]),
    "products: a land of all days": (pair(NEWS, EACH, LAND), [("make up@2026-01-03|se", "down@se")]),
    "products: every day made from a land": (pair(ALL, LAND, EACH), [("make up@no", "down@2026-01-03|no down@2026-01-04|no")]),
    "products: the last land's day only": (pair(hr.eager(), LAND, EACH), [("make up@no", "down@2026-01-04|no")]),
    "by dim: a window of one dimension": (mapped(NEWS, EACH, EACH, mapping.by_dim(time=mapping.window(-1, 0))), [("make up@2026-01-03|no", "down@2026-01-03|no down@2026-01-04|no")]),
    "by dim: all of the other": (mapped(NEWS, EACH, EACH, mapping.by_dim(land=mapping.all())), [("make up@2026-01-04|no", "down@2026-01-04|no down@2026-01-04|se")]),
    "by dim: keys of the other": (mapped(NEWS, EACH, EACH, mapping.by_dim(land=mapping.keys({"no": "no", "se": ["no", "se"]}))), [("make up@2026-01-04|no", "down@2026-01-04|no down@2026-01-04|se"), ("make up@2026-01-03|se", "down@2026-01-03|se")]),
    "two upstream with mappings of their own": ({"a": Made(partitions=LANDS), "b": Made(partitions=DAYS), "down": Made((("a", mapping.all()), ("b", mapping.same())), hr.eager(), DAYS)}, [("make a@no; make a@se", ""), ("make b@2026-01-04", "down@2026-01-04"), ("make down@2026-01-04", ""), ("make a@no", "down@2026-01-04")]),
    "a chain of mappings is requested at once": ({"a": Made(partitions=DAYS), "b": Made(("a",), hr.eager(), DAYS), "c": Made((("b", mapping.last()),), hr.eager())}, [("make a@2026-01-04", "b@2026-01-04 c"), ("make b@2026-01-04", ""), ("make c", "")]),
    "a new hour upstream of a whole": (mapped(hr.eager(), HOURS, None, mapping.last()), [("make up@2026-01-05T11", "down"), ("make down", ""), ("wait 1h", ""), ("make up@2026-01-05T12", "down")]),
    "on_cron over a window": (mapped(hr.on_cron("0 6 * * *"), DAYS, DAYS, mapping.window(-1, 0)), [("at 2026-01-06T06:00", ""), ("make up@2026-01-05", ""), ("make up@2026-01-04", "down@2026-01-05")]),
    "an hour shown twice is two partitions of one day": (pair(NEWS, hourly("2026-10-25T00", tz="Europe/Oslo"), daily("2026-10-25", tz="Europe/Oslo")), [("make up@2026-10-25T01", "down@2026-10-25")], "2026-10-26T12:00"),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_requested(name: str) -> None:
    act_out(*SCENARIOS[name])
