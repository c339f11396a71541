"""The route of conditions: what the last evaluations of an asset's condition found, operand by operand."""

from __future__ import annotations

from datetime import datetime

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from hedgerow import clock
from hedgerow_scheduler.api.assets import find_asset
from hedgerow_scheduler.api.launchers import launchers_of
from hedgerow_scheduler.api.services import Services
from hedgerow_scheduler.automation.pauses import Pause, Pauses
from hedgerow_scheduler.automation.program import Program
from hedgerow_scheduler.automation.telling import Operand, operands
from hedgerow_scheduler.metadata import pauses
from hedgerow_scheduler.metadata.automation import EvaluationEntry, read_evaluations


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
    select it.
    """

    key: str
    has_condition: bool
    latest: Evaluation | None
    requested: Evaluation | None
    pause: Pause | None
    launched_by: tuple[str, ...]


@get("/conditions/{key:path}", tags=["assets"], sync_to_thread=True)
def show_condition(services: NamedDependency[Services], key: FromPath[str]) -> ConditionReport:
    """What the condition of an asset was found to be."""
    with services.reading() as connection:
        catalog = services.catalog(connection)
        asset = find_asset(catalog, key.lstrip("/"))
        found = read_evaluations(connection, asset.key)
        held = Pauses(pauses.read_pauses(connection)).over_asset(asset.team, asset.key, clock.now())
    launched_by = launchers_of(catalog, asset.key)
    condition = asset.definition.automation
    if condition is None:
        return ConditionReport(asset.key, False, None, None, held, launched_by)
    program = Program(condition)
    latest, requested = (
        evaluation(program, found[kind]) if kind in found else None for kind in ("latest", "requested")
    )
    return ConditionReport(asset.key, True, latest, requested, held, launched_by)


def evaluation(program: Program, entry: EvaluationEntry) -> Evaluation:
    """A recorded evaluation, told by the condition in force."""
    told = tuple(operands(program, entry.findings)) if entry.condition == program.digest else ()
    return Evaluation(entry.at, told, tuple(entry.requested), entry.requested_count, entry.run_id, entry.problem)


ROUTES = (show_condition,)
