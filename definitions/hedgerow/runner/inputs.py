"""Which values a step is given: the references of its order, loaded as the parameters' annotations ask."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from hedgerow import storage
from hedgerow.errors import ExecutionError
from hedgerow.execution import BoundComputation
from hedgerow.io import IO
from hedgerow.manifest.model import Column
from hedgerow.partitions.model import All, ByDim, Keys, Last, Window
from hedgerow.partitions.model import Mapping as PartitionMapping
from hedgerow.protocol.orders import Input, StepOrder
from hedgerow.storage import files

_SHOWN = 5


_inputs = msgspec.json.Decoder(tuple[Input, ...])
_former = msgspec.json.Decoder(dict[str, tuple[Column, ...]])


def with_inputs(order: StepOrder) -> StepOrder:
    """The order with its inputs and former columns, read from storage when they were too many to travel with it. StorageError HR-S006."""
    if order.inputs_at:
        order = msgspec.structs.replace(order, inputs=_inputs.decode(files.read(order.inputs_at)), inputs_at="")
    if order.former_at:
        order = msgspec.structs.replace(order, former=_former.decode(files.read(order.former_at)), former_at="")
    return order


def load_inputs(
    bound: BoundComputation,
    order: StepOrder,
    own_assets: frozenset[str],
    ios: Mapping[str, IO],
    scratch: storage.Scratch,
    log: logging.Logger,
) -> dict[str, Any]:
    """The values of the computation's parameters by asset key; an upstream without data is left out.

    `own_assets` are the keys that this location materializes: those, and what the order says is the team's, are the team's
    own, so their pickles may be opened. Partitions without data are named in `log`. Raises `StorageError`; `ExecutionError` HR-X006 when the order lacks an input.
    """
    if not bound.inputs:
        return {}
    given = {one.asset: one for one in order.inputs}
    mappings = {dep.key: dep.mapping for dep in bound.computation.deps if dep.parameter is not None}
    values: dict[str, Any] = {}
    for parameter in bound.inputs:
        found = given.get(parameter.key)
        several = found is not None and is_several(mappings.get(parameter.key), order.partition, found)
        if found is None or not (found.references or several):
            if parameter.optional:
                continue
            raise ExecutionError.of(
                "HR-X006",
                f"Asset '{bound.computation.name}' takes the value of '{parameter.key}', which has none stored.",
                f"Materialize '{parameter.key}' first; if it returns None, depend on it by deps= instead of a parameter.",
            )
        if several and any(found.missing):
            log.warning("%s", _missing_line(found))
        same_team = parameter.key in own_assets or (found.team == order.team and order.team != "")
        reader = storage.Reader(parameter.key, same_team, ios, scratch)
        values[parameter.key] = storage.load(found.references, parameter.annotation, reader, several=several)
    return values


def is_several(mapping: PartitionMapping | None, partition: str | None, given: Input) -> bool:
    """Whether a parameter receives many partitions' values (one table, a list, a dict), not one value.

    It does if its mapping can select more than one, so that a reader of `last(3)` meets the same shape on the first day; for
    `same` and the default, if they select more than one this time. An upstream without partitions has at most one value,
    and says so by an empty key where it is missing.
    """
    selected = len(given.references) + len(given.missing)
    if isinstance(mapping, ByDim):
        return selected > 1 or any(_selects_many(one) for _, one in mapping.pairs)
    if isinstance(mapping, All) or (mapping is None and partition is None):
        return selected == 0 or any(one.partition for one in given.references) or any(given.missing)
    return selected > 1 or (mapping is not None and _selects_many(mapping))


def _missing_line(given: Input) -> str:
    shown = ", ".join(given.missing[:_SHOWN]) + (", ..." if len(given.missing) > _SHOWN else "")
    selected = len(given.references) + len(given.missing)
    return f"{len(given.missing)} of {selected} partitions of {given.asset} have no data: {shown}"


def _selects_many(mapping: PartitionMapping) -> bool:
    if isinstance(mapping, Last):
        return mapping.count > 1
    if isinstance(mapping, Window):
        return mapping.start != mapping.end
    if isinstance(mapping, Keys):
        return any(len(keys) > 1 for _, keys in mapping.pairs)
    return isinstance(mapping, All)
