"""What is taken of limits now, as people look at it."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import Connection, text

from hedgerow_scheduler.limits.limit import LimitId
from hedgerow_scheduler.planning.rules import queue_limit_name, spec_name

# Attempts of one batch hold their slots together. The step's state says that an attempt is out.
_OUT = """
SELECT DISTINCT ON (coalesce(nullif(a.batch, 0), a.dispatch_seq)) a.team, a.location, a.queue, a.run_id, a.holds
FROM steps s JOIN attempts a ON a.id = s.attempt_id
WHERE s.ended_at IS NULL AND s.state IN ('dispatched', 'running')
"""


def count_in_use(connection: Connection) -> Counter[LimitId]:
    """How many slots of each limit are taken; those of a limit by key over all its values."""
    found: Counter[LimitId] = Counter()
    for row in connection.execute(text(_OUT)):
        found["queue", queue_limit_name(row.team, row.location, row.queue)] += 1
        found["team", row.team] += 1
        held = {(kind, name): slots for kind, name, slots in row.holds or ()}
        held["run", str(row.run_id)] = 1
        for (kind, name), slots in held.items():
            found[kind, spec_name((kind, name))] += slots
    return found


def count_ready(connection: Connection) -> Counter[LimitId]:
    """How many steps of each queue and team are ready and wait."""
    query = "SELECT team, location, queue, count(*) AS steps FROM steps WHERE ended_at IS NULL AND state = 'ready' GROUP BY 1, 2, 3"
    found: Counter[LimitId] = Counter()
    for row in connection.execute(text(query)):
        found["queue", queue_limit_name(row.team, row.location, row.queue)] += row.steps
        found["team", row.team] += row.steps
    return found
