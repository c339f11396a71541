"""Reads what the platform has recorded, straight from the tables, into a history."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import psycopg

from chaos.history import Attempt, Event, Execution, Expectation, Fault, History, Output, Step

EPOCH = "extract(epoch from {})::float8"


def read_history(
    url: str,
    launched: Mapping[str, frozenset[str]],
    executions: Sequence[Execution],
    faults: Sequence[Fault],
    expected: Expectation,
) -> History:
    """Everything that is known now. Attempts of one that stands alone in its message have no batch to share."""
    times = ", ".join(EPOCH.format(column) for column in ("dispatched_at", "started_at", "ended_at"))
    with psycopg.connect(url) as connection:
        runs = connection.execute("SELECT id::text, state FROM runs").fetchall()
        steps = connection.execute(
            "SELECT run_id::text, number, computation, partition, upstream, state, attempt_id::text, failures, losses FROM steps"
        ).fetchall()
        attempts = connection.execute(
            f"SELECT id::text, run_id::text, step_number, number, state, {times}, batch, worker, coalesce(error ->> 'message', '') FROM attempts"
        ).fetchall()
        outputs = connection.execute(
            "SELECT attempt_id::text, asset, partition, run_id::text, step_number, dispatch_seq, state FROM materializations"
        ).fetchall()
        pointers = connection.execute(
            "SELECT asset, partition, attempt_id::text FROM current_materializations"
        ).fetchall()
        bodies = connection.execute("SELECT team, worker, body FROM events").fetchall()
    return History(
        launched=launched,
        runs=dict(runs),
        steps=tuple(Step(run, number, asset, part, tuple(up), *rest) for run, number, asset, part, up, *rest in steps),
        attempts=tuple(Attempt(*row) for row in attempts),
        outputs=tuple(Output(*row) for row in outputs),
        pointers={(asset, partition): attempt for asset, partition, attempt in pointers},
        events=tuple(
            Event(team, worker, envelope["seq"], envelope["id"])
            for team, worker, body in bodies
            for envelope in json.loads(bytes(body))
        ),
        executions=tuple(executions),
        faults=tuple(faults),
        expected=expected,
    )
