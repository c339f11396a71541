"""Inputs: which partitions of which upstream assets a step reads, and whether what is stored will do."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from datetime import datetime

import msgspec

from hedgerow.errors import Problem
from hedgerow.manifest.model import Computation
from hedgerow.partitions.model import All, ByDim, Last
from hedgerow.partitions.model import Mapping as PartitionMapping
from hedgerow.partitions.resolution import default_mapping, upstream_keys
from hedgerow.protocol.orders import Input
from hedgerow.protocol.references import Reference
from hedgerow_scheduler.planning.catalog import Catalog, looks_back


class Wanted(msgspec.Struct, frozen=True):
    """An upstream asset whose value the function takes, with the partitions to read in their order ('' when it has none).

    `in_place`: its io overwrites, so that what a check holds back has replaced what was current. `whole`: the partitions were
    asked for one by one (the same, a window, a list), so that none may be missing; otherwise it is whatever there is.
    """

    asset: str
    team: str
    optional: bool
    in_place: bool
    partitions: tuple[str, ...]
    whole: bool = False


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
        mapping = dep.mapping or default_mapping(computation.partitions, asset.definition.partitions)
        partitions, in_place = tuple(key or "" for key in keys), not asset.definition.immutable
        found.append(Wanted(dep.key, asset.team, dep.optional, in_place, partitions, not takes_what_there_is(mapping)))
    return tuple(found)


def takes_what_there_is(mapping: PartitionMapping) -> bool:
    """Whether a mapping means whatever partitions there are, rather than certain ones."""
    if isinstance(mapping, ByDim):
        return any(isinstance(each, All | Last) for _, each in mapping.pairs)
    return isinstance(mapping, All | Last)


class Choice(msgspec.Struct, frozen=True):
    """The inputs of an order; the assets of which nothing at all is there; and those that a check holds back, for which the step waits."""

    inputs: tuple[Input, ...]
    lacking: tuple[str, ...]
    held_back: tuple[str, ...]


def choose_inputs(
    wanted: Sequence[Wanted], current: Mapping[tuple[str, str], Reference], held_back: Container[tuple[str, str]]
) -> Choice:
    """What a step reads, from the current references by (asset, partition) and the pairs of which a check holds a newer output back.

    Of partitions asked for one by one none may be missing; of "all" and "last" some may, but not everything: the input says
    which. What a check holds back is waited for, and optional assets are never lacking. What was overwritten in place is never read while its check has not passed.
    """
    inputs, lacking, waiting = [], [], []
    for want in wanted:
        references = tuple(current[want.asset, key] for key in want.partitions if (want.asset, key) in current)
        missing = tuple(key for key in want.partitions if (want.asset, key) not in current)
        short = (bool(missing) if want.whole else not references) and not want.optional and bool(want.partitions)
        if (short or want.in_place) and any((want.asset, key) in held_back for key in want.partitions):
            waiting.append(want.asset)
        elif short:
            lacking.append(want.asset)
        inputs.append(Input(want.asset, references, missing, want.team))
    return Choice(tuple(inputs), tuple(lacking), tuple(waiting))


def missing_input(asset: str, partitions: Sequence[str], external: bool) -> Problem:
    """Why a step can't start whose upstream was never materialized: as a whole, or in some of the partitions it reads."""
    named = [f"'{key}'" for key in partitions if key]
    more = f" and {len(named) - 3:,} more" if len(named) > 3 else ""
    of = f" for partition {', '.join(named[:3])}{more}" if named else ""
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
