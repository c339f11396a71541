"""Inputs: which partitions of which upstream assets a step reads, and whether what is stored will do."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from datetime import datetime

import msgspec

from hedgerow.errors import Problem
from hedgerow.manifest.model import Computation
from hedgerow.partitions.resolution import upstream_keys
from hedgerow.protocol.orders import Input
from hedgerow.protocol.references import Reference
from hedgerow_scheduler.planning.catalog import Catalog, looks_back


class Wanted(msgspec.Struct, frozen=True):
    """An upstream asset whose value the function takes, with the partitions to read in their order ('' when it has none).

    `in_place`: its io overwrites, so that what a check holds back has replaced what was current.
    """

    asset: str
    team: str
    optional: bool
    in_place: bool
    partitions: tuple[str, ...]


def wanted_inputs(
    catalog: Catalog, computation: Computation, partition: str | None, now: datetime
) -> tuple[Wanted, ...]:
    """What a step must be given, in order of its dependencies. Dependencies for order only are not among them."""
    found = []
    for dep in computation.deps:
        asset = catalog.assets.get(dep.key)
        made_here = dep.key in computation.assets and not looks_back(dep)
        if dep.parameter is None or asset is None or not asset.definition.stored or made_here:
            continue
        keys = upstream_keys(dep.mapping, computation.partitions, asset.definition.partitions, partition, now)
        found.append(
            Wanted(dep.key, asset.team, dep.optional, not asset.definition.immutable, tuple(key or "" for key in keys))
        )
    return tuple(found)


class Choice(msgspec.Struct, frozen=True):
    """The inputs of an order; the assets of which nothing at all is there; and those that a check holds back, for which the step waits."""

    inputs: tuple[Input, ...]
    lacking: tuple[str, ...]
    held_back: tuple[str, ...]


def choose_inputs(
    wanted: Sequence[Wanted], current: Mapping[tuple[str, str], Reference], held_back: Container[tuple[str, str]]
) -> Choice:
    """What a step reads, from the current references by (asset, partition) and the pairs of which a check holds a newer output back.

    Of several partitions some may be missing: the input says which. Nothing at all of an asset is lacking, unless it is
    optional or a check holds it back. What was overwritten in place is never read while its check has not passed.
    """
    inputs, lacking, waiting = [], [], []
    for want in wanted:
        references = tuple(current[want.asset, key] for key in want.partitions if (want.asset, key) in current)
        missing = tuple(key for key in want.partitions if (want.asset, key) not in current)
        nothing = not references and not want.optional and bool(want.partitions)
        if (nothing or want.in_place) and any((want.asset, key) in held_back for key in want.partitions):
            waiting.append(want.asset)
        elif nothing:
            lacking.append(want.asset)
        inputs.append(Input(want.asset, references, missing, want.team))
    return Choice(tuple(inputs), tuple(lacking), tuple(waiting))


def missing_input(asset: str, partition: str | None, external: bool) -> Problem:
    """Why a step can't start whose upstream was never materialized."""
    of = f" for partition '{partition}'" if partition else ""
    if external:
        return Problem(
            "HR-Q023",
            f"Upstream '{asset}' is external: nothing of it is stored here that could be loaded{of}.",
            "Depend on it by deps= for order, and read it in the asset's own code.",
        )
    return Problem(
        "HR-Q023",
        f"Upstream '{asset}' has no current materialization{of}.",
        f"Materialize it first, or together with this one: add '{asset}' or a leading '+' to the selection.",
    )
