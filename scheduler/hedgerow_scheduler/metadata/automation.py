"""The store of conditions: what they remember, what their last evaluations found, and the facts that they ask about."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ARRAY, ColumnElement, Connection, Text, and_, any_, literal, select, text

from hedgerow_scheduler.lifecycle.judging import ANY_JUDGING
from hedgerow_scheduler.metadata import tables as t
from hedgerow_scheduler.metadata.read_rows import all_rows
from hedgerow_scheduler.metadata.tables_automation import automation_evaluations, automation_memories


class MadeRow(msgspec.Struct, frozen=True):
    """What is current of one partition."""

    asset: str
    partition: str
    code_version: str
    data_version: str


class StoredFacts(msgspec.Struct, frozen=True):
    """What is recorded of assets: current materializations, checks of them that failed as (asset, partition, check), and the partitions
    whose last step that came to an end failed.
    """

    made: tuple[MadeRow, ...] = ()
    failed_checks: tuple[tuple[str, str, str], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


class Part(NamedTuple):
    """Some partitions ("" for none) of assets, and the computations that make these assets."""

    partitions: Collection[str]
    computations: Collection[str]


class EvaluationEntry(msgspec.Struct, frozen=True):
    """An evaluation as it is recorded; see the table."""

    kind: str
    at: datetime
    condition: str
    findings: list[Any]
    requested: list[str]
    requested_count: int
    problem: str
    run_id: str | None


def read_memories(connection: Connection) -> dict[str, bytes]:
    """What each condition remembers, by asset."""
    c = automation_memories.c
    return {row.asset: bytes(row.body) for row in connection.execute(select(c.asset, c.body))}


def read_memory(connection: Connection, asset: str) -> bytes | None:
    """What one asset's condition remembers; None when it has not been asked yet."""
    c = automation_memories.c
    body = connection.execute(select(c.body).where(c.asset == asset)).scalar()
    return None if body is None else bytes(body)


def read_live_steps(
    connection: Connection, keys: Collection[str], partitions: Collection[str]
) -> list[tuple[str, str, bool]]:
    """The steps that have not ended and make one of these assets, of one of these partitions ("" for none), as (asset, partition, is_out)."""
    asked = {"keys": list(keys), "only": list(partitions), "judging": ANY_JUDGING}
    return [(row.asset, row.partition, row.is_out) for row in connection.execute(_LIVE, asked)]


def read_evaluations(connection: Connection, asset: str) -> dict[str, EvaluationEntry]:
    """The last evaluations of an asset's condition, by kind."""
    c = automation_evaluations.c
    found = select(*(c[name] for name in EvaluationEntry.__struct_fields__)).where(c.asset == asset)
    return {entry.kind: entry for entry in all_rows(connection, found, EvaluationEntry)}


def read_facts(
    connection: Connection,
    keys: Collection[str],
    with_failures: Collection[str],
    part: Part | None = None,
) -> StoredFacts:
    """What is recorded of these assets, or only of a `part` of it; of `with_failures` also which partitions failed last, which reads their
    history.
    """
    if not keys:
        return StoredFacts()
    p, m, c = t.current_materializations.c, t.materializations.c, t.check_results.c
    here = and_(m.attempt_id == p.attempt_id, m.asset == p.asset, m.partition == p.partition)
    asked: list[ColumnElement[bool]] = [p.asset.in_(list(keys))]
    if part is not None:
        asked.append(p.partition == any_(literal(list(part.partitions), ARRAY(Text))))
    made = select(p.asset, p.partition, m.code_version, m.data_version).join_from(
        t.current_materializations, t.materializations, here
    )
    of_current = select(p.asset, p.partition, c.check_name, c.passed).where(*asked)
    own = and_(c.attempt_id == p.attempt_id, c.asset == p.asset, c.judged.is_(None), ~c.passed)
    later = and_(c.judged == p.attempt_id, c.asset == p.asset)
    failed_checks = {
        (row.asset, row.partition, row.check_name)
        for row in connection.execute(of_current.join_from(t.current_materializations, t.check_results, own))
    }
    judged = of_current.join_from(t.current_materializations, t.check_results, later)
    for row in connection.execute(judged.order_by(c.created_at)):
        verdict = (row.asset, row.partition, row.check_name)
        failed_checks.discard(verdict) if row.passed else failed_checks.add(verdict)
    wanted = {"keys": list(with_failures), "judging": ANY_JUDGING}
    if part is not None:
        wanted |= {"computations": list(part.computations), "partitions": list(part.partitions)}
    failures = connection.execute(_FAILED if part is None else _FAILED_OF, wanted) if with_failures else ()
    return StoredFacts(
        all_rows(connection, made.where(*asked), MadeRow),
        tuple(sorted(failed_checks)),
        tuple((row.asset, row.partition) for row in failures),
    )


_LIVE = text("""
SELECT asset, s.partition, s.state IN ('dispatched', 'running') AS is_out
FROM steps AS s JOIN runs AS r ON r.id = s.run_id, unnest(s.assets) AS asset
WHERE s.ended_at IS NULL AND r.state = 'running' AND asset = ANY(:keys) AND s.partition = ANY(:only)
    AND s.computation NOT LIKE :judging
""")

_FAILED_OF_ALL = """
SELECT asset, partition FROM (
    SELECT DISTINCT ON (asset, partition) asset, partition, state
    FROM steps, unnest(assets) AS asset
    WHERE asset = ANY(:keys) AND computation NOT LIKE :judging AND state IN ('succeeded', 'failed', 'poisoned'){}
    ORDER BY asset, partition, ended_at DESC
) AS last WHERE state <> 'succeeded'
"""
_FAILED = text(_FAILED_OF_ALL.format(""))
_FAILED_OF = text(_FAILED_OF_ALL.format(" AND computation = ANY(:computations) AND partition = ANY(:partitions)"))
