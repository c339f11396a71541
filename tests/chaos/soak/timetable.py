"""When which fault strikes. Pure.

Redis is emptied and the leader killed early: thereafter one leader and one content of Redis are looked at until the end. A worker is
killed when the platform has long been warm, and the black hole leaves both enough time before it and after it. After the last sample
the leader is killed once more, when everything that the run has recorded lies in the tables.
"""

from __future__ import annotations

from dataclasses import dataclass

HOLE_S = 300.0
HOLE_SHARE = 0.25  # of a short run


@dataclass(frozen=True)
class Planned:
    """A fault that is to strike `at` seconds after the load began, and to last so long."""

    kind: str
    at: float
    hold_s: float


def hole_s(seconds: float) -> float:
    """How long the black hole is in a run of so many seconds: five minutes where there is time for it.

    >>> hole_s(1800), hole_s(240)
    (300.0, 60.0)
    """
    return min(HOLE_S, seconds * HOLE_SHARE)


def timetable(seconds: float) -> list[Planned]:
    """The faults of a run of so many seconds, but for the last kill of the leader."""
    return [
        Planned("valkey_flushed", min(10.0, seconds * 0.05), 0.0),
        Planned("leader_killed", min(45.0, seconds * 0.15), 5.0),
        Planned("worker_killed", seconds * 0.3, 2.0),
        Planned("valkey_hole", seconds * 0.62, hole_s(seconds)),
    ]
