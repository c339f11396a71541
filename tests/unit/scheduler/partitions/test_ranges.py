"""What people read of a set of partitions: ranges over time, and how many there are."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from hedgerow.partitions import Partitions, daily, key_range, static
from hedgerow_scheduler.partitions.ranges import Range, Ranges, ranges, summary
from hedgerow_scheduler.partitions.spaces import Space

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
DAYS = daily("2024-02-01")
COUNTRIES = static("no", "se", "dk", dim="country")
BOTH = Space(COUNTRIES * DAYS)


def numbers(space: Space, *keys: str) -> BitMap:
    """The set of these partitions."""
    return BitMap(number for key in keys if (number := space.ordinal(key)) is not None)


def test_consecutive_windows_are_one_range() -> None:
    space = Space(DAYS)
    some = numbers(space, "2024-02-01", "2024-02-02", "2024-02-03", "2024-02-09")
    assert ranges(space, some) == Ranges(
        (Range("2024-02-01", "2024-02-03", 3), Range("2024-02-09", "2024-02-09", 1)), 0, 0
    )


def test_each_combination_of_the_other_dimensions_has_its_own_ranges() -> None:
    some = numbers(BOTH, "no|2024-02-01", "no|2024-02-02", "dk|2024-02-02", "dk|2024-02-03", "no|2024-02-04")
    assert ranges(BOTH, some).listed == (
        Range("no|2024-02-01", "no|2024-02-02", 2),
        Range("dk|2024-02-02", "dk|2024-02-03", 2),
        Range("no|2024-02-04", "no|2024-02-04", 1),
    )


def test_what_is_not_listed_is_counted() -> None:
    assert ranges(BOTH, BOTH.existing(NOW), most=2) == Ranges(
        (Range("no|2024-02-01", "no|2024-02-29", 29), Range("se|2024-02-01", "se|2024-02-29", 29)), 1, 29
    )


def test_static_keys_are_ranges_as_they_were_declared() -> None:
    assert ranges(Space(COUNTRIES), BitMap([0, 1])).listed == (Range("no", "se", 2),)


def test_without_partitions_there_is_one_without_a_key() -> None:
    assert ranges(Space(None), BitMap([0])) == Ranges((Range(None, None, 1),), 0, 0)
    assert ranges(Space(None), BitMap()) == Ranges((), 0, 0)


@given(
    st.sampled_from([DAYS, COUNTRIES, COUNTRIES * DAYS, DAYS * COUNTRIES * static("s", "l", dim="size")]),
    st.sets(st.integers(0, 173)),
    st.integers(0, 200),
)
def test_ranges_hold_exactly_the_set_and_none_could_be_longer(
    definition: Partitions, chosen: set[int], most: int
) -> None:
    space = Space(definition)
    some = BitMap(chosen) & space.existing(NOW)
    found = ranges(space, some, most)
    keys = [key for each in found.listed for key in key_range(definition, each.first or "", each.last or "", NOW)]
    assert len(keys) == len(set(keys)) == sum(each.partitions for each in found.listed)
    assert numbers(space, *keys) <= some
    assert len(keys) + found.more_partitions == len(some)
    assert (len(found.listed) < most) <= (found.more_ranges == 0 == found.more_partitions)
    step = space.scales[0].step
    assert len(found.listed) + found.more_ranges == sum(number < step or number - step not in some for number in some)


def test_only_partitions_that_exist_are_counted() -> None:
    sets = {"materialized": BitMap(range(80)), "failed": BitMap([80, 86, 87, 1_000]), "missing": BitMap()}
    assert summary(BOTH, sets, NOW) == {"materialized": 80, "failed": 2, "missing": 0}
