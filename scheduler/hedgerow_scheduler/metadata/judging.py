"""The store of what checks judge: outputs that were made before, and which checks of them have failed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, and_, select, text

from hedgerow_scheduler.lifecycle.judging import Judgeable
from hedgerow_scheduler.lifecycle.model import Attempt, Step
from hedgerow_scheduler.metadata import tables as t
from hedgerow_scheduler.metadata.runs import output_of

# What the attempt of the step before it made (`maker`), even if something newer is current by now; otherwise what was made last, unless its
# attempt came to nothing. After a step that made nothing, only what no check has rejected: not all checks will judge it.
_JUDGEABLE = text("""
SELECT u.place, m.*, coalesce(c.dispatch_seq > m.dispatch_seq, false) AS is_former FROM unnest(
    CAST(:places AS int[]), CAST(:assets AS text[]), CAST(:partitions AS text[]), CAST(:makers AS uuid[]), CAST(:follows AS bool[])
  ) AS u(place, asset, partition, maker, follows)
CROSS JOIN LATERAL (
  (
    SELECT 0 AS choice, o.* FROM materializations o
    WHERE o.attempt_id = u.maker AND o.asset = u.asset AND o.partition = u.partition AND o.state <> 'discarded'
  ) UNION ALL (
    SELECT 1 AS choice, h.* FROM materializations h
    WHERE h.asset = u.asset AND h.partition = u.partition AND (
        h.state IN ('unchecked', 'current') OR h.state = 'rejected' AND NOT u.follows
      )
    ORDER BY h.dispatch_seq DESC LIMIT 1
  )
  ORDER BY choice LIMIT 1
) AS m
LEFT JOIN current_materializations c ON c.asset = m.asset AND c.partition = m.partition
""").columns(attempt_id=t.materializations.c.attempt_id.type, run_id=t.materializations.c.run_id.type)


def read_judgeable(connection: Connection, steps: Sequence[Step]) -> dict[tuple[str, int], Judgeable]:
    """What steps that judge are to judge, by their run and number; those that find nothing are left out."""
    columns = {
        "places": list(range(len(steps))),
        "assets": [step.assets[0] for step in steps],
        "partitions": [step.partition or "" for step in steps],
        "makers": [step.run.steps[step.upstream[0]].attempt_id if step.upstream else None for step in steps],
        "follows": [bool(step.upstream) for step in steps],
    }
    rows = connection.execute(_JUDGEABLE, columns).all()
    failed = read_failed_checks(connection, [row.attempt_id for row in rows])
    return {
        (steps[row.place].run.id, steps[row.place].number): Judgeable(
            found := output_of(row), frozenset(failed.get((found.attempt_id, found.asset), ())), row.is_former
        )
        for row in rows
    }


def read_failed_checks(connection: Connection, attempts: Collection[str]) -> dict[tuple[str, str], set[str]]:
    """The checks of what these attempts made of which the last verdict is bad, by attempt and asset."""
    c = t.check_results.c
    names = (c.asset, c.check_name, c.passed, c.created_at)
    own = select(c.attempt_id.label("of"), *names).where(c.attempt_id.in_(attempts), c.judged.is_(None))
    later = select(c.judged.label("of"), *names).where(c.judged.in_(attempts))
    failed: dict[tuple[str, str], set[str]] = {}
    rows = [row for found in (own, later) for row in connection.execute(found)] if attempts else []
    for row in sorted(rows, key=lambda row: row.created_at):
        names_of = failed.setdefault((row.of, row.asset), set())
        names_of.discard(row.check_name) if row.passed else names_of.add(row.check_name)
    return failed


def with_judged(connection: Connection, attempts: list[Attempt]) -> list[Attempt]:
    """Attempts, those that judge with what they judge."""
    a, m, p = t.attempts.c, t.materializations.c, t.current_materializations.c
    by_id = {attempt.id: attempt for attempt in attempts}
    judging = select(a.id, a.judged).where(a.id.in_(list(by_id)), a.judged.is_not(None))
    judged: dict[str, str] = {row.id: row.judged for row in connection.execute(judging)}
    makers = set(judged.values())
    here = and_(p.asset == m.asset, p.partition == m.partition)
    found = select(t.materializations, p.dispatch_seq.label("current_seq")).outerjoin_from(
        t.materializations, t.current_materializations, here
    )
    rows = connection.execute(found.where(m.attempt_id.in_(makers))).all()
    outputs = {(row.attempt_id, row.asset, row.partition): row for row in rows}
    failed = read_failed_checks(connection, makers)
    for id, maker in judged.items():
        attempt = by_id[id]
        asset, partition = attempt.step.locks()[0]
        row = outputs[maker, asset, partition]
        attempt.judged = output_of(row)
        attempt.judges_former = row.current_seq is not None and row.current_seq > row.dispatch_seq
        attempt.failed_checks |= {(asset, check) for check in failed.get((maker, asset), ())}
    return attempts
