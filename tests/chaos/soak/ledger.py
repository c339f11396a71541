"""Whether any of millions of events was recorded twice, without keeping them. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec

from chaos.checker import Violation

BUCKETS = 64
NUMBER = (1 << 64) - 1


class _Event(msgspec.Struct):
    """What is looked at of an event's envelope."""

    id: str
    seq: int


class Ledger:
    """Takes in events as they are recorded. `count` is how many."""

    def __init__(self) -> None:
        self.count = 0
        self._numbers: defaultdict[tuple[str, str], Stretches] = defaultdict(Stretches)
        self._ids = [array("Q") for _ in range(BUCKETS)]
        self._twice: list[Violation] = []
        self._decoder = msgspec.json.Decoder(list[_Event])

    def add(self, team: str, worker: str, body: bytes) -> None:
        """Takes in one row: the JSON array of some envelopes."""
        for event in self._decoder.decode(body):
            self.count += 1
            if not self._numbers[team, worker].add(event.seq):
                what = f"event {event.seq} of worker {worker} of {team} is recorded twice"
                self._twice.append(Violation("recorded_twice", what))
            number = hash(event.id) & NUMBER  # 64 bits: by chance two of ten million are the same once in 400,000 runs
            self._ids[number % BUCKETS].append(number)

    def violations(self) -> Iterator[Violation]:
        """Numbers of a worker that came twice, and ids that came twice."""
        yield from self._twice
        for bucket in self._ids:
            if doubled := len(bucket) - len(set(bucket)):
                yield Violation("recorded_twice", f"{doubled} ids of events are recorded more than once")


class Stretches:
    """A set of whole numbers, most of which come in order: kept as stretches without a gap.

    >>> numbers = Stretches([1, 2, 5, 4])
    >>> numbers.add(3), numbers.add(4), len(numbers)
    (True, False, 1)
    """

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for number in numbers:
            self.add(number)

    def __len__(self) -> int:
        return len(self._firsts)

    def add(self, number: int) -> bool:
        """Takes in a number; False when it was there."""
        at = bisect_right(self._firsts, number)  # the stretch before has a first that is not larger
        if at and number <= self._lasts[at - 1]:
            return False
        joins_before = at > 0 and self._lasts[at - 1] == number - 1
        joins_after = at < len(self._firsts) and self._firsts[at] == number + 1
        if joins_before and joins_after:
            self._lasts[at - 1] = self._lasts.pop(at)
            self._firsts.pop(at)
        elif joins_before:
            self._lasts[at - 1] = number
        elif joins_after:
            self._firsts[at] = number
        else:
            self._firsts.insert(at, number)
            self._lasts.insert(at, number)
        return True
