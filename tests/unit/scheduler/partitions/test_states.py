"""Partitions by state: each in one state, and stored so that a change touches its own chunk alone."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from hedgerow_scheduler.partitions.codec import CHUNK
from hedgerow_scheduler.partitions.states import StateSets, chunk_numbers, from_chunks

STATES = ("todo", "done", "failed")
SOME = st.lists(st.integers(0, 4 * CHUNK), max_size=30).map(BitMap)


def sets(todo: BitMap, done: BitMap | None = None) -> StateSets[str]:
    return StateSets(STATES, {"todo": todo - (done or BitMap()), "done": done or BitMap()})


@given(SOME, SOME)
def test_they_come_back_as_they_were(todo: BitMap, done: BitMap) -> None:
    some = sets(todo, done)
    back = from_chunks(STATES, some.chunks())
    assert [back[state] for state in STATES] == [some[state] for state in STATES]
    assert back.all() == todo | done


@given(SOME, SOME)
def test_what_was_altered_replaces_the_chunks_that_were_stored(todo: BitMap, which: BitMap) -> None:
    some = sets(todo)
    stored = some.chunks()
    moved = some.move(which, "todo", "done")
    assert moved == todo & which
    altered = some.altered()
    assert altered.keys() == set(chunk_numbers(moved))
    assert some.altered() == {}
    assert from_chunks(STATES, stored | altered)["done"] == moved


def test_one_moves_only_from_the_state_it_is_in() -> None:
    some = sets(BitMap([1, 70_000]))
    assert some.move_one(70_000, "todo", "failed")
    assert not some.move_one(70_000, "todo", "done")
    assert not some.move_one(2, "todo", "done")
    assert (some.state_of(70_000), some.state_of(2)) == ("failed", None)
    assert some.altered().keys() == {1}
    assert some.counts() == {"todo": 1, "done": 0, "failed": 1}


def test_numbers_of_another_chunk_are_refused() -> None:
    body = StateSets(STATES, {"todo": BitMap([3])}).chunks()[0]
    assert from_chunks(STATES, {5: body})["todo"] == BitMap([5 * CHUNK + 3])
    foreign = msgspec.msgpack.encode({"todo": BitMap([CHUNK]).serialize()})
    with pytest.raises(ValueError, match="another one"):
        from_chunks(STATES, {0: foreign})
