"""What happened, as plain data: what really ran, what was recorded, and what was done to the platform meanwhile.

Times are seconds since 1970 on the clock of the one machine on which all of it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Execution:
    """One execution of a step's code, as it told itself. `last` is when it was last seen at work.

    `how` is "end", "raised" or "stopped" as it left, empty when it said nothing any more. `read` are the (asset, run, attempt) whose outputs it was given.
    """

    run: str
    asset: str
    partition: str
    attempt: int
    runner: int
    worker: int
    began: float
    last: float
    how: str = ""
    read: tuple[tuple[str, str, int], ...] = ()


@dataclass(frozen=True)
class Step:
    """A step as recorded."""

    run: str
    number: int
    asset: str
    partition: str
    upstream: tuple[int, ...]
    state: str
    attempt_id: str | None
    failures: int = 0
    losses: int = 0


@dataclass(frozen=True)
class Attempt:
    """An attempt as recorded."""

    id: str
    run: str
    step: int
    number: int
    state: str
    dispatched_at: float
    started_at: float | None
    ended_at: float | None
    batch: int = 0
    worker: str = ""
    error: str = ""


@dataclass(frozen=True)
class Output:
    """A materialization as recorded."""

    attempt_id: str
    asset: str
    partition: str
    run: str
    step: int
    dispatch_seq: int
    state: str


@dataclass(frozen=True)
class Event:
    """An accepted event as recorded."""

    team: str
    worker: str
    seq: int
    id: str


@dataclass(frozen=True)
class Fault:
    """Something done to the platform, from `began` to `healed`. `pids` are the processes that it befell."""

    kind: str
    target: str
    began: float
    healed: float
    pids: tuple[int, ...] = ()
    resumed: float | None = None


@dataclass(frozen=True)
class Rule:
    """A limit as the workload declares it: on which assets, how many at once, or how many per second after a burst."""

    name: str
    assets: frozenset[str]
    slots: int | None = None
    rate: float | None = None
    burst: float = 1.0


@dataclass(frozen=True)
class Expectation:
    """What the workload is to come to: the end of each asset's steps, where it is not `succeeded`; which never run twice at once."""

    ends: Mapping[str, str]
    stop: frozenset[str]
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class History:
    """Everything. `launched` are the runs whose launch was acknowledged, with the assets each of them is to make."""

    launched: Mapping[str, frozenset[str]]
    runs: Mapping[str, str]
    steps: tuple[Step, ...]
    attempts: tuple[Attempt, ...]
    outputs: tuple[Output, ...]
    pointers: Mapping[tuple[str, str], str]
    events: tuple[Event, ...]
    executions: tuple[Execution, ...]
    faults: tuple[Fault, ...]
    expected: Expectation
