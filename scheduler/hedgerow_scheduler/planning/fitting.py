"""Fitting: whether what is declared apart, by locations that never saw each other's code, fits together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from hedgerow.errors import Problem
from hedgerow.manifest.model import Computation
from hedgerow.partitions.resolution import validate_mapping
from hedgerow.suggestion import did_you_mean
from hedgerow_scheduler.planning.catalog import Catalog

UNDECLARED = "HR-Q322"


class Misfit(msgspec.Struct, frozen=True):
    """Why a computation of a team can't be planned: an upstream that no one declares, or one whose partitions its mapping does not fit."""

    computation: str
    team: str
    upstream: str
    problem: Problem


def misfits(catalog: Catalog, computations: Iterable[Computation] | None = None) -> Iterator[Misfit]:
    """What of these computations, or of all, can't be planned beside everything else in the catalog."""
    for each in catalog.computations.values() if computations is None else computations:
        team, _ = catalog.home(each.name)
        for dep in each.deps:
            upstream = catalog.assets.get(dep.key)
            if upstream is not None:
                problem = validate_mapping(dep.mapping, each.partitions, upstream.definition.partitions)
                message = f"Asset '{each.name}' can't read the partitions of '{dep.key}': {problem and problem.message}"
            elif not dep.optional:
                remedy = did_you_mean(dep.key, sorted(catalog.assets)) or f'Declare it: hr.external("{dep.key}").'
                message = f"Asset '{each.name}' is made from '{dep.key}', which no team declares."
                problem = Problem(UNDECLARED, message, remedy)
            else:
                continue
            if problem is not None:
                place = (each.source.file, each.source.line) if each.source else (None, None)
                found = Problem(problem.code, message, problem.remedy, *place)
                yield Misfit(each.name, team, dep.key, found)
