"""Memory: what the conditions that look back remember between evaluations, and how it is stored."""

from __future__ import annotations

from collections.abc import Set
from datetime import datetime
from typing import TypeAlias

import msgspec
from pyroaring import BitMap

# Which operand remembers: its place in the program, and the upstream asset it was asked of ("" for the asset itself).
Place: TypeAlias = tuple[int, str]


class Memory:
    """What one asset's condition remembers. `held` are the partitions for which it held as a whole; `sets` those of a Since or
    BecameTrue, `ticked` the time up to which ticks were dealt with, `times` sets by the moment at which they began to hold (Debounce) or were requested (AtMost),
    `answers` those for which a function of the team's own code holds, by its name.
    """

    __slots__ = ("answers", "held", "is_first", "sets", "ticked", "times")

    def __init__(self, ticked: datetime) -> None:
        self.is_first = True
        self.ticked = ticked
        self.held = BitMap()
        self.answers: dict[str, BitMap] = {}
        self.sets: dict[Place, BitMap] = {}
        self.times: dict[Place, dict[datetime, BitMap]] = {}

    def begin(self, fresh: BitMap, states: Set[int]) -> None:
        """Partitions come to exist: what was so before is not remembered of them by those `states`, only what happened is."""
        for (place, of), known in self.sets.items():
            if not of and place in states:
                known -= fresh
        for (place, of), groups in self.times.items():
            if not of and place in states:
                for known in groups.values():
                    known -= fresh


class _Stored(msgspec.Struct, array_like=True):
    condition: str
    ticked: datetime
    held: bytes
    sets: list[tuple[int, str, bytes]]
    times: list[tuple[int, str, list[tuple[datetime, bytes]]]]
    answers: list[tuple[str, bytes]] = []


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Stored)


def encode(memory: Memory, condition: str) -> bytes:
    """A memory as it is stored, with the digest of the condition whose places it speaks of."""
    sets = [(place, of, found.serialize()) for (place, of), found in sorted(memory.sets.items()) if found]
    times = [
        (place, of, [(at, found.serialize()) for at, found in groups.items()])
        for (place, of), groups in sorted(memory.times.items())
        if groups
    ]
    answers = [(name, found.serialize()) for name, found in sorted(memory.answers.items())]
    return _encoder.encode(_Stored(condition, memory.ticked, memory.held.serialize(), sets, times, answers))


def decode(body: bytes, condition: str) -> Memory | None:
    """The memory again; None when it is of another condition than `condition`."""
    stored = _decoder.decode(body)
    if stored.condition != condition:
        return None
    memory = Memory(stored.ticked)
    memory.is_first = False
    memory.held = BitMap.deserialize(stored.held)
    memory.sets = {(place, of): BitMap.deserialize(found) for place, of, found in stored.sets}
    memory.times = {
        (place, of): {at: BitMap.deserialize(found) for at, found in groups} for place, of, groups in stored.times
    }
    memory.answers = {name: BitMap.deserialize(found) for name, found in stored.answers}
    return memory
