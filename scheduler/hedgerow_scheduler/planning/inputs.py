"""Inputs: which partitions of which upstream assets a step reads, and whether what is stored will do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from hedgerow.errors import Problem
from hedgerow.manifest.model import Computation
from hedgerow.partitions.resolution import upstream_keys
from hedgerow.protocol.orders import Input
from hedgerow.protocol.references import Reference
from hedgerow_scheduler.planning.catalog import Catalog, looks_back


class Wanted(msgspec.Struct, frozen=True):
    """An upstream asset whose value the function takes, with the partitions to read in their order ('' when it has none)."""

    asset: str
    team: str
    optional: bool
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
        found.append(Wanted(dep.key, asset.team, dep.optional, tuple(key or "" for key in keys)))
    return tuple(found)


def choose_inputs(
    wanted: Sequence[Wanted], current: Mapping[tuple[str, str], Reference]
) -> tuple[tuple[Input, ...], tuple[str, ...]]:
    """The inputs of an order from the current references by (asset, partition), and the assets of which nothing at all is there.

    Of several partitions some may be missing: the input says which. Optional assets are never counted as missing.
    """
    inputs, nothing = [], []
    for want in wanted:
        references = tuple(current[want.asset, key] for key in want.partitions if (want.asset, key) in current)
        missing = tuple(key for key in want.partitions if (want.asset, key) not in current)
        if not references and not want.optional and want.partitions:
            nothing.append(want.asset)
        inputs.append(Input(want.asset, references, missing, want.team))
    return tuple(inputs), tuple(nothing)


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
