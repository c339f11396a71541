"""Who holds limits now, what is left of rates, who comes first, and how fast things went lately: facts for explanations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Double, and_, cast, func, or_, select, text, tuple_
from sqlalchemy.dialects.postgresql import JSONB

from hedgerow_scheduler.admission.positions import Crowd
from hedgerow_scheduler.admission.waiting_facts import Holder, Pace
from hedgerow_scheduler.limits.bucket import TokenBucket
from hedgerow_scheduler.limits.limit import LimitId, Values
from hedgerow_scheduler.metadata.read_rows import all_rows
from hedgerow_scheduler.metadata.tables import attempts, runs, steps, token_buckets

MAX_HOLDERS = 20
WINDOW_S = 60.0
MAX_LOOKED_AT = 2000  # attempts, when it is asked how fast things went lately
_LIVE = steps.c.ended_at.is_(None)  # as ix_steps_live says it


class Out(msgspec.Struct, frozen=True):
    """An attempt that is out, with its step and what it holds beyond queue and team."""

    run_id: str
    number: int
    team: str
    location: str
    queue: str
    assets: tuple[str, ...]
    partition: str
    state: str
    since: datetime
    seq: int
    batch: int
    holds: tuple[tuple[str, str, int], ...] | None

    def slots_of(self, id: LimitId) -> int:
        """How many slots of a limit beyond queue and team it holds; those of its run whatever was noted, for a run may get a
        limit while its steps are out.
        """
        if id[0] == "run":
            return int(self.run_id == id[1])
        return sum(slots for kind, name, slots in self.holds or () if (kind, name) == id)


def read_out(connection: Connection, team: str, run_id: str, limits: Iterable[LimitId]) -> tuple[Out, ...]:
    """The attempts that are out of a team, of a run, or that hold any of `limits`, in the order in which they were dispatched."""
    a = attempts.c
    about: list[ColumnElement[bool]] = [a.team == team, a.run_id == run_id]
    about += [_holding(a.holds, id) for id in limits if id[0] != "run"]
    found = (
        select(
            a.run_id, a.step_number.label("number"), a.team, a.location, a.queue, steps.c.assets, steps.c.partition, a.state,
            a.dispatched_at.label("since"), a.dispatch_seq.label("seq"), a.batch, a.holds,
        )
        .join(steps, steps.c.attempt_id == a.id)
        .where(_LIVE, steps.c.state.in_(["dispatched", "running"]), or_(*about))
        .order_by(a.dispatch_seq)
    )  # fmt: skip
    return all_rows(connection, found, Out)


def _holding(holds: ColumnElement[Any], id: LimitId) -> ColumnElement[bool]:
    """Whether some [kind, name, slots] of `holds` is of this limit."""
    return holds.op("@>")(cast([list(id)], JSONB))


def held_by(out: Sequence[Out], slots_of: Callable[[Out], int]) -> tuple[int, tuple[Holder, ...]]:
    """How many slots are taken, and by whom: those of one message hold theirs together."""
    first: dict[int, Out] = {}
    together: dict[int, int] = {}
    for one in out:
        if slots_of(one):
            batch = one.batch or one.seq
            first.setdefault(batch, one)
            together[batch] = together.get(batch, 0) + 1
    shown = [
        Holder(
            one.run_id, one.number, one.team, one.assets, one.partition, one.state, one.since, slots_of(one), together[batch]
        )
        for batch, one in list(first.items())[:MAX_HOLDERS]
    ]  # fmt: skip
    return sum(slots_of(one) for one in first.values()), tuple(shown)


def read_tokens(connection: Connection, id: LimitId, values: Values, now: datetime) -> tuple[float, float | None]:
    """The tokens of a limit with a rate, and in how many seconds one can be taken (None: never)."""
    rate, burst = values.rate or 0.0, max(1.0, values.burst or 1.0)
    b = token_buckets.c
    row = connection.execute(select(b.tokens, b.at).where(b.kind == id[0], b.name == id[1])).one_or_none()
    bucket = TokenBucket(rate, burst, row.tokens, row.at) if row else TokenBucket(rate, burst, burst, now)
    tokens, due = bucket.refill(now), bucket.due(now)
    return tokens, None if due is None else max(0.0, (due - now).total_seconds())


def read_crowds(
    connection: Connection,
    *where: ColumnElement[bool],
    sharer: Callable[[Any], str] = lambda _: "",
    weight: Callable[[str], float] = lambda _: 1.0,
) -> tuple[Crowd, ...]:
    """The ready steps that fit, counted by run and band. `sharer` names who takes turns, from a row with team and location."""
    band = (runs.c.priority + steps.c.priority).label("band")
    by = (steps.c.run_id, runs.c.created_at, runs.c.priority, band, steps.c.team, steps.c.location)
    found = (
        select(*by, func.count().label("steps"))
        .join(runs, runs.c.id == steps.c.run_id)
        .where(_LIVE, steps.c.state == "ready", *where)
        .group_by(*by)
    )
    return tuple(
        Crowd(row.run_id, row.created_at, row.priority, row.band, row.steps, sharer(row), weight(sharer(row)))
        for row in connection.execute(found)
    )


def count_before(connection: Connection, run_id: str, number: int, priority: int, *where: ColumnElement[bool]) -> int:
    """How many ready steps of the same run and priority come before one by their number."""
    s = steps.c
    found = select(func.count()).select_from(steps)
    mine = (s.run_id == run_id, s.number < number, s.priority == priority, s.state == "ready")
    return int(connection.execute(found.where(*mine, *where)).scalar_one())


def of_computations(places: Sequence[tuple[str, str, str]]) -> ColumnElement[bool]:
    """Steps of these (team, location, computation)."""
    return tuple_(steps.c.team, steps.c.location, steps.c.computation).in_(list(places))


def read_pace(
    connection: Connection, queue: tuple[str, str, str], computation: str, limits: Sequence[LimitId]
) -> dict[LimitId | None, Pace]:
    """How fast a queue (under None) and others who hold `limits` were started within the last minute, and how long steps lasted.

    It looks at the last attempts of the whole deployment, so that its cost does not grow with history.
    """
    a = attempts.c
    last = select(attempts).order_by(a.dispatch_seq.desc()).limit(MAX_LOOKED_AT).subquery()
    recent = last.c.dispatched_at > func.clock_timestamp() - text(f"interval '{WINDOW_S:.0f} s'")
    mine = and_(last.c.team == queue[0], last.c.location == queue[1], last.c.queue == queue[2])
    took: ColumnElement[float] = func.extract("epoch", last.c.ended_at - last.c.started_at).cast(Double())
    same = steps.c.computation == computation
    columns = [func.avg(took).filter(mine & same).label("mean_s"), func.avg(took).filter(mine).label("mean_of_queue_s")]
    chosen = [mine, *(_holding(last.c.holds, id) for id in limits)]
    for index, which in enumerate(chosen):
        since = func.extract("epoch", func.clock_timestamp() - func.min(last.c.dispatched_at).filter(recent & which))
        columns += [
            func.count().filter(recent & which).label(f"count_{index}"),
            since.cast(Double()).label(f"since_{index}"),
        ]
    joined = last.outerjoin(steps, and_(steps.c.run_id == last.c.run_id, steps.c.number == last.c.step_number))
    row = connection.execute(select(*columns).select_from(joined)).mappings().one()
    mean = row["mean_s"] if row["mean_s"] is not None else row["mean_of_queue_s"]
    keys: list[LimitId | None] = [None, *limits]
    return {key: Pace(_speed(row[f"count_{i}"], row[f"since_{i}"]), mean) for i, key in enumerate(keys)}


def _speed(count: int, since_s: float | None) -> float | None:
    """Starts per second since the first of `count`; None before there were a few."""
    return count / since_s if since_s and count >= 3 else None
