"""Crossings carry sets over a dependency as `upstream_keys` does key by key, in both directions."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pyroaring import BitMap

from hedgerow.errors import RequestError
from hedgerow.partitions import Partitions, daily, hourly, mapping, monthly, static, upstream_keys, weekly
from hedgerow.partitions.calendar import spans_from
from hedgerow.partitions.dynamic import KnownPartitions
from hedgerow.partitions.key_sets import KeySet
from hedgerow.partitions.model import (
    Cadence,
    DynamicPartitions,
    Mapping,
    Same,
    StaticPartitions,
    TimePartitions,
    dimensions,
)
from hedgerow.partitions.resolution import validate_mapping
from hedgerow_scheduler.partitions.crossing import Crossing
from hedgerow_scheduler.partitions.spaces import Space

ZONES = ["UTC", "Europe/Oslo", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]
START = date(2011, 12, 19)  # a Monday, some days before Samoa skipped one
NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
SAMOA = datetime(2011, 12, 31, 3, tzinfo=UTC)
DAYS = daily("2024-01-01")
COUNTRIES = static("no", "se", "dk", dim="country")


@st.composite
def times(draw: st.DrawFn) -> TimePartitions:
    """A dimension of time around the days when Samoa skipped one, or when clocks change in spring or autumn."""
    cadence: Cadence = draw(st.sampled_from(["hour", "day", "week", "month", "0 6 * * MON-FRI", "30 */5 * * *"]))
    tz = draw(st.sampled_from(ZONES))
    first = {"week": START, "month": date(2011, 12, 1)}.get(cadence, START + timedelta(days=draw(st.integers(7, 11))))
    run = spans_from(cadence, tz, first)
    start = next(islice(run, draw(st.integers(0, 3)), None)).key
    end = next(islice(run, draw(st.integers(0, 40)), None)).key if draw(st.booleans()) else None
    return TimePartitions(cadence, start, end, tz)


@st.composite
def statics(draw: st.DrawFn, dim: str) -> StaticPartitions:
    """A static dimension of a few keys."""
    return StaticPartitions(tuple(draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True))), dim)


def known_keys(name: str, keys: str, removed: str) -> KnownPartitions:
    """A dimension of keys that came in this order, of which some were removed."""
    known = KeySet("sales", name)
    for key in keys:
        known.add(key)
    for key in removed:
        known.remove(key)
    return KnownPartitions(name=name, dim="key", known=known)


DYNAMIC = [known_keys("some", "dcba", "b"), known_keys("others", "axbc", "x"), known_keys("none", "", "")]


@st.composite
def definitions(draw: st.DrawFn) -> Partitions | None:
    """No partitions, or a product of at most three dimensions in any order."""
    dims = draw(
        st.lists(
            st.one_of(times(), statics("key"), statics("size"), st.sampled_from(DYNAMIC)),
            max_size=3,
            unique_by=lambda dim: dim.dim,
        )
    )
    product: Partitions | None = None
    for dim in dims:
        product = dim if product is None else product * dim
    try:
        Space(product)
    except RequestError:
        assume(False)
    return product


@st.composite
def dim_mappings(draw: st.DrawFn, below: Partitions | None, above: Partitions) -> Mapping:
    """A mapping that may fit one dimension."""
    low = draw(st.integers(-3, 3))
    return draw(
        st.one_of(
            st.just(mapping.same()),
            st.just(mapping.all()),
            st.builds(mapping.last, st.integers(1, 4)),
            st.builds(mapping.window, st.just(low), st.integers(low, 4)),
            listings(below, above),
        )
    )


@st.composite
def listings(draw: st.DrawFn, below: Partitions | None, above: Partitions) -> Mapping:
    """Some downstream keys, and any other, with the upstream keys that they read."""
    keys = st.lists(st.sampled_from(some_keys(above)), max_size=3, unique=True)
    mine = some_keys(below) if below is not None else []
    pairs = draw(st.dictionaries(st.sampled_from(["*", *mine]), keys, min_size=1, max_size=5))
    return mapping.keys(pairs)


def some_keys(partitions: Partitions) -> list[str]:
    """The keys of some partitions at the beginning of the space."""
    space = Space(partitions)
    found = [key for number in range(12) if (key := space.key(number)) is not None]
    return found or ["unknown"]


@st.composite
def edges(draw: st.DrawFn) -> tuple[Mapping | None, Partitions | None, Partitions | None]:
    """A mapping that fits, its downstream and its upstream."""
    below = draw(definitions())
    above = draw(st.one_of(definitions(), st.just(below)))
    how = draw(st.sampled_from(["default", "plain", "by_dim", "keys"]))
    chosen: Mapping | None = None
    if above is not None and how == "plain":
        chosen = draw(dim_mappings(below, above))
    elif above is not None and how == "keys":
        chosen = draw(listings(below, above))
    elif above is not None and how == "by_dim":
        mine = {dim.dim: dim for dim in dimensions(below)} if below is not None else {}
        some = draw(st.lists(st.sampled_from(dimensions(above)), unique=True))
        chosen = mapping.by_dim({dim.dim: draw(dim_mappings(mine.get(dim.dim), dim)) for dim in some})
    assume(validate_mapping(chosen, below, above) is None)
    return chosen, below, above


def some(space: Space, data: st.DataObject) -> BitMap:
    """Some partitions near the beginning of a space, mostly in runs."""
    most = next(number for number in (250, 60, 25, 6, 1, 0) if number == 0 or space.key(number - 1) is not None)
    if most == 0:
        return BitMap()
    number = st.integers(0, most - 1)
    found = BitMap(data.draw(st.lists(number, max_size=6)))
    for first, length in data.draw(st.lists(st.tuples(number, st.integers(1, most)), max_size=2)):
        found |= BitMap(range(first, min(first + length, most)))
    return BitMap(each for each in found if space.key(each) is not None)


@given(edges(), st.integers(0, 60 * 24 * 20), st.data())
def test_sets_are_carried_over_as_keys_are_one_by_one(
    edge: tuple[Mapping | None, Partitions | None, Partitions | None], minutes: int, data: st.DataObject
) -> None:
    chosen, below, above = edge
    now = SAMOA + timedelta(minutes=minutes - 10_000)
    mine, theirs, crossing = Space(below), Space(above), Crossing(chosen, below, above)
    scope, holds = some(mine, data), some(theirs, data)
    reads: dict[int, set[int]] = {}
    for number in scope:
        found = [theirs.ordinal(key) for key in upstream_keys(chosen, below, above, mine.key(number), now)]
        # A key that the other set has never had is read by nobody.
        assert None not in found or any(isinstance(dim, DynamicPartitions) for dim in dimensions(above or DAYS))
        reads[number] = {each for each in found if each is not None}
    held = set(holds)
    assert set(crossing.upstream(scope, now)) == set().union(*reads.values())
    assert set(crossing.any(scope, holds, now)) == {number for number in scope if reads[number] & held}
    assert set(crossing.all(scope, holds, now)) == {number for number in scope if reads[number] <= held}
    leads_to = crossing.downstream(holds, now)
    reading = {number for number in scope if reads[number] & held}
    soon = mine.next_change(now)
    known = mine.existing(soon) if soon is not None else mine.existing(now)
    assert {number for number in reading if number in known} <= set(leads_to)
    assert not {number for number in scope if number in leads_to} - reading


def carried(
    chosen: Mapping | None, below: Partitions | None, above: Partitions | None, keys: list[str], now: datetime = NOW
) -> list[str | None]:
    """The keys of the upstream partitions that these read."""
    mine, theirs = Space(below), Space(above)
    numbers = BitMap(number for key in keys if (number := mine.ordinal(key)) is not None)
    return [theirs.key(number) for number in Crossing(chosen, below, above).upstream(numbers, now)]


def test_a_week_reads_its_days() -> None:
    assert carried(None, weekly("2024-01-01"), DAYS, ["2024-01-08"]) == [f"2024-01-{day:02d}" for day in range(8, 15)]


def test_a_day_in_oslo_reads_the_hours_of_utc_that_it_overlaps() -> None:
    read = carried(None, daily("2024-01-01", tz="Europe/Oslo"), hourly("2024-01-01"), ["2024-03-31"])
    assert (read[0], read[-1], len(read)) == ("2024-03-30T23", "2024-03-31T21", 23)


def test_a_window_reads_around_the_partition_and_not_before_the_start() -> None:
    assert carried(mapping.window(-2, 0), DAYS, DAYS, ["2024-01-02", "2024-01-09"]) == [
        "2024-01-01", "2024-01-02", "2024-01-07", "2024-01-08", "2024-01-09",
    ]  # fmt: skip


def test_windows_at_the_ends_of_the_calendar_are_read_as_any_others() -> None:
    days = daily("1900-01-01", tz="Europe/Oslo")
    assert carried(None, days, weekly("1900-01-01", tz="Pacific/Apia"), ["1900-01-01"]) == ["1900-01-01"]
    assert carried(None, days, hourly("2199-12-31T20", tz="America/New_York"), ["2199-12-31"]) == []
    hours = hourly("2199-12-31T22")
    assert carried(mapping.window(-1, 0), hours, days, ["2199-12-31T22"]) == ["2199-12-30", "2199-12-31"]
    assert carried(mapping.window(-99_999, 99_999), days, monthly("2199-11"), ["2000-01-01"]) == ["2199-11", "2199-12"]


def test_the_last_windows_are_those_that_are_complete_now() -> None:
    assert carried(mapping.last(2), None, DAYS, [""]) == ["2024-02-28", "2024-02-29"]


def test_the_same_window_moves_a_whole_product() -> None:
    crossing = Crossing(mapping.by_dim(time=mapping.window(-1, 0)), DAYS * COUNTRIES, DAYS * COUNTRIES)
    space = Space(DAYS * COUNTRIES)
    everything = space.existing(NOW)
    assert crossing.upstream(everything, NOW) == everything
    assert crossing.all(everything, everything - BitMap([0]), NOW) == everything - BitMap([0, 3])
    assert list(crossing.downstream(BitMap([1]), NOW)) == [1, 4]


def test_a_partition_leads_to_those_that_read_it_though_they_do_not_exist_yet() -> None:
    space = Space(DAYS)
    crossing = Crossing(mapping.window(-3, 0), DAYS, DAYS)
    today = space.ordinal("2024-02-29")
    assert today is not None
    assert [space.key(number) for number in crossing.downstream(BitMap([today]), NOW)] == [
        "2024-02-29", "2024-03-01", "2024-03-02", "2024-03-03",
    ]  # fmt: skip


def test_where_all_is_read_the_window_that_is_open_is_led_to_as_well() -> None:
    space = Space(DAYS)
    leads_to = Crossing(mapping.all(), DAYS, COUNTRIES).downstream(BitMap([1]), NOW)
    assert leads_to == space.existing(datetime(2024, 3, 2, tzinfo=UTC))


def test_equal_partitions_are_carried_over_without_a_copy() -> None:
    some_of = BitMap([1, 5, 9])
    for chosen in (None, Same(), mapping.by_dim()):
        assert Crossing(chosen, DAYS * COUNTRIES, DAYS * COUNTRIES).upstream(some_of, NOW) is some_of


def test_between_assets_without_partitions_the_one_reads_the_other() -> None:
    crossing = Crossing(None, None, None)
    only = BitMap([0])
    assert crossing.upstream(only, NOW) == only
    assert crossing.any(only, only, NOW) == only
    assert crossing.any(only, BitMap(), NOW) == BitMap()
    assert crossing.all(only, BitMap(), NOW) == BitMap()
    assert crossing.downstream(only, NOW) == only


def test_what_is_given_is_not_altered() -> None:
    scope, holds = BitMap(range(4, 40)), BitMap(range(0, 90, 2))
    for chosen, below, above in (
        (None, weekly("2024-01-01"), DAYS),
        (mapping.by_dim(time=mapping.window(-2, 1)), DAYS * COUNTRIES, DAYS * COUNTRIES),
        (None, DAYS * COUNTRIES, COUNTRIES * DAYS),
        (None, COUNTRIES * DAYS, DAYS),
        (None, COUNTRIES, DAYS * COUNTRIES),
    ):
        crossing = Crossing(chosen, below, above)
        for _ in range(2):
            crossing.any(scope, holds, NOW)
            crossing.all(scope, holds, NOW)
            crossing.downstream(holds, NOW)
        assert (scope, holds) == (BitMap(range(4, 40)), BitMap(range(0, 90, 2)))


@pytest.mark.parametrize(
    ("chosen", "below", "above"),
    [
        (mapping.window(-1, 0), DAYS, COUNTRIES),
        (mapping.last(1), DAYS, DAYS * COUNTRIES),
        (mapping.last(1), DAYS, None),
        (None, monthly("2024-01"), COUNTRIES),
        (mapping.keys({"x": "no"}), COUNTRIES, COUNTRIES),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(
    chosen: Mapping | None, below: Partitions, above: Partitions | None
) -> None:
    with pytest.raises(RequestError) as raised:
        Crossing(chosen, below, above)
    assert raised.value.code == "HR-Q104"
