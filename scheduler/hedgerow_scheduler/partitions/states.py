"""Partitions by state: every partition of a set in exactly one state, kept as one bitmap for each, and stored by chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

import msgspec
from pyroaring import BitMap

from hedgerow_scheduler.partitions.codec import CHUNK

S = TypeVar("S", bound=str)
_decoder = msgspec.msgpack.Decoder(dict[str, bytes])


class StateSets(Generic[S]):
    """What is given is copied; what is returned by subscription is not to be altered."""

    def __init__(self, states: Iterable[S], of: Mapping[S, BitMap] | None = None) -> None:
        self._of: dict[S, BitMap] = {state: BitMap((of or {}).get(state, ())) for state in states}
        self._altered: set[int] = set()

    def __getitem__(self, state: S) -> BitMap:
        return self._of[state]

    def all(self) -> BitMap:
        """Every partition, whatever its state."""
        return BitMap.union(*self._of.values())

    def counts(self) -> dict[S, int]:
        """How many partitions are in each state."""
        return {state: len(of) for state, of in self._of.items()}

    def state_of(self, ordinal: int) -> S | None:
        """The state of one partition; None when it is not among these."""
        return next((state for state, of in self._of.items() if ordinal in of), None)

    def move(self, which: BitMap, before: S, after: S) -> BitMap:
        """Moves those of `which` that are in the state `before`; returns them."""
        moved = which & self._of[before]
        if moved:
            self._of[before] -= moved
            self._of[after] |= moved
            self._altered.update(chunk_numbers(moved))
        return moved

    def move_one(self, ordinal: int, before: S, after: S) -> bool:
        """Moves one partition if it is in the state `before`; whether it was."""
        if ordinal not in self._of[before]:
            return False
        self._of[before].remove(ordinal)
        self._of[after].add(ordinal)
        self._altered.add(ordinal // CHUNK)
        return True

    def chunks(self) -> dict[int, bytes]:
        """All of it as it is stored, by the chunk's number."""
        return {number: self._encoded(number) for number in chunk_numbers(self.all())}

    def altered(self) -> dict[int, bytes]:
        """The chunks that are different since the last time."""
        altered, self._altered = self._altered, set()
        return {number: self._encoded(number) for number in sorted(altered)}

    def _encoded(self, number: int) -> bytes:
        extent = BitMap(range(number * CHUNK, (number + 1) * CHUNK))
        found: dict[S, bytes] = {}
        for state, of in self._of.items():
            if part := of & extent:
                content = part.shift(-number * CHUNK)
                content.run_optimize()
                found[state] = content.serialize()
        return msgspec.msgpack.encode(found)


def from_chunks(states: Iterable[S], stored: Mapping[int, bytes]) -> StateSets[S]:
    """The partitions that were stored. ValueError for bytes that are none, or hold numbers of another chunk."""
    states = list(states)
    found: dict[S, BitMap] = {state: BitMap() for state in states}
    for number, body in stored.items():
        parts = _decoder.decode(body)
        for state in states:
            if encoded := parts.get(state):
                content = BitMap.deserialize(encoded)
                if content and content.max() >= CHUNK:
                    raise ValueError(f"The stored chunk {number} holds numbers of another one.")
                found[state] |= content.shift(number * CHUNK)
    return StateSets(states, found)


def chunk_numbers(of: BitMap) -> Iterator[int]:
    """The numbers of the chunks that hold any of these."""
    if not of:
        return
    last = of.max()
    at = of.min()
    while True:
        number = at // CHUNK
        yield number
        if (number + 1) * CHUNK > last:
            return
        at = of.next_set_bit((number + 1) * CHUNK)
