"""Whether a figure is flat: the rule, and the moments at which it may be asked. Pure.

The rule: a figure's median over the last quarter of its steady moments is at most 1.1 times that over the first quarter, plus a small
allowance for what is counted in whole pieces.

A moment is steady when the platform has been warm for a while and no fault has struck lately: it takes a minute until what piled up
meanwhile is done. What Redis holds is kept for a time, so that it fills up for as long after the start, and after everything in it was
lost: its figures are asked only when it is full. What did not come in during a fault makes it less full for as long again, and no longer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from chaos.soak.series import Key, Points

TIMES = 1.1
WARM_S = 180.0
SETTLE_S = 60.0
FILL_S = 1000.0  # the scheduler removes from the streams once a minute what is older than 15 minutes
FEWEST = 8  # steady samples without which nothing is said


@dataclass(frozen=True)
class Bound:
    """What a figure may have grown by beyond a tenth. `fills`: it is asked only when Redis is full."""

    allowance: float
    fills: bool = False


# By (role, figure). The allowances are some pages of an allocator, a connection that is opened anew, a runner in reserve.
PROCESS = {"rss_mb": Bound(8.0), "fds": Bound(4.0), "threads": Bound(2.0)}
JUDGED: Mapping[Key, Bound] = {
    **{(role, figure): bound for role in ("leader", "standby", "worker", "runner", "api") for figure, bound in PROCESS.items()},
    **{(role, "processes"): Bound(2.0) for role in ("leader", "standby", "worker", "runner", "api")},
    ("postgres", "pss_mb"): Bound(16.0),
    ("postgres", "fds"): Bound(1000.0),  # PostgreSQL keeps files of tables open, up to 1,000 in a process (max_files_per_process)
    ("postgres", "connections"): Bound(2.0),
    ("valkey", "rss_mb"): Bound(16.0, fills=True),
    ("valkey", "fds"): Bound(4.0),
    ("valkey", "threads"): Bound(2.0),
    ("redis", "clients"): Bound(4.0),
    ("redis", "keys"): Bound(1000.0, fills=True),
    ("redis", "memory_mb"): Bound(8.0, fills=True),
    ("redis", "stream_entries"): Bound(1000.0, fills=True),
    ("redis", "stream_age_s"): Bound(60.0, fills=True),
    ("outbox", "mb"): Bound(4.0),
    ("outbox", "files"): Bound(8.0),
}  # fmt: skip
TOLD = (("platform", "steps_per_s"), ("platform", "waiting"))  # with the same figures, without a verdict


@dataclass(frozen=True)
class Trouble:
    """A fault, from when to when in seconds after the load began; `emptied` when Redis has lost what it held."""

    began: float
    healed: float
    emptied: bool = False


@dataclass(frozen=True)
class Course:
    """One figure's course: medians of the first and the last steady quarter, growth per hour of a straight line through both and all between."""

    first: float
    last: float
    per_hour: float
    flat: bool


@dataclass(frozen=True)
class Patience:
    """How long a run warms up, and settles after a fault: shorter in a short one, which is then but a rehearsal."""

    warm_s: float
    settle_s: float

    @staticmethod
    def of(seconds: float) -> Patience:
        """That of a run of so many seconds.

        >>> Patience.of(1800), Patience.of(240)
        (Patience(warm_s=180.0, settle_s=60.0), Patience(warm_s=60.0, settle_s=12.0))
        """
        return Patience(min(WARM_S, seconds / 4), min(SETTLE_S, seconds / 20))


def steady(second: float, troubles: Sequence[Trouble], patience: Patience, *, fills: bool = False) -> bool:
    """Whether a figure may be asked at this moment."""
    lately = any(each.began <= second < each.healed + patience.settle_s for each in troubles)
    if second < patience.warm_s or lately:
        return False
    emptied = [0.0, *(each.healed for each in troubles if each.emptied and each.began <= second)]
    return not fills or second >= max(emptied) + FILL_S


def course(points: Points, bound: Bound) -> Course:
    """What became of a figure at its steady moments, of which there are some."""
    quarter = max(1, len(points) // 4)
    first = median(value for _, value in points[:quarter])
    last = median(value for _, value in points[-quarter:])
    return Course(first, last, slope(points) * 3600, last <= first * TIMES + bound.allowance)


def slope(points: Points) -> float:
    """The slope of the straight line that lies nearest to the points (least squares); 0 when all are of one moment.

    >>> slope([(0, 1.0), (10, 2.0), (20, 3.0)])
    0.1
    """
    middle = sum(second for second, _ in points) / len(points)
    level = sum(value for _, value in points) / len(points)
    spread = sum((second - middle) ** 2 for second, _ in points)
    return sum((second - middle) * (value - level) for second, value in points) / spread if spread else 0.0


@dataclass(frozen=True)
class Judgement:
    """All courses that could be told, and those figures for which the run was too short."""

    courses: Mapping[Key, Course]
    too_short: tuple[Key, ...]

    @property
    def grown(self) -> tuple[Key, ...]:
        """The judged figures that are not flat."""
        return tuple(key for key, found in self.courses.items() if key in JUDGED and not found.flat)

    @property
    def flat(self) -> bool:
        """The verdict: something could be judged, and none of it has grown."""
        return not self.grown and any(key in JUDGED for key in self.courses)


def judge(series: Mapping[Key, Points], troubles: Sequence[Trouble], patience: Patience) -> Judgement:
    """The verdict over a run. A figure of which nothing was measured at all is not mentioned."""
    courses: dict[Key, Course] = {}
    too_short: list[Key] = []
    for key in (*JUDGED, *TOLD):
        if key not in series:
            continue
        bound = JUDGED.get(key, Bound(0.0))
        points = [point for point in series[key] if steady(point[0], troubles, patience, fills=bound.fills)]
        if len(points) < FEWEST:
            too_short.append(key)
        else:
            courses[key] = course(points, bound)
    return Judgement(courses, tuple(too_short))


def told(judgement: Judgement) -> dict[str, Any]:
    """A judgement as the last line tells it: for each role its figures."""
    found: dict[str, dict[str, float]] = {}
    for (role, figure), each in judgement.courses.items():
        figures = found.setdefault(role, {})
        figures[f"{figure}_first"] = round(each.first, 1)
        figures[f"{figure}_last"] = round(each.last, 1)
        figures[f"{figure}_per_hour"] = round(each.per_hour, 1)
    return {
        **found,
        "rule": f"median of the last steady quarter <= {TIMES} * median of the first + allowance",
        "grown": [" ".join(key) for key in judgement.grown],
        "too_short_for": [" ".join(key) for key in judgement.too_short],
        "flat": judgement.flat,
    }
