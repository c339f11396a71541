"""Sets are taken apart and put together without losing or inventing a number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from hedgerow_scheduler.partitions.sets import folded, place, runs, slices

SETS = st.one_of(
    st.sets(st.integers(0, 120)).map(BitMap),
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda ends: BitMap(range(*ends))),
)
WIDTHS = st.integers(1, 12)


@given(SETS)
def test_runs_are_as_long_as_they_can_be(some: BitMap) -> None:
    found = list(runs(some))
    assert [number for first, last in found for number in range(first, last + 1)] == list(some)
    assert all(last + 1 not in some for _, last in found)


@given(SETS, WIDTHS)
def test_slices_hold_every_number(some: BitMap, width: int) -> None:
    found = BitMap()
    for first, last, content in slices(some, width):
        assert content
        assert content.max() < width
        assert first == last or len(content) == width
        found |= place(content, BitMap(range(first, last + 1)), width)
    assert found == some


@given(SETS, WIDTHS, st.integers(1, 5))
def test_slices_that_are_alike_are_merged(some: BitMap, width: int, group: int) -> None:
    found: dict[int, set[int]] = {}
    for first, last, content in slices(some, width, lambda number: number // group * group + group - 1):
        for number in range(first, last + 1):
            found.setdefault(number // group, set()).update(content)
    expected: dict[int, set[int]] = {}
    for number in some:
        expected.setdefault(number // width // group, set()).add(number % width)
    assert found == expected


@given(SETS, WIDTHS)
def test_a_folded_set_holds_what_any_slice_holds(some: BitMap, width: int) -> None:
    assert folded(some, width) == BitMap(number % width for number in some)


@given(SETS, st.sets(st.integers(0, 40)).map(BitMap), WIDTHS)
def test_a_set_is_placed_in_every_slice_that_is_named(content: BitMap, at: BitMap, width: int) -> None:
    assert place(content, at, width) == BitMap(number + each * width for number in content for each in at)
