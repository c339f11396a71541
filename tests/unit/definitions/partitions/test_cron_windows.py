"""Windows between the ticks of a cron expression: daylight saving, leap days, ends of months, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.cron import cron, last_tick, ticks
from hedgerow.errors import DefinitionError
from hedgerow.partitions import count, cron_windows, daily, keys, upstream_keys, window
from hedgerow.partitions.algebra import latest
from hedgerow.partitions.instants import first_instant, odd_days
from hedgerow.partitions.ticks import Ticks

OSLO, NEW_YORK, LORD_HOWE = "Europe/Oslo", "America/New_York", "Australia/Lord_Howe"
ZONES = ["UTC", OSLO, NEW_YORK, LORD_HOWE, "America/Havana", "America/Sao_Paulo", "America/St_Johns", "Pacific/Apia"]
NOW = datetime(2037, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "tz", "start", "expected"),
    [
        # the clocks go forward: a time of day that is skipped is the end of the gap, an interval leaves it out
        ("30 2 * * *", OSLO, "2026-03-28", ["03-28T02:30", "03-29T03:00", "03-30T02:30"]),
        ("*/30 1-3 * * *", OSLO, "2026-03-29", ["03-29T01:00", "03-29T01:30", "03-29T03:00", "03-29T03:30"]),
        ("0 2 * * *", NEW_YORK, "2026-03-07", ["03-07T02:00", "03-08T03:00", "03-09T02:00"]),
        ("*/20 2 * * *", NEW_YORK, "2026-03-07T02:40", ["03-07T02:40", "03-09T02:00", "03-09T02:20"]),
        ("15 2 * * *", LORD_HOWE, "2026-10-03", ["10-03T02:15", "10-04T02:30", "10-05T02:15"]),
        ("*/15 2 * * *", LORD_HOWE, "2026-10-04", ["10-04T02:30", "10-04T02:45", "10-05T02:00"]),
        # the clocks go back: an interval has windows of both hours, a time of day one
        ("*/30 2 * * *", OSLO, "2026-10-25", ["10-25T02:00", "10-25T02:30", "10-25T02b:00", "10-25T02b:30", "10-26T02:00"]),
        ("30 2 * * *", OSLO, "2026-10-25", ["10-25T02:30", "10-26T02:30"]),
        ("30 * * * *", NEW_YORK, "2026-11-01", ["11-01T00:30", "11-01T01:30", "11-01T01b:30", "11-01T02:30"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-05", ["04-05T01:45", "04-06T01:45"]),
        ("*/15 1 * * *", LORD_HOWE, "2026-04-05T01:30", ["04-05T01:30", "04-05T01:45", "04-05T01b:30", "04-05T01b:45"]),
        # leap days, ends of months, weekdays
        ("0 0 29 2 *", "UTC", "2024-01-01", ["2024-02-29T00:00", "2028-02-29T00:00", "2032-02-29T00:00"]),
        ("0 0 L * *", OSLO, "2028-01-01", ["01-31T00:00", "02-29T00:00", "03-31T00:00", "04-30T00:00"]),
        ("0 0 31 * *", OSLO, "2026-03-01", ["03-31T00:00", "05-31T00:00", "07-31T00:00"]),
        ("0 6 * * MON-FRI", OSLO, "2026-11-27", ["11-27T06:00", "11-30T06:00", "12-01T06:00"]),
        ("0 12 * * *", "Pacific/Apia", "2011-12-29", ["12-29T12:00", "12-31T00:00", "12-31T12:00"]),
    ],
)  # fmt: skip
def test_a_window_begins_at_each_tick(expression: str, tz: str, start: str, expected: list[str]) -> None:
    found = keys(cron_windows(expression, start, tz=tz), NOW)[: len(expected)]
    assert [key[-len(like) :] for key, like in zip(found, expected, strict=True)] == expected
    assert list(found) == sorted(found)


def test_a_window_runs_to_the_next_tick_and_exists_once_that_has_come() -> None:
    workdays = cron_windows("0 6 * * MON-FRI", "2026-03-01", "2026-04-01", tz=OSLO)
    friday = window(workdays, "2026-03-27T06:00")
    assert friday is not None
    assert [edge.isoformat() for edge in friday] == ["2026-03-27T06:00:00+01:00", "2026-03-30T06:00:00+02:00"]
    assert latest(workdays, friday[1] - timedelta(microseconds=1)) == ("2026-03-26T06:00",)
    assert latest(workdays, friday[1]) == ("2026-03-27T06:00",)
    assert (count(workdays, NOW), keys(workdays, NOW)[-1]) == (22, "2026-03-31T06:00")


def test_windows_and_days_are_read_by_overlap() -> None:
    workdays, days = cron_windows("0 6 * * MON-FRI", "2026-03-02", tz=OSLO), daily("2026-01-01", tz=OSLO)
    read = upstream_keys(None, workdays, days, "2026-03-27T06:00", NOW)
    assert read == ("2026-03-27", "2026-03-28", "2026-03-29", "2026-03-30")
    assert upstream_keys(None, days, workdays, "2026-03-30", NOW) == ("2026-03-27T06:00", "2026-03-30T06:00")


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (lambda: cron_windows("0 0 31 2 *", "2024-01-01"), "HR-D108", "no time at all"),
        (lambda: cron_windows("0 0 6 * * *", "2024-01-01"), "HR-D108", "6 fields instead of five"),
        (lambda: cron_windows("@daily", "2024-01-01"), "HR-D108", "1 field instead of five"),
        (lambda: cron_windows("0 25 * * *", "2024-01-01"), "HR-D108", "bad hour"),
        (lambda: cron_windows("0 6 * * *", "2024-01-01", tz="Europe/Osl"), "HR-D103", "Europe/Osl"),
        (lambda: cron_windows("0 6 * * *", "soon"), "HR-D104", "'soon' is not a local time"),
        (lambda: cron_windows("0 6 * * *", "1812-01-01"), "HR-D104", "1900 to 2199"),
        (lambda: cron_windows("0 6 * * *", "2024-01-02", "2024-01-01"), "HR-D104", "no tick"),
        (lambda: cron_windows("0 6 * * *", "2024-01-01T07:00", "2024-01-02T06:00"), "HR-D104", "no tick"),
        (lambda: cron_windows("0 6 * * *", "2024-01-01", dim="No"), "HR-D105", "No"),
    ],
)
def test_what_is_no_calendar_is_refused_with_a_remedy(make: Callable[[], object], code: str, says: str) -> None:
    with pytest.raises(DefinitionError) as raised:
        make()
    assert [problem.code for problem in raised.value.problems] == [code]
    assert says in raised.value.problems[0].message
    assert raised.value.problems[0].remedy


def test_texts_that_are_no_ticks_are_no_keys() -> None:
    of = Ticks("0 6 * * *", OSLO)
    for text in ("2024-01-01T06:01", "2024-01-01T06", "2024-01-01T06b:00", "2024-02-30T06:00", "9999-12-31T06:00", "0001-01-01T06:00"):  # fmt: skip
        assert of.number(text) is None, text


EXPRESSIONS = st.tuples(
    st.sampled_from(["0", "30", "*/15", "0,59", "5-20/5"]),
    st.sampled_from(["*", "0", "2", "1-3", "*/6", "23"]),
    st.sampled_from(["*", "1", "L", "LW", "29", "31", "*/10"]),
    st.sampled_from(["*", "2", "3,10,11"]),
    st.sampled_from(["*", "MON-FRI", "SUN", "MON#1", "5L"]),
).map(" ".join)


@given(EXPRESSIONS, st.sampled_from(ZONES), st.dates(date(2005, 1, 1), date(2040, 1, 1)), st.integers(-1800, 1800))
def test_counting_ticks_agrees_with_walking_from_one_to_the_next(
    expression: str, tz: str, day: date, minutes: int
) -> None:
    try:
        known = cron(expression, tz)
    except DefinitionError:
        return
    of = Ticks(expression, tz)
    day = min(odd_days(tz, day.year), default=day)  # where clocks are moved is where mistakes are made
    at = first_instant(tz, day) + timedelta(minutes=minutes)
    number = of.holding(at)
    assert of.tick(number) == last_tick(known, at)
    for place, tick in enumerate(islice(ticks(known, at), 20), number + 1):
        assert of.tick(place) == tick
        assert of.number(of.key(tick)) == of.holding(tick) == place
