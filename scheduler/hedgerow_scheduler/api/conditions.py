"""The route of conditions: what the last evaluations of an asset's condition found, operand by operand."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from pyroaring import BitMap

from hedgerow import clock
from hedgerow.conditions.model import And, InLatestWindow
from hedgerow.manifest.model import Asset
from hedgerow_scheduler.api.asked_now import PartitionAnswer, answer_now
from hedgerow_scheduler.api.assets import find_asset
from hedgerow_scheduler.api.launchers import launchers_of
from hedgerow_scheduler.api.services import Services
from hedgerow_scheduler.automation.labels import label_of
from hedgerow_scheduler.automation.pauses import Pause, Pauses
from hedgerow_scheduler.automation.program import Program
from hedgerow_scheduler.automation.telling import Operand, operands
from hedgerow_scheduler.metadata import pauses
from hedgerow_scheduler.metadata.automation import EvaluationEntry, read_evaluations
from hedgerow_scheduler.partitions.spaces import Space, space_of


class Evaluation(msgspec.Struct, frozen=True):
    """One evaluation. `operands` stand as they are written, the whole condition first; there are none when it was of another condition
    than the one in force, or when `problem` says why it could not be asked. `requested` are the first of `requested_count` partitions.
    """

    at: datetime
    operands: tuple[Operand, ...]
    requested: tuple[str, ...]
    requested_count: int
    run_id: str | None
    problem: str


class ConditionReport(msgspec.Struct, frozen=True):
    """Why an asset is, or is not, materialized by itself. `latest` is the last evaluation that found something else than the one before
    it, `requested` the last that requested anything; `pause` is what holds it back. `launched_by` are schedules and sensors that
    select it. Where nothing is launched by itself, it is not `on`. `outside` says why the partition that was asked about is none that the condition looks at,
    `of_partition` what the condition finds of it now.
    """

    key: str
    has_condition: bool
    on: bool
    latest: Evaluation | None
    requested: Evaluation | None
    pause: Pause | None
    launched_by: tuple[str, ...]
    outside: str = ""
    of_partition: PartitionAnswer | None = None


@get("/conditions/{key:path}", tags=["assets"], sync_to_thread=True)
def show_condition(
    services: NamedDependency[Services],
    key: FromPath[str],
    partition: Annotated[str | None, QueryParameter(description="What the condition finds of this one now.")] = None,
) -> ConditionReport:
    """What the condition of an asset was found to be."""
    with services.reading() as connection:
        catalog = services.catalog(connection)
        asset = find_asset(catalog, key.lstrip("/"))
        found = read_evaluations(connection, asset.key)
        now = clock.now()
        held = Pauses(pauses.read_pauses(connection)).over_asset(asset.team, asset.key, now)
        answer = answer_now(connection, catalog, asset.key, partition, now) if partition is not None else None
    launched_by = launchers_of(catalog, asset.key)
    condition = asset.definition.automation
    if condition is None:
        return ConditionReport(asset.key, False, services.automatic, None, None, held, launched_by)
    program = Program(condition)
    latest, requested = (
        evaluation(program, found[kind]) if kind in found else None for kind in ("latest", "requested")
    )
    return ConditionReport(
        asset.key,
        True,
        services.automatic,
        latest,
        requested,
        held,
        launched_by,
        outside_of(asset.definition, partition, now),
        answer,
    )


def outside_of(asset: Asset, partition: str | None, now: datetime) -> str:
    """Why a partition is none of those that the condition of an asset looks at; empty when it is one, or there is none of this key."""
    space = space_of(asset.partitions)
    number = space.ordinal(partition) if partition is not None else None
    whole = asset.automation
    for each in whole.of if isinstance(whole, And) else (whole,):
        if number is not None and isinstance(each, InLatestWindow):
            back = None if each.lookback_ms is None else timedelta(milliseconds=each.lookback_ms)
            found = space.latest(now, back)
            if found is not None and number not in found:
                which = (
                    f"the last complete window ({span_text(space, found)})"
                    if back is None
                    else f"what {label_of(each)}"
                )
                return f"Its condition looks at {which} only, and {partition} is not of that"
    return ""


def span_text(space: Space, found: BitMap) -> str:
    """The first and the last of some partitions."""
    if not found:
        return "there is none yet"
    first, last = space.key(found.min()), space.key(found.max())
    return str(first) if first == last else f"{first} .. {last}"


def evaluation(program: Program, entry: EvaluationEntry) -> Evaluation:
    """A recorded evaluation, told by the condition in force."""
    told = tuple(operands(program, entry.findings)) if entry.condition == program.digest else ()
    return Evaluation(entry.at, told, tuple(entry.requested), entry.requested_count, entry.run_id, entry.problem)


ROUTES = (show_condition,)
