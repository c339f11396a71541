"""What `on_cron` requests, and when: calendars and changes of the clocks included."""

from __future__ import annotations

import pytest
from support.automated import NOON, Assets, Made, Script, act_out, pair

from hedgerow.conditions import constructors as hr
from hedgerow.conditions.model import Condition
from hedgerow.partitions.constructors import daily, monthly, static

DAYS, LANDS = daily("2026-01-01"), static("no", "se")
SIX = hr.on_cron("0 6 * * *")
TWO = {"a": Made(), "b": Made(), "down": Made(("a", "b"), SIX)}


def only(condition: Condition) -> Assets:
    return {"only": Made((), condition)}


def at(expression: str, tz: str) -> Assets:
    return only(hr.on_cron(expression, tz))


SCENARIOS: dict[str, tuple[Assets, Script] | tuple[Assets, Script, str]] = {
    "nothing upstream: when it comes due": (only(SIX), [("at 2026-01-06T05:59", ""), ("at 2026-01-06T06:00", "only"), ("make only", "")]),
    "nothing upstream: every day": (only(SIX), [("at 2026-01-06T06:00", "only"), ("make only", ""), ("at 2026-01-07T06:00", "only")]),
    "a step that still waits at the next tick is not doubled": (only(SIX), [("at 2026-01-06T06:00", "only"), ("at 2026-01-07T06:00", ""), ("make only", "")]),
    "once everything upstream is new": (pair(SIX), [("make up", ""), ("at 2026-01-06T06:00", ""), ("make up", "down"), ("make down", ""), ("make up", "")]),
    "what came before the tick does not count": (pair(SIX), [("at 2026-01-06T05:00", ""), ("make up", ""), ("at 2026-01-06T07:00", "")]),
    "a second update after the tick asks for nothing": (pair(SIX), [("at 2026-01-06T06:00", ""), ("make up", "down"), ("make down", ""), ("make up", ""), ("wait 2h", "")]),
    "the next tick starts anew": (pair(SIX), [("at 2026-01-06T06:00; make up", "down"), ("make down", ""), ("at 2026-01-07T06:00", ""), ("make up", "down")]),
    "two upstream: both after the tick": (TWO, [("at 2026-01-06T06:00", ""), ("make a", ""), ("make a", ""), ("make b", "down")]),
    "two upstream: one before the tick is too early": (TWO, [("make a", ""), ("at 2026-01-06T06:00", ""), ("make b", ""), ("make a", "down")]),
    "an upstream tick missed is made up for by the next": (pair(SIX), [("at 2026-01-07T05:00", ""), ("make up", "down"), ("make down", ""), ("at 2026-01-07T06:00", "")]),
    "a tick shared with upstream: requested together": ({"up": Made((), SIX), "down": Made(("up",), SIX)}, [("at 2026-01-06T06:00", "down up"), ("make up", ""), ("make down", "")]),
    "an hourly upstream and a daily downstream": ({"up": Made((), hr.on_cron("0 * * * *")), "down": Made(("up",), SIX)}, [("at 2026-01-05T13:00", "up"), ("make up", ""), ("at 2026-01-06T05:30", "up"), ("make up", ""), ("at 2026-01-06T06:00", "down up")]),
    "an external upstream counts when it is seen updated": ({"feed": Made(external=True), "down": Made(("feed",), SIX)}, [("at 2026-01-06T06:00", ""), ("make feed", "down")]),
    "the last day at each tick": ({"only": Made((), SIX, DAYS)}, [("at 2026-01-06T06:00", "only@2026-01-05"), ("at 2026-01-07T06:00", "only@2026-01-06")]),
    "every day at each tick where all are asked for": ({"only": Made((), hr.on_cron("0 6 * * *", window="all"), daily("2026-01-03"))}, [("at 2026-01-06T06:00", "only@2026-01-03 only@2026-01-04 only@2026-01-05")]),
    "days of two days at each tick": ({"only": Made((), hr.on_cron("0 6 * * *", window="2d"), DAYS)}, [("at 2026-01-06T06:00", "only@2026-01-04 only@2026-01-05")]),
    "the last day once its upstream is there": (pair(SIX, DAYS, DAYS), [("at 2026-01-06T06:00", ""), ("make up@2026-01-04", ""), ("make up@2026-01-05", "down@2026-01-05")]),
    "a day that was not asked for in time is passed over": (pair(SIX, DAYS, DAYS), [("at 2026-01-06T06:00", ""), ("at 2026-01-07T00:00", ""), ("make up@2026-01-05", "")]),
    "static keys one by one": (pair(SIX, LANDS, LANDS), [("at 2026-01-06T06:00", ""), ("make up@se", "down@se"), ("make up@no", "down@no")]),
    "a whole made from keys waits for all": (pair(SIX, LANDS), [("at 2026-01-06T06:00", ""), ("make up@se", ""), ("make up@no", "down")]),
    "a failure is not tried again before the next tick": (only(SIX), [("at 2026-01-06T06:00", "only"), ("fail only", ""), ("wait 12h", ""), ("at 2026-01-07T06:00", "only")]),
    "made by hand between ticks changes nothing": (only(SIX), [("make only", ""), ("at 2026-01-06T06:00", "only")]),
    "a tick while it runs asks again afterwards no more than once": (only(SIX), [("at 2026-01-06T06:00", "only"), ("start only", ""), ("at 2026-01-07T06:00", "only"), ("make only", ""), ("make only", "")]),
    "ticks while nobody leads are one": (only(SIX), [("at 2026-01-06T06:00", "only"), ("make only; takeover", ""), ("at 2026-01-07T06:00", "only")]),
    "another leader goes on waiting for upstream": (pair(SIX), [("at 2026-01-06T06:00", ""), ("takeover", ""), ("make up", "down")]),
    "the thirty-first only in months that have one": (at("0 0 31 * *", "UTC"), [("at 2026-01-31T00:00", "only"), ("make only", ""), ("at 2026-03-30T23:59", ""), ("at 2026-03-31T00:00", "only")]),
    "a leap day": (at("0 12 29 2 *", "UTC"), [("at 2028-02-29T11:59", ""), ("at 2028-02-29T12:00", "only")]),
    "the day after the end of February in a leap year": ({"only": Made((), hr.on_cron("0 1 * * *"), daily("2028-02-20"))}, [("at 2028-02-29T01:00", "only@2028-02-28"), ("at 2028-03-01T01:00", "only@2028-02-29")], "2028-02-28T12:00"),
    "month end: the month that has ended": ({"only": Made((), hr.on_cron("0 3 1 * *"), monthly("2025-10"))}, [("at 2026-02-01T03:00", "only@2026-01"), ("at 2026-03-01T03:00", "only@2026-02")]),
    "the turn of the year": (only(hr.on_cron("0 0 1 1 *")), [("at 2026-12-31T23:59", ""), ("at 2027-01-01T00:00", "only")]),
    "Oslo in winter": (at("0 6 * * *", "Europe/Oslo"), [("at 2026-01-06T04:59", ""), ("at 2026-01-06T05:00", "only")]),
    "Oslo in summer": (at("0 6 * * *", "Europe/Oslo"), [("at 2026-07-02T03:59", ""), ("at 2026-07-02T04:00", "only")], "2026-07-01T12:00"),
    "Oslo skips half past two: after the gap, once": (at("30 2 * * *", "Europe/Oslo"), [("at 2026-03-29T00:59", ""), ("at 2026-03-29T01:00", "only"), ("make only", ""), ("at 2026-03-30T00:29", ""), ("at 2026-03-30T00:30", "only")], "2026-03-28T12:00"),
    "Oslo shows half past two twice: the first time": (at("30 2 * * *", "Europe/Oslo"), [("at 2026-10-25T00:30", "only"), ("make only", ""), ("at 2026-10-25T02:00", ""), ("at 2026-10-26T01:30", "only")], "2026-10-24T12:00"),
    "Oslo each hour while the clocks go back: both times": (at("30 * * * *", "Europe/Oslo"), [("at 2026-10-25T00:30", "only"), ("make only", ""), ("at 2026-10-25T01:30", "only"), ("make only", "")], "2026-10-25T00:00"),
    "Oslo each hour while the clocks go forward: no more than there are": (at("30 * * * *", "Europe/Oslo"), [("at 2026-03-29T00:30", "only"), ("make only", ""), ("at 2026-03-29T01:29", ""), ("at 2026-03-29T01:30", "only")], "2026-03-29T00:00"),
    "New York skips half past two: after the gap": (at("30 2 * * *", "America/New_York"), [("at 2026-03-08T06:59", ""), ("at 2026-03-08T07:00", "only"), ("make only", ""), ("at 2026-03-09T06:30", "only")], "2026-03-07T12:00"),
    "New York shows half past one twice: the first time": (at("30 1 * * *", "America/New_York"), [("at 2026-11-01T05:30", "only"), ("make only", ""), ("at 2026-11-01T07:00", ""), ("at 2026-11-02T06:30", "only")], "2026-10-31T12:00"),
    "Lord Howe goes forward by half an hour: after the gap": (at("15 2 * * *", "Australia/Lord_Howe"), [("at 2026-10-03T15:29", ""), ("at 2026-10-03T15:30", "only"), ("make only", ""), ("at 2026-10-04T15:15", "only")], "2026-10-03T00:00"),
    "Lord Howe goes back by half an hour: the first time": (at("45 1 * * *", "Australia/Lord_Howe"), [("at 2026-04-04T14:44", ""), ("at 2026-04-04T14:45", "only"), ("make only", ""), ("at 2026-04-05T15:14", ""), ("at 2026-04-05T15:15", "only")], "2026-04-04T00:00"),
    "an Oslo day of twenty-three hours": ({"only": Made((), hr.on_cron("0 0 * * *", "Europe/Oslo"), daily("2026-03-01", tz="Europe/Oslo"))}, [("at 2026-03-28T23:00", "only@2026-03-28"), ("at 2026-03-29T21:59", ""), ("at 2026-03-29T22:00", "only@2026-03-29")], "2026-03-28T12:00"),
    "an Oslo day of twenty-five hours": ({"only": Made((), hr.on_cron("0 0 * * *", "Europe/Oslo"), daily("2026-10-01", tz="Europe/Oslo"))}, [("at 2026-10-24T22:00", "only@2026-10-24"), ("at 2026-10-25T22:59", ""), ("at 2026-10-25T23:00", "only@2026-10-25")], "2026-10-24T12:00"),
    "two expressions are two reasons": (only((hr.cron_tick("0 6 * * *") | hr.cron_tick("0 18 * * *")).since_handled()), [("at 2026-01-05T18:00", "only"), ("make only", ""), ("at 2026-01-06T06:00", "only")], NOON),
    "weekdays only": (at("0 6 * * MON-FRI", "UTC"), [("at 2026-01-09T06:00", "only"), ("make only", ""), ("at 2026-01-12T05:59", ""), ("at 2026-01-12T06:00", "only")], "2026-01-09T00:00"),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_requested(name: str) -> None:
    act_out(*SCENARIOS[name])
