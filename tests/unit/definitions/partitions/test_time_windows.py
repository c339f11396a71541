"""Windows of local time across daylight saving, in zones that change in different ways."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hedgerow.errors import RequestError
from hedgerow.partitions import contains, count, daily, hourly, keys, monthly, weekly, window
from hedgerow.partitions.model import TimePartitions

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def hours_of(tz: str, first: str, last: str) -> list[str]:
    """The keys of the hours from the start of the day `first` to that of `last`, without their dates."""
    return [key[11:] for key in keys(hourly(first, last, tz=tz), NOW)]


@pytest.mark.parametrize(
    ("tz", "day", "following", "expected"),
    [
        ("Europe/Oslo", "2024-03-31", "2024-04-01", ["00", "01", "03", "04"]),
        ("Europe/Oslo", "2024-10-27", "2024-10-28", ["00", "01", "02", "02b", "03"]),
        ("America/New_York", "2024-03-10", "2024-03-11", ["00", "01", "03", "04"]),
        ("America/New_York", "2024-11-03", "2024-11-04", ["00", "01", "01b", "02"]),
        ("Australia/Lord_Howe", "2024-10-06", "2024-10-07", ["00", "01", "02", "03"]),
        ("Australia/Lord_Howe", "2024-04-07", "2024-04-08", ["00", "01", "02", "03"]),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-05", ["01", "02", "03"]),
        ("Asia/Kolkata", "2024-10-27", "2024-10-28", ["00", "01", "02", "03"]),
    ],
)
def test_an_hour_that_the_clocks_skip_does_not_exist_and_one_that_they_repeat_exists_twice(
    tz: str, day: str, following: str, expected: list[str]
) -> None:
    assert hours_of(tz, day, following)[: len(expected)] == expected


@pytest.mark.parametrize(
    ("tz", "day", "repeated"), [("America/Sao_Paulo", "2018-02-17", "23b"), ("America/Havana", "2024-11-03", "00b")]
)
def test_an_hour_repeated_at_midnight_belongs_to_its_own_day(tz: str, day: str, repeated: str) -> None:
    following = (datetime.fromisoformat(day) + timedelta(days=1)).date().isoformat()
    found = hours_of(tz, day, following)
    assert len(found) == 25
    assert repeated in found


@pytest.mark.parametrize(
    ("partitions", "key", "start", "end"),
    [
        (daily("2024-01-01", tz="Europe/Oslo"), "2024-03-31", "2024-03-31T00:00+01:00", "2024-04-01T00:00+02:00"),
        (daily("2024-01-01", tz="America/New_York"), "2024-11-03", "2024-11-03T00:00-04:00", "2024-11-04T00:00-05:00"),
        (daily("2018-01-01", tz="America/Sao_Paulo"), "2018-11-04", "2018-11-04T01:00-02:00", "2018-11-05T00:00-02:00"),
        (hourly("2024-01-01", tz="Europe/Oslo"), "2024-10-27T02", "2024-10-27T02:00+02:00", "2024-10-27T02:00+01:00"),
        (hourly("2024-01-01", tz="Europe/Oslo"), "2024-10-27T02b", "2024-10-27T02:00+01:00", "2024-10-27T03:00+01:00"),
        (hourly("2024-01-01", tz="Europe/Oslo"), "2024-03-31T01", "2024-03-31T01:00+01:00", "2024-03-31T03:00+02:00"),
        (
            hourly("2024-01-01", tz="Australia/Lord_Howe"),
            "2024-10-06T02",
            "2024-10-06T02:30+11:00",
            "2024-10-06T03:00+11:00",
        ),
        (
            hourly("2024-01-01", tz="Australia/Lord_Howe"),
            "2024-04-07T01",
            "2024-04-07T01:00+11:00",
            "2024-04-07T02:00+10:30",
        ),
        (weekly("2024-01-01", tz="Europe/Oslo"), "2024-03-25", "2024-03-25T00:00+01:00", "2024-04-01T00:00+02:00"),
        (monthly("2024-01", tz="America/New_York"), "2024-03", "2024-03-01T00:00-05:00", "2024-04-01T00:00-04:00"),
        (monthly("2024-01"), "2024-12", "2024-12-01T00:00+00:00", "2025-01-01T00:00+00:00"),
    ],
)
def test_a_window_runs_to_the_first_instant_of_the_next(
    partitions: TimePartitions, key: str, start: str, end: str
) -> None:
    found = window(partitions, key)
    assert found is not None
    assert tuple(instant.isoformat(timespec="minutes") for instant in found) == (start, end)
    assert found[0] < found[1]


def test_a_day_that_the_clocks_skipped_does_not_exist() -> None:
    samoa = daily("2011-12-28", "2012-01-02", tz="Pacific/Apia")
    assert keys(samoa, NOW) == ("2011-12-28", "2011-12-29", "2011-12-31", "2012-01-01")
    assert count(samoa, NOW) == 4
    assert not contains(samoa, "2011-12-30", NOW)
    with pytest.raises(RequestError) as raised:
        window(samoa, "2011-12-30")
    assert raised.value.code == "HR-Q101"


def test_a_window_counts_once_its_end_is_not_after_now() -> None:
    days = daily("2024-01-01", tz="Europe/Oslo")
    midnight = datetime(2024, 1, 2, 23, tzinfo=UTC)
    assert keys(days, midnight - timedelta(microseconds=1)) == ("2024-01-01",)
    assert keys(days, midnight) == ("2024-01-01", "2024-01-02")
    assert contains(days, "2024-01-02", midnight)
    assert not contains(days, "2024-01-03", midnight)
    assert not contains(days, "2023-12-31", midnight)


def test_the_end_is_excluded() -> None:
    assert keys(monthly("2024-01", "2024-04"), NOW) == ("2024-01", "2024-02", "2024-03")
    assert not contains(monthly("2024-01", "2024-04"), "2024-04", NOW)


def test_nothing_exists_before_the_first_window_is_complete() -> None:
    assert keys(weekly("2025-12-29"), NOW) == ()
    assert count(weekly("2025-12-29"), NOW) == 0
    assert count(weekly("2030-01-07"), NOW) == 0


@pytest.mark.parametrize(
    "key", ["2024-1-1", "2024-01-32", "20240101", "2024-01-01T00", "", "x", "2024-W01-1", "٢٠٢٤-01-01"]
)
def test_only_the_canonical_form_is_a_key(key: str) -> None:
    assert not contains(daily("2024-01-01"), key, NOW)


@pytest.mark.parametrize("key", ["2024-10-27T3", "2024-10-27T24", "2024-10-27T03b", "2024-10-27T02c", "2024-03-31T02"])
def test_an_hour_that_is_not_repeated_has_no_suffix(key: str) -> None:
    assert not contains(hourly("2024-01-01", tz="Europe/Oslo"), key, NOW)
