"""Sets come back from their chunks as they were, and a change touches its own chunk alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from hedgerow_scheduler.partitions.codec import CHUNK, chunks, from_chunks

NUMBERS = st.one_of(st.integers(0, 3 * CHUNK), st.integers(0, 2**32 - 3))


@st.composite
def sets(draw: st.DrawFn) -> BitMap:
    """Some numbers, and some runs of them."""
    found = BitMap(draw(st.lists(NUMBERS, max_size=20)))
    for first in draw(st.lists(st.integers(0, 4 * CHUNK), max_size=3)):
        found |= BitMap(range(first, first + draw(st.integers(1, 3 * CHUNK))))
    return found


@given(sets())
def test_a_set_comes_back_as_it_was(some: BitMap) -> None:
    before = some.copy()
    stored = chunks(some)
    assert from_chunks(stored) == some == before
    assert stored.keys() == {number // CHUNK for number in BitMap(some)}
    assert all(len(encoded) < 9_000 for encoded in stored.values())


@given(sets(), NUMBERS)
def test_a_change_alters_the_bytes_of_its_own_chunk_alone(some: BitMap, number: int) -> None:
    before, after = chunks(some), chunks(some ^ BitMap([number]))
    altered = {chunk for chunk in before.keys() | after.keys() if before.get(chunk) != after.get(chunk)}
    assert altered == {number // CHUNK}


@given(sets())
def test_equal_sets_have_equal_bytes_however_they_came_about(some: BitMap) -> None:
    again = BitMap()
    for number in reversed(list(some)[:5_000]):
        again.add(number)
    again |= some
    assert chunks(again) == chunks(some)


@pytest.mark.parametrize("encoded", [b"", b"nonsense", BitMap([CHUNK]).serialize()])
def test_bytes_that_are_no_chunk_are_refused(encoded: bytes) -> None:
    with pytest.raises(ValueError):
        from_chunks({0: encoded})
