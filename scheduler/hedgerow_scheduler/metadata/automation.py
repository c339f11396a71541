"""The store of conditions: what they remember, what their last evaluations found, and the facts that they ask about."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, select, text

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


def read_evaluations(connection: Connection, asset: str) -> dict[str, EvaluationEntry]:
    """The last evaluations of an asset's condition, by kind."""
    c = automation_evaluations.c
    found = select(*(c[name] for name in EvaluationEntry.__struct_fields__)).where(c.asset == asset)
    return {entry.kind: entry for entry in all_rows(connection, found, EvaluationEntry)}


def read_facts(connection: Connection, keys: Collection[str], with_failures: Collection[str]) -> StoredFacts:
    """What is recorded of these assets; of `with_failures` also which partitions failed last, which reads their history."""
    if not keys:
        return StoredFacts()
    p, m, c = t.current_materializations.c, t.materializations.c, t.check_results.c
    here = and_(m.attempt_id == p.attempt_id, m.asset == p.asset, m.partition == p.partition)
    made = select(p.asset, p.partition, m.code_version, m.data_version).join_from(
        t.current_materializations, t.materializations, here
    )
    of_current = select(p.asset, p.partition, c.check_name, c.passed).where(p.asset.in_(list(keys)))
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
    failures = (
        connection.execute(_FAILED, {"keys": list(with_failures), "judging": ANY_JUDGING}) if with_failures else ()
    )
    return StoredFacts(
        all_rows(connection, made.where(p.asset.in_(list(keys))), MadeRow),
        tuple(sorted(failed_checks)),
        tuple((row.asset, row.partition) for row in failures),
    )


_FAILED = text("""
SELECT asset, partition FROM (
    SELECT DISTINCT ON (asset, partition) asset, partition, state
    FROM steps, unnest(assets) AS asset
    WHERE asset = ANY(:keys) AND computation NOT LIKE :judging AND state IN ('succeeded', 'failed', 'poisoned')
    ORDER BY asset, partition, ended_at DESC
) AS last WHERE state <> 'succeeded'
""")
