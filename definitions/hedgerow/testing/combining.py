"""Putting the values of several partitions together as a parameter's annotation asks, as loading from storage does."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from typing import Any

from hedgerow.annotations import without_none
from hedgerow.errors import StorageError
from hedgerow.storage import frames


def combine(asset: str, values: Sequence[tuple[str | None, Any]], annotation: Any, *, several: bool) -> Any:
    """The value for a parameter from (partition, value) pairs, in order.

    One value when not `several`. Otherwise `dict[str, X]` receives a dict from partition key, `list[X]` a list, a table
    annotation one table with all rows; without annotation, tables become one, other values a list. `StorageError` HR-S008 when
    the values can't be put together.
    """
    wanted = without_none(annotation)
    arguments = typing.get_args(wanted)
    by_partition = (
        typing.get_origin(wanted) is dict and len(arguments) == 2 and frames.kind_of(arguments[1]) is not None
    )
    if not several and not by_partition:
        return values[0][1] if values else None
    if by_partition or wanted is dict or typing.get_origin(wanted) is dict:
        return {partition or "": value for partition, value in values}
    parts = [value for _, value in values]
    if wanted is list or typing.get_origin(wanted) is list:
        return parts
    tables = bool(parts) and all(frames.kind_of(type(part)) is not None for part in parts)
    if wanted in (None, Any, object):
        return frames.concatenate(parts) if tables else parts
    if not parts:
        return None
    if not tables:
        shown = getattr(wanted, "__name__", str(wanted))
        raise StorageError.of(
            "HR-S008",
            f"Several partitions of '{asset}' can't be put together as one {shown}.",
            f"Annotate the parameter with list[{shown}] or dict[str, {shown}].",
        )
    return frames.concatenate(parts)
