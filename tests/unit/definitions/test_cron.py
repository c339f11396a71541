"""Cron in local time: what the clocks skip runs once after the gap, what they repeat runs once, and intervals follow the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.cron import Cron, cron, last_tick, next_tick, ticks
from hedgerow.errors import DefinitionError

OSLO, NEW_YORK, LORD_HOWE = "Europe/Oslo", "America/New_York", "Australia/Lord_Howe"


def local(tz: str, text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(tz))


@pytest.mark.parametrize(
    ("expression", "tz", "after", "expected"),
    [
        # the clocks go forward: a time of day that is skipped runs when the gap ends, and only once
        ("30 2 * * *", OSLO, "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
        ("0 2 * * *", NEW_YORK, "2026-03-07T12:00", ["2026-03-08T03:00-04:00", "2026-03-09T02:00-04:00"]),
        ("15 2 * * *", LORD_HOWE, "2026-10-03T12:00", ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"]),
        ("0,30 2 * * *", OSLO, "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]),
        ("0 2,3 * * *", OSLO, "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]),
        ("0 3 * * *", OSLO, "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T03:00+02:00"]),
        # an interval leaves out what the clocks leave out
        ("*/30 * * * *", OSLO, "2026-03-29T01:00", ["2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00"]),
        ("0 */2 * * *", OSLO, "2026-03-29T00:00", ["2026-03-29T04:00+02:00", "2026-03-29T06:00+02:00"]),
        ("*/20 2 * * *", NEW_YORK, "2026-03-07T12:00", ["2026-03-09T02:00-04:00", "2026-03-09T02:20-04:00"]),
        ("*/15 * * * *", LORD_HOWE, "2026-10-04T01:45", ["2026-10-04T02:30+11:00", "2026-10-04T02:45+11:00"]),
        # what it asks for was skipped, and comes again a week later only
        ("* 0 29 3,10,11 0,6", "America/Havana", "2018-03-10T20:00", ["2018-03-17T00:00-04:00", "2018-03-17T00:01-04:00"]),
        # the clocks go back: a time of day runs the first time only
        ("30 2 * * *", OSLO, "2026-10-24T12:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        ("30 1 * * *", NEW_YORK, "2026-10-31T12:00", ["2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-04T12:00", ["2026-04-05T01:45+11:00", "2026-04-06T01:45+10:30"]),
        ("0 2 * * *", LORD_HOWE, "2026-04-04T12:00", ["2026-04-05T02:00+10:30", "2026-04-06T02:00+10:30"]),
        # an interval runs whenever the clocks show it
        ("30 * * * *", OSLO, "2026-10-25T01:45", ["2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00"]),
        ("0 * * * *", NEW_YORK, "2026-11-01T00:30", ["2026-11-01T01:00-04:00", "2026-11-01T01:00-05:00"]),
        ("*/30 2 * * *", LORD_HOWE, "2026-04-04T12:00", ["2026-04-05T02:00+10:30", "2026-04-05T02:30+10:30"]),
        ("0 */2 * * *", LORD_HOWE, "2026-04-05T00:30", ["2026-04-05T02:00+10:30", "2026-04-05T04:00+10:30"]),
        # leap days and the ends of months
        ("0 0 29 2 *", "UTC", "2026-01-01", ["2028-02-29T00:00+00:00", "2032-02-29T00:00+00:00"]),
        ("0 0 29 2 *", "UTC", "2096-03-01", ["2104-02-29T00:00+00:00", "2108-02-29T00:00+00:00"]),
        ("0 0 31 * *", OSLO, "2026-03-31T00:00", ["2026-05-31T00:00+02:00", "2026-07-31T00:00+02:00"]),
        ("0 0 L * *", OSLO, "2026-02-01", ["2026-02-28T00:00+01:00", "2026-03-31T00:00+02:00"]),
        ("59 23 28-31 2 *", "UTC", "2028-02-28T23:59", ["2028-02-29T23:59+00:00", "2029-02-28T23:59+00:00"]),
        # a day of the month and a day of the week: either
        ("0 0 13 * FRI", "UTC", "2026-11-12", ["2026-11-13T00:00+00:00", "2026-11-20T00:00+00:00"]),
        ("0 6 * * 1-5", OSLO, "2026-11-27T06:00", ["2026-11-30T06:00+01:00", "2026-12-01T06:00+01:00"]),
        # the day that Samoa skipped: once, when the next one began
        ("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00", ["2011-12-31T00:00+14:00", "2011-12-31T12:00+14:00"]),
    ],
)  # fmt: skip
def test_the_next_two_ticks(expression: str, tz: str, after: str, expected: list[str]) -> None:
    found = list(islice(ticks(cron(expression, tz), local(tz, after)), 2))
    assert [tick.astimezone(ZoneInfo(tz)).isoformat(timespec="minutes") for tick in found] == expected


EXPRESSIONS = st.sampled_from(
    [
        "*/15 * * * *",
        "7 * * * *",
        "0 */3 * * *",
        "*/20 2 * * *",
        "0 1-3 * * *",
        "30 2 * * *",
        "0 0 * * *",
        "5 1,2 1 * *",
    ]
)
ZONES = st.sampled_from([OSLO, NEW_YORK, LORD_HOWE, "Africa/Casablanca", "Pacific/Apia", "Asia/Kolkata"])
FIRST = datetime(2011, 1, 1, tzinfo=UTC)
INSTANTS = st.integers(0, 16 * 365 * 24 * 60).map(lambda minutes: FIRST + timedelta(minutes=minutes))
CHANGES = st.builds(
    lambda day, minutes: datetime.fromisoformat(f"{day}T00:00+00:00") + timedelta(minutes=minutes),
    st.sampled_from(["2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-04-05", "2026-10-04"]),
    st.integers(-2000, 2000),
)


@given(EXPRESSIONS, ZONES, INSTANTS | CHANGES)
def test_the_last_tick_is_the_one_after_which_the_next_follows(expression: str, tz: str, instant: datetime) -> None:
    of = Cron(expression, tz)
    following = next_tick(of, instant)
    assert following > instant
    assert last_tick(of, following) == following
    last = last_tick(of, instant)
    assert last <= instant
    assert next_tick(of, last) == following


@given(st.sampled_from(["*/15 * * * *", "7 * * * *", "0 */3 * * *", "*/20 2 * * *"]), ZONES, CHANGES)
def test_an_interval_ticks_in_each_minute_whose_wall_clock_matches(expression: str, tz: str, start: datetime) -> None:
    def matches(instant: datetime) -> bool:
        wall = instant.astimezone(ZoneInfo(tz)).replace(tzinfo=None)
        return next(CronSim(expression, wall - timedelta(minutes=1))) == wall

    end = start + timedelta(hours=8)
    wanted = [minute for count in range(1, 481) if matches(minute := start + timedelta(minutes=count))]
    found = []
    for tick in ticks(Cron(expression, tz), start):
        if tick > end:
            break
        found.append(tick)
    assert found == wanted


@pytest.mark.parametrize(
    ("expression", "tz", "code", "told"),
    [
        ("@daily", "UTC", "HR-D108", "1 field instead of five"),
        ("0 0 6 * * *", "UTC", "HR-D108", "6 fields instead of five"),
        ("", "UTC", "HR-D108", "0 fields"),
        ("0 0 30 2 *", "UTC", "HR-D108", "bad day-of-month"),
        ("60 * * * *", "UTC", "HR-D108", "bad minute"),
        ("*/0 * * * *", "UTC", "HR-D108", "no time at all"),
        (5, "UTC", "HR-D108", "5 is not a cron expression"),
        ("0 6 * * *", "Europe/Osl", "HR-D103", "'Europe/Osl'"),
    ],
)
def test_what_is_no_cron_expression_is_refused(expression: str, tz: str, code: str, told: str) -> None:
    with pytest.raises(DefinitionError) as raised:
        cron(expression, tz)
    (problem,) = raised.value.problems
    assert problem.code == code
    assert told in problem.message
    assert problem.remedy
