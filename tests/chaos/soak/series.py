"""What was measured, put together by role: processes come and go, a role stays. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

Points = list[tuple[float, float]]  # (second, value), by time
Key = tuple[str, str]  # (role, figure)

# A figure of a role is that of its largest process, so that one that leaks is not hidden by others that don't; of these it is the sum.
SUMMED = frozenset({"postgres"})
COUNTED = "rss_mb"  # a process counts when this is known of it
PROCESSES = "processes"


@dataclass(frozen=True)
class Sample:
    """One value, `second` seconds after the load began. `process` tells those of a role apart."""

    second: float
    role: str
    process: str
    figure: str
    value: float


def by_role(samples: Iterable[Sample]) -> dict[Key, Points]:
    """The course of each figure of each role, and of how many processes the role has."""
    values: defaultdict[Key, defaultdict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        values[sample.role, sample.figure][sample.second].append(sample.value)
    found: dict[Key, Points] = {}
    for (role, figure), moments in values.items():
        combine: Callable[[Iterable[float]], float] = sum if role in SUMMED else max
        found[role, figure] = [(second, combine(each)) for second, each in sorted(moments.items())]
        if figure == COUNTED:
            found[role, PROCESSES] = [(second, float(len(each))) for second, each in sorted(moments.items())]
    return found


def rate(points: Points) -> Points:
    """How much a counter grew per second up to each point but the first; where it went back (it is another process's) there is none.

    >>> rate([(0, 0), (5, 100), (10, 40), (20, 140)])
    [(5, 20.0), (20, 10.0)]
    """
    return [
        (later, (after - before) / (later - at)) for (at, before), (later, after) in pairwise(points) if after >= before
    ]
