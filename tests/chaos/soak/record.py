"""Reads what became of the soak's runs, one group of partitions after another: all of it at once would not fit into memory.

A run is of many lanes that have nothing to do with each other. The judge knows runs with one step of each asset, so that each lane
of a run is shown to it as a run of its own, `RUN/LANE`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from chaos.history import Attempt, Execution, Fault, History, Output, Step
from chaos.record import EPOCH
from chaos.sink import Sink
from chaos.soak import workload
from chaos.soak.feeder import Launched

TIMES = ", ".join(EPOCH.format(f"a.{column}") for column in ("dispatched_at", "started_at", "ended_at"))
STEPS = """
SELECT run_id::text, partition, number, assets[1], upstream, state, attempt_id::text, failures, losses FROM steps s
"""
ATTEMPTS = f"""
SELECT a.id::text, a.run_id::text, a.step_number, a.number, a.state, {TIMES}, a.batch, a.worker, coalesce(a.error ->> 'message', ''), s.partition
FROM attempts a JOIN steps s ON s.run_id = a.run_id AND s.number = a.step_number
"""
OUTPUTS = """
SELECT attempt_id::text, asset, partition, run_id::text, step_number, dispatch_seq, state FROM materializations
"""
OF_RUNS = "WHERE {} = ANY(%s::uuid[])"
POINTERS = "SELECT asset, partition, attempt_id::text FROM current_materializations WHERE partition = ANY(%s)"
RUNS = "SELECT id::text, state FROM runs WHERE id = ANY(%s::uuid[])"
EVENTS = "SELECT team, worker, body FROM events"


def histories(
    connection: psycopg.Connection[Any], launched: Sequence[Launched], root: Path, faults: Sequence[Fault]
) -> Iterator[History]:
    """What happened in each group, without events."""
    for group in range(workload.GROUPS):
        runs = {each.run: each.kind for each in launched if each.group == group}
        if runs:
            yield _history(connection, group, runs, root, faults)


def _history(
    connection: psycopg.Connection[Any],
    group: int,
    runs: Mapping[str, workload.Kind],
    root: Path,
    faults: Sequence[Fault],
) -> History:
    ids = list(runs)
    wanted = {
        of_lane(run, lane): kind.assets for run, kind in runs.items() for lane in workload.lanes(group, kind.lanes)
    }
    states = dict(connection.execute(RUNS, [ids]).fetchall())
    outputs = connection.execute(OUTPUTS + OF_RUNS.format("run_id"), [ids]).fetchall()
    pointers = connection.execute(POINTERS, [list(workload.lanes(group))]).fetchall()
    return History(
        launched=wanted,
        runs={name: states[name.partition("/")[0]] for name in wanted if name.partition("/")[0] in states},
        steps=_steps(connection, OF_RUNS.format("run_id"), ids),
        attempts=_attempts(connection, OF_RUNS.format("a.run_id"), ids),
        outputs=tuple(
            Output(attempt, asset, lane, of_lane(run, lane), *rest) for attempt, asset, lane, run, *rest in outputs
        ),
        pointers={(asset, lane): attempt for asset, lane, attempt in pointers},
        events=(),
        executions=tuple(as_of_lane(each) for each in Sink(workload.sink_file(root, group)).executions()),
        faults=tuple(faults),
        expected=workload.EXPECTED,
    )


def limited(connection: psycopg.Connection[Any]) -> History:
    """The steps and attempts of all groups on which there is a limit, to be judged by the limits alone."""
    some, where = list(workload.LIMITED), "WHERE s.computation = ANY(%s)"
    return History(
        launched={},
        runs={},
        steps=_steps(connection, where, some),
        attempts=_attempts(connection, where, some),
        outputs=(),
        pointers={},
        events=(),
        executions=(),
        faults=(),
        expected=workload.EXPECTED,
    )


def events(connection: psycopg.Connection[Any]) -> Iterator[tuple[str, str, bytes]]:
    """All recorded events: team, worker, and the JSON of a few of its events."""
    with connection.transaction(), connection.cursor(name="events") as cursor:
        cursor.itersize = 500
        for team, worker, body in cursor.execute(EVENTS):
            yield team, worker, bytes(body)


def of_lane(run: str, lane: str) -> str:
    """The name under which a lane of a run is judged."""
    return f"{run}/{lane}"


def as_of_lane(execution: Execution) -> Execution:
    """An execution as one of the run of its lane, and so what it has read.

    >>> found = as_of_lane(Execution("r", "b", "07-001", 1, 2, 3, 4.0, 5.0, "end", (("a", "r", 1),)))
    >>> found.run, found.read
    ('r/07-001', (('a', 'r/07-001', 1),))
    """
    lane = execution.partition
    read = tuple((asset, of_lane(run, lane), attempt) for asset, run, attempt in execution.read)
    return replace(execution, run=of_lane(execution.run, lane), read=read)


def _steps(connection: psycopg.Connection[Any], where: str, which: list[str]) -> tuple[Step, ...]:
    rows = connection.execute(STEPS + where, [which]).fetchall()
    return tuple(
        Step(of_lane(run, lane), number, asset, lane, tuple(upstream), *rest)
        for run, lane, number, asset, upstream, *rest in rows
    )


def _attempts(connection: psycopg.Connection[Any], where: str, which: list[str]) -> tuple[Attempt, ...]:
    rows = connection.execute(ATTEMPTS + where, [which]).fetchall()
    return tuple(Attempt(attempt, of_lane(run, lane), *rest) for attempt, run, *rest, lane in rows)
