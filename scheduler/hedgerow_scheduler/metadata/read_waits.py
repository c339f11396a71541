"""What is recorded of the time that steps waited: of one step, and summed over a run."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, func, select, text

from hedgerow_scheduler.admission.wait_times import Try, WaitFacts
from hedgerow_scheduler.metadata.read_rows import all_rows
from hedgerow_scheduler.metadata.tables import attempts, runs, steps


def read_wait_facts(connection: Connection, run_id: str, number: int) -> WaitFacts:
    """What `admission.wait_times.waits_of` wants to know of a step."""
    s, a = steps.c, attempts.c
    row = connection.execute(
        select(
            func.clock_timestamp().label("now"), s.state, s.ready_at, s.ended_at, s.waits,
            runs.c.created_at, runs.c.started_at.label("planned_at"),
        )
        .join(runs, runs.c.id == s.run_id)
        .where(s.run_id == run_id, s.number == number)
    ).one()  # fmt: skip
    tries = select(a.dispatched_at, a.started_at, a.ended_at).where(a.run_id == run_id, a.step_number == number)
    return WaitFacts(
        row.now, row.state, row.created_at, row.planned_at, row.ready_at, row.ended_at, row.waits,
        all_rows(connection, tries.order_by(a.number), Try),
    )  # fmt: skip


class Standing(msgspec.Struct, frozen=True):
    """Steps of a run that wait in one state with one computation: the first of them, and the seconds not recorded yet of all."""

    state: str
    computation: str
    number: int
    seconds: float


class RunTimes(msgspec.Struct, frozen=True):
    """The seconds that a run's steps waited, by cause as recorded, those in which attempts ran, and what waits now."""

    recorded: dict[str, float]
    ran_s: float
    standing: tuple[Standing, ...]


def read_run_times(connection: Connection, run_id: str) -> RunTimes:
    """Where the time of all steps of a run went."""
    recorded = connection.execute(_RECORDED, {"run_id": run_id})
    ran = connection.execute(_RAN, {"run_id": run_id}).scalar_one()
    return RunTimes(
        {row.cause: row.seconds for row in recorded},
        ran,
        all_rows(connection, _STANDING, Standing, {"run_id": run_id}),
    )


# Steps of which nothing is recorded yet have at least waited for their run to be planned.
_RECORDED = text("""
SELECT cause, sum(seconds) AS seconds FROM (
  SELECT w.key AS cause, w.value::float8 AS seconds
  FROM steps s, jsonb_each_text(s.waits) AS w WHERE s.run_id = :run_id AND s.waits IS NOT NULL
  UNION ALL
  SELECT 'planning', extract(epoch FROM r.started_at - r.created_at)::float8
  FROM steps s JOIN runs r ON r.id = s.run_id WHERE s.run_id = :run_id AND s.waits IS NULL AND r.started_at IS NOT NULL
) AS found GROUP BY cause
""")

_RAN = text("""
SELECT coalesce(sum(extract(epoch FROM coalesce(ended_at, clock_timestamp()) - started_at)), 0)::float8
FROM attempts WHERE run_id = :run_id AND started_at IS NOT NULL
""")

_STANDING = text("""
SELECT s.state, s.computation, min(s.number) AS number,
       sum(greatest(0, extract(epoch FROM clock_timestamp() - r.created_at)::float8 - counted.seconds - ran.seconds)) AS seconds
FROM steps s
JOIN runs r ON r.id = s.run_id,
LATERAL (
  SELECT coalesce(sum(w.value::float8), extract(epoch FROM r.started_at - r.created_at)::float8) AS seconds
  FROM jsonb_each_text(coalesce(s.waits, '{}')) AS w
) AS counted,
LATERAL (
  SELECT coalesce(sum(extract(epoch FROM a.ended_at - a.started_at)), 0)::float8 AS seconds
  FROM attempts a WHERE a.run_id = s.run_id AND a.step_number = s.number AND a.started_at IS NOT NULL AND a.ended_at IS NOT NULL
) AS ran
WHERE s.run_id = :run_id AND s.state IN ('waiting', 'ready', 'retry_wait', 'dispatched')
GROUP BY s.state, s.computation ORDER BY seconds DESC, number
""")
