"""Spaces number the partitions of a definition for ever, and know which of them exist."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hedgerow.errors import RequestError
from hedgerow.partitions import Partitions, daily, hourly, key_range, keys, monthly, static, weekly
from hedgerow.partitions.algebra import latest, spans
from hedgerow.partitions.calendar import spans_from
from hedgerow.partitions.dynamic import KnownPartitions
from hedgerow.partitions.instants import DAY, YEARS
from hedgerow.partitions.key_sets import KeySet
from hedgerow.partitions.model import Cadence, StaticPartitions, TimePartitions
from hedgerow_scheduler.partitions.spaces import Space, space_of

ZONES = [
    "UTC",
    "Europe/Oslo",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "America/Havana",
]
CRONS = ["0 6 * * MON-FRI", "30 */3 * * *", "0 0 L * *", "30 1,2 * * *"]
NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
DAYS = daily("2024-01-01")
COUNTRIES = static("no", "se", "dk", dim="country")
SIZES = static("s", "l", dim="size")


def floor(cadence: Cadence, day: date) -> date:
    """A day on which a window of this cadence starts."""
    if cadence == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if cadence == "month" else day


@st.composite
def times(draw: st.DrawFn, dim: str = "time") -> TimePartitions:
    """A dimension of time that starts at some window, with an end or without; any but the dimension `time` is by month."""
    cadence: Cadence = draw(st.sampled_from(["hour", "day", "week", "month", *CRONS] if dim == "time" else ["month"]))
    tz = draw(st.sampled_from(ZONES))
    day = draw(st.one_of(st.dates(date(1990, 1, 1), date(2030, 1, 1)), st.dates(date(2011, 12, 25), date(2012, 1, 3))))
    run = spans_from(cadence, tz, floor(cadence, day))
    start = next(islice(run, draw(st.integers(0, 5)), None)).key
    end = next(islice(run, draw(st.integers(0, 60)), None)).key if draw(st.booleans()) else None
    return TimePartitions(cadence, start, end, tz, dim)


@st.composite
def statics(draw: st.DrawFn, dim: str) -> StaticPartitions:
    """A static dimension of a few keys."""
    return StaticPartitions(tuple(draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=4, unique=True))), dim)


@st.composite
def dynamics(draw: st.DrawFn, dim: str) -> KnownPartitions:
    """A dimension of a few keys that came and partly went."""
    known = KeySet("sales", "customers")
    for key in draw(st.lists(st.sampled_from("abcde"), max_size=5)):
        known.add(key)
    for key in draw(st.lists(st.sampled_from("abcde"), max_size=2)):
        known.remove(key)
    return KnownPartitions(name="customers", dim=dim, known=known)


@st.composite
def definitions(draw: st.DrawFn) -> Partitions:
    """A product of at most three dimensions in any order, of which at most two are time."""
    dims = draw(
        st.lists(
            st.one_of(times(), times("other"), statics("key"), statics("size"), dynamics("key")),
            min_size=1,
            max_size=3,
            unique_by=lambda dim: dim.dim,
        )
    )
    product: Partitions = dims[0]
    for dim in dims[1:]:
        product = product * dim
    try:
        Space(product)
    except RequestError:
        assume(False)
    return product


def instant(partitions: Partitions, minutes: int) -> datetime:
    """An instant some time after the start of the first dimension of time."""
    dims = partitions.dims if hasattr(partitions, "dims") else (partitions,)
    for dim in dims:
        if isinstance(dim, TimePartitions):
            return next(spans(dim)).start + timedelta(minutes=minutes)
    return NOW


@given(times(), st.integers(0, 200))
def test_windows_are_counted_from_the_first(time: TimePartitions, count: int) -> None:
    space = Space(time)
    expected = [span.key for span in islice(spans(time), count)]
    assert [space.ordinal(key) for key in expected] == list(range(len(expected)))
    assert [space.key(number) for number in range(len(expected))] == expected


@given(times(), st.integers(0, 400_000))
def test_any_number_leads_to_a_key_and_back(time: TimePartitions, number: int) -> None:
    space = Space(time)
    key = space.key(number)
    assert key is None or space.ordinal(key) == number


@given(definitions(), st.integers(-2_000, 100_000))
def test_exactly_the_keys_that_exist_are_in_the_set_of_those_that_exist(definition: Partitions, minutes: int) -> None:
    now = instant(definition, minutes)
    space = Space(definition)
    expected = keys(definition, now)
    numbers = [space.ordinal(key) for key in expected]
    assert sorted(number for number in numbers if number is not None) == list(space.existing(now))
    assert None not in numbers
    assert [space.key(number) for number in numbers if number is not None] == list(expected)
    assert space.count(now) == len(expected)
    assert sorted(space.ordinal(key) or 0 for key in latest(definition, now)) == list(
        space.latest(now, None) if space.latest(now, None) is not None else space.existing(now)
    )


@given(definitions(), st.integers(-2_000, 50_000))
def test_what_exists_changes_at_the_next_change_and_not_before(definition: Partitions, minutes: int) -> None:
    now = instant(definition, minutes)
    space = Space(definition)
    change = space.next_change(now)
    if change is None:
        assert space.existing(now) == space.existing(now + 1000 * DAY)
        return
    before = space.existing(now).copy()
    assert change > now
    assert Space(definition).existing(change - timedelta(microseconds=1)) == before
    times_of = [scale.axis.stage(change) for scale in space.scales]
    assert times_of != [scale.axis.stage(now) for scale in Space(definition).scales]


@given(definitions(), st.integers(0, 20_000), st.data())
def test_a_range_holds_the_keys_of_the_range(definition: Partitions, minutes: int, data: st.DataObject) -> None:
    now = instant(definition, minutes)
    known = keys(definition, now)
    if not known:
        return
    first, last = data.draw(st.sampled_from(known)), data.draw(st.sampled_from(known))
    space = Space(definition)
    try:
        expected = sorted(space.ordinal(key) or 0 for key in key_range(definition, first, last, now))
    except RequestError as error:
        with pytest.raises(RequestError) as raised:
            space.range(first, last, now)
        assert raised.value.problems == error.problems
    else:
        assert list(space.range(first, last, now)) == expected


def test_an_asset_without_partitions_has_the_number_0() -> None:
    space = Space(None)
    assert (space.ordinal(None), space.ordinal(""), space.ordinal("a")) == (0, 0, None)
    assert space.key(0) is None
    assert list(space.existing(NOW)) == [0]
    assert space.count(NOW) == 1
    assert space.latest(NOW, None) is None
    assert space.next_change(NOW) is None


def test_time_varies_slowest_wherever_it_was_declared() -> None:
    assert Space(DAYS * COUNTRIES).ordinal("2024-01-03|se") == 7
    assert Space(COUNTRIES * DAYS).ordinal("se|2024-01-03") == 7
    assert Space(COUNTRIES * DAYS * SIZES).ordinal("se|2024-01-03|l") == 15


@pytest.mark.parametrize(
    "key", [None, "", "2024-02-30", "2023-12-31", "2024-01-01|no", "no", "2200-01-01", "2024-01-01T00", "²"]
)
def test_what_can_be_no_key_has_no_number(key: str | None) -> None:
    assert Space(DAYS).ordinal(key) is None


def test_the_hour_that_clocks_repeat_has_two_numbers() -> None:
    space = Space(hourly("2024-10-27", tz="Europe/Oslo"))
    assert [space.key(number) for number in range(1, 5)] == [
        "2024-10-27T01",
        "2024-10-27T02",
        "2024-10-27T02b",
        "2024-10-27T03",
    ]


def test_the_day_that_samoa_skipped_has_no_number() -> None:
    space = Space(daily("2011-12-01", tz="Pacific/Apia"))
    assert space.ordinal("2011-12-29") == 28
    assert space.ordinal("2011-12-30") is None
    assert space.ordinal("2011-12-31") == 29
    assert space.key(29) == "2011-12-31"


@pytest.mark.parametrize("tz", ZONES)
@pytest.mark.parametrize("cadence", ["hour", "day", "week", "month"])
def test_the_last_window_there_can_be_has_a_number(cadence: Cadence, tz: str) -> None:
    start = {"hour": "2024-01-01T00", "month": "2024-01"}.get(cadence, "2024-01-01")
    last = {"hour": "2199-12-31T23", "month": "2199-12", "week": "2199-12-30"}.get(cadence, "2199-12-31")
    space = Space(TimePartitions(cadence, start, None, tz))
    number = space.ordinal(last)
    assert number is not None
    assert space.key(number) == last
    assert space.key(number + 1) is None
    assert last.startswith(str(YEARS.stop - 1))


def test_the_latest_are_those_of_the_last_window_and_of_those_that_ended_within_the_lookback() -> None:
    space = Space(DAYS * COUNTRIES)
    latest_day = space.range("2024-02-29|no", "2024-02-29|dk", NOW)
    assert space.latest(NOW, None) == latest_day
    assert space.latest(NOW, timedelta(minutes=1)) == latest_day
    assert space.latest(NOW, timedelta(days=2)) == space.range("2024-02-28|no", "2024-02-29|dk", NOW)
    assert space.latest(NOW, timedelta(days=5_000)) == space.existing(NOW)


def test_nothing_is_latest_before_the_first_window_is_complete() -> None:
    space = Space(daily("2024-03-01"))
    assert not space.latest(NOW, None)
    assert not space.latest(NOW, timedelta(days=3))
    assert space.next_change(NOW) == datetime(2024, 3, 2, tzinfo=UTC)


def test_equal_definitions_share_a_space() -> None:
    assert space_of(daily("2024-01-01")) is space_of(daily("2024-01-01"))
    assert space_of(None) is space_of(None)
    assert space_of(weekly("2024-01-01")) is not space_of(monthly("2024-01-01"))


def test_more_partitions_than_32_bits_hold_are_refused() -> None:
    many = StaticPartitions(tuple(f"{number}" for number in range(20_000)), "customer")
    with pytest.raises(RequestError) as raised:
        Space(hourly("2024-01-01") * many)
    assert raised.value.code == "HR-Q106"
    assert Space(hourly("2024-01-01", "2040-01-01") * many).ordinal("2024-01-01T01|3") == 20_003


def test_a_second_dimension_of_time_has_room_for_decades() -> None:
    space = Space(daily("2024-01-01", dim="day") * monthly("2024-01", dim="seen") * SIZES)
    far = "2060-05-05|2060-05|l"
    number = space.ordinal(far)
    assert number is not None
    assert space.key(number) == far
    assert space.ordinal("2024-01-01|2199-01|l") is None
