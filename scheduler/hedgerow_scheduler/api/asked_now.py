"""What an asset's condition finds of one of its partitions now, with everything that it wants to know read from the database."""

from __future__ import annotations

from datetime import datetime

import msgspec
from pyroaring import BitMap
from sqlalchemy import Connection

from hedgerow.conditions.model import Failed
from hedgerow_scheduler.automation.asking_now import ask_now, looked_at
from hedgerow_scheduler.automation.declared import Automated, Declared
from hedgerow_scheduler.automation.facts import Facts
from hedgerow_scheduler.automation.knowledge import Knowledge
from hedgerow_scheduler.automation.memory import decode
from hedgerow_scheduler.automation.telling import Operand
from hedgerow_scheduler.metadata.automation import Part, read_facts, read_live_steps, read_memory
from hedgerow_scheduler.metadata.freshness import read_not_fresh
from hedgerow_scheduler.planning.catalog import Catalog

MOST_LOOKED_AT = 10_000


class PartitionAnswer(msgspec.Struct, frozen=True):
    """What a condition finds of one partition when it is asked now, operand by operand. `was_so`: the scheduler has found before that it holds,
    and does not request the partition again before it has been otherwise. `problem` says why it could not be asked; then there are no operands.
    """

    partition: str
    at: datetime
    holds: bool = False
    was_so: bool = False
    operands: tuple[Operand, ...] = ()
    problem: str = ""


def answer_now(
    connection: Connection, catalog: Catalog, key: str, partition: str, now: datetime
) -> PartitionAnswer | None:
    """The answer; None when the asset has no condition that can be asked, or no such partition."""
    automated = Declared.only(catalog, key)
    space = _facts(catalog, key).space
    ordinal = space.ordinal(partition)
    if automated is None or ordinal is None:
        return None
    if ordinal not in space.existing(now):
        why = "it is not complete yet" if space.is_timed else "it is gone"
        return PartitionAnswer(partition, now, problem=f"{why}, and conditions look at what there is")
    body = read_memory(connection, key)
    memory = decode(body, automated.digest) if body is not None else None
    if memory is None:
        return PartitionAnswer(partition, now, problem="its condition has not been asked yet")
    wanted = looked_at(automated, ordinal, now)
    if (count := sum(len(each) for each in wanted.values())) > MOST_LOOKED_AT:
        return PartitionAnswer(
            partition,
            now,
            problem=f"its condition looks at {count:,} partitions for it, and is asked for people of at most {MOST_LOOKED_AT:,}",
        )
    known = _known(connection, catalog, automated, wanted)
    found = ask_now(automated, ordinal, known, memory, now)
    return PartitionAnswer(partition, now, found.holds, found.was_so, found.operands)


def _facts(catalog: Catalog, key: str) -> Facts:
    asset = catalog.assets.get(key)
    if asset is None:
        return Facts(None)
    return Facts(asset.definition, asset.computation.code_version if asset.computation else "")


def _known(connection: Connection, catalog: Catalog, automated: Automated, wanted: dict[str, BitMap]) -> Knowledge:
    """The facts of these partitions, as the database has them, and of some others."""
    known = Knowledge()
    known.facts = {key: _facts(catalog, key) for key in wanted if key in catalog.assets}
    keys = sorted(known.facts)
    partitions = sorted({known.facts[key].space.key(each) or "" for key in keys for each in wanted[key]})
    computations = {each.computation.name for each in map(catalog.assets.__getitem__, keys) if each.computation}
    with_failures = keys if Failed in automated.program.kinds else ()
    stored = read_facts(connection, keys, with_failures, Part(partitions, sorted(computations)))
    known.know(
        [(row.asset, row.partition or None, row.code_version, row.data_version) for row in stored.made],
        [(asset, partition or None, check) for asset, partition, check in stored.failed_checks],
        [(asset, partition or None) for asset, partition in stored.failed],
    )
    for asset, each, is_out in read_live_steps(connection, keys, partitions):
        known.know_step(asset, each or None, is_out=is_out)
    standing = {key: (BitMap(), BitMap()) for key in keys}
    for asset, each, status in read_not_fresh(connection, (keys, partitions)):
        if (ordinal := known.facts[asset].space.ordinal(each or None)) is not None:
            standing[asset][status == "late"].add(ordinal)
    for key, (warned, late) in standing.items():
        known.know_standing(key, warned, late)
    return known
