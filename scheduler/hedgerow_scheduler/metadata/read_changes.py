"""Which runs and steps changed since the last look, at a cost that does not grow with what is long over."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import ARRAY, Connection, bindparam, text
from sqlalchemy.dialects.postgresql import UUID

from hedgerow.errors import Problem
from hedgerow_scheduler.metadata.read_rows import all_rows

# A row's xmin is the transaction that wrote it. What was written since a moment is what is not older than the oldest
# transaction that was open then; a row may so be seen twice, and none is missed. Columns of times can't do that: they are set
# before the commit that shows them.
_NEW = "age({table}.xmin) <= age(cast(cast(:horizon as xid8) as xid))"

_RUNS = text(
    "select cast(id as text) as run_id, cast(null as integer) as number, state, 0 as attempt, '' as computation, '' as partition, '' as team, error "
    "from runs where (state in ('requested', 'running') or id = any(:watched) or created_at > clock_timestamp() - interval '10 s') "
    f"and {_NEW.format(table='runs')} order by id"
).bindparams(bindparam("watched", type_=ARRAY(UUID(as_uuid=False))))
_STEPS = text(
    "select cast(steps.run_id as text) as run_id, number, steps.state, attempt, computation, partition, team, steps.error from steps join runs on runs.id = steps.run_id "
    "where (runs.state = 'running' or runs.id = any(:watched) or runs.created_at > clock_timestamp() - interval '10 s') "
    f"and {_NEW.format(table='steps')} order by steps.run_id, number"
).bindparams(bindparam("watched", type_=ARRAY(UUID(as_uuid=False))))
_LIVE = text("select id from runs where state in ('requested', 'running')")


class Change(msgspec.Struct, frozen=True):
    """A run (`number` None) or a step came to stand in `state`."""

    run_id: str
    number: int | None
    state: str
    attempt: int
    computation: str
    partition: str
    team: str
    error: Problem | None


def horizon(connection: Connection) -> str:
    """Where the next look begins: no transaction before it will commit any more."""
    return str(connection.execute(text("select cast(pg_snapshot_xmin(pg_current_snapshot()) as text)")).scalar_one())


def changes_since(connection: Connection, since: str, watched: Collection[str]) -> tuple[Change, ...]:
    """Runs and steps written since the horizon `since`: of live runs, of those begun within ten seconds, and of those `watched`.

    Steps come before runs, so that the end of a run is the last that is heard of it.
    """
    parameters = {"horizon": since, "watched": list(watched)}
    return (
        *all_rows(connection, _STEPS, Change, parameters),
        *all_rows(connection, _RUNS, Change, parameters),
    )


def live_runs(connection: Connection) -> set[str]:
    """The ids of all runs that have not ended."""
    return {str(run_id) for run_id in connection.execute(_LIVE).scalars()}
