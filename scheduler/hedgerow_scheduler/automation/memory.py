"""Memory: what the conditions that look back remember between evaluations, and how it is stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from datetime import datetime
from typing import TypeAlias

import msgspec
from pyroaring import BitMap

from hedgerow_scheduler.automation.answers import Said
from hedgerow_scheduler.automation.facts import EMPTY

# Which operand remembers: its place in the program, and the upstream asset it was asked of ("" for the asset itself).
Place: TypeAlias = tuple[int, str]


class Memory:
    """What one asset's condition remembers. `held` are the partitions for which it held as a whole; `sets` those of a Since or
    BecameTrue, `ticked` the time up to which ticks were dealt with, `times` sets by the moment at which they began to hold (Debounce) or were requested (AtMost),
    `said` what functions of the team's own code said last, by name, of which the `silent` ones do not answer any more.
    """

    __slots__ = ("held", "is_first", "said", "sets", "silent", "ticked", "times")

    def __init__(self, ticked: datetime) -> None:
        self.is_first = True
        self.ticked = ticked
        self.held = BitMap()
        self.said: dict[str, Said] = {}
        self.silent: set[str] = set()
        self.sets: dict[Place, BitMap] = {}
        self.times: dict[Place, dict[datetime, BitMap]] = {}

    def hear(self, name: str, said: Said | None) -> bool:
        """Takes what a function said, or (None) that it does not answer any more; whether that is different from before."""
        before = (self.said.get(name), name in self.silent)
        if said is None:
            self.silent.add(name)
        else:
            self.said[name] = said
            self.silent.discard(name)
        return before != (self.said.get(name), name in self.silent)

    def owed(self, names: Iterable[str]) -> list[str]:
        """Those of these functions that have not answered yet, or do not any more."""
        return [name for name in names if name not in self.said or name in self.silent]

    def unanswered(self, names: Sequence[str], which: BitMap) -> BitMap:
        """Those of these partitions for which one of these functions owes an answer: what it said before is not acted upon."""
        if not which or not names:
            return EMPTY
        return which if self.owed(names) else BitMap.union(EMPTY, *(self.said[name].unknown(which) for name in names))

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
    said: list[tuple[str, bool | None, bytes, bytes, bool]] = []


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
    said = [
        (name, each.everything, each.yes.serialize(), each.asked.serialize(), name in memory.silent)
        for name, each in sorted(memory.said.items())
    ]
    return _encoder.encode(_Stored(condition, memory.ticked, memory.held.serialize(), sets, times, said))


def decode(body: bytes, condition: str) -> Memory | None:
    """The memory again; None when it is of another condition than `condition`, or stored by a version that stores it otherwise."""
    try:
        stored = _decoder.decode(body)
    except msgspec.DecodeError:
        return None
    if stored.condition != condition:
        return None
    memory = Memory(stored.ticked)
    memory.is_first = False
    memory.held = BitMap.deserialize(stored.held)
    memory.sets = {(place, of): BitMap.deserialize(found) for place, of, found in stored.sets}
    memory.times = {
        (place, of): {at: BitMap.deserialize(found) for at, found in groups} for place, of, groups in stored.times
    }
    for name, everything, yes, asked, is_silent in stored.said:
        memory.said[name] = Said(everything, BitMap.deserialize(yes), BitMap.deserialize(asked))
        if is_silent:
            memory.silent.add(name)
    return memory
