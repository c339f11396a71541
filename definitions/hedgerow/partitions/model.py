"""Partitions and mappings as frozen data: what a manifest carries, and all that the scheduler sees of them."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from hedgerow.errors import DefinitionError, Problem

MAX_CADENCE = 255
CADENCES = ("hour", "day", "week", "month")
Cadence: TypeAlias = str
"""How windows follow each other: one of CADENCES, or a cron expression of five fields with a window from each tick to the next."""


class TimePartitions(msgspec.Struct, frozen=True, tag="time", omit_defaults=True):
    """Consecutive windows of local time. `start` (and `end`, exclusive) is ISO local time at a window's edge.

    A key is the window's start: `2024-01-31` by day and week (weeks start on Monday), `2024-01` by month,
    `2024-01-31T05` by hour, `2024-01-31T05:30` by a cron expression; where an hour occurs twice (end of summer time), the second
    has the suffix `b`.
    """

    cadence: Annotated[str, msgspec.Meta(max_length=MAX_CADENCE)]
    start: str
    end: str | None = None
    tz: str = "UTC"
    dim: str = "time"

    def __mul__(self, other: Partitions) -> ProductPartitions:
        """Every combination of these partitions with those of `other`."""
        return _product(self, other)


class StaticPartitions(msgspec.Struct, frozen=True, tag="static", omit_defaults=True):
    """A fixed list of keys, in order."""

    keys: tuple[str, ...]
    dim: str = "key"

    def __mul__(self, other: Partitions) -> ProductPartitions:
        """Every combination of these partitions with those of `other`."""
        return _product(self, other)


class DynamicPartitions(msgspec.Struct, frozen=True, tag="dynamic", omit_defaults=True):
    """Keys that come and go at run time: those of the team's set `name`, which all its assets with that name share."""

    name: str
    dim: str = "key"

    def __mul__(self, other: Partitions) -> ProductPartitions:
        """Every combination of these partitions with those of `other`."""
        return _product(self, other)


class ProductPartitions(msgspec.Struct, frozen=True, tag="product", omit_defaults=True):
    """Every combination of the keys of two or more dimensions. A key joins one key per dimension, in order, by `|`."""

    dims: tuple[TimePartitions | StaticPartitions | DynamicPartitions, ...]

    def __mul__(self, other: Partitions) -> ProductPartitions:
        """Every combination of these partitions with those of `other`."""
        return _product(self, other)


Dimension: TypeAlias = TimePartitions | StaticPartitions | DynamicPartitions
Partitions: TypeAlias = TimePartitions | StaticPartitions | DynamicPartitions | ProductPartitions


def is_cron(cadence: Cadence) -> bool:
    """Whether windows follow each other by the ticks of a cron expression."""
    return cadence not in CADENCES and " " in cadence


def dimensions(partitions: Partitions) -> tuple[Dimension, ...]:
    """The dimensions of partitions, in the order in which a key joins them."""
    return partitions.dims if isinstance(partitions, ProductPartitions) else (partitions,)


def _product(left: Partitions, right: Partitions) -> ProductPartitions:
    if not isinstance(right, (TimePartitions, StaticPartitions, DynamicPartitions, ProductPartitions)):
        return NotImplemented
    dims = (*dimensions(left), *dimensions(right))
    names = [dim.dim for dim in dims]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"Two dimensions of a product of partitions have the name '{twice[0]}'."
        raise DefinitionError(
            Problem("HR-D101", message, 'Give each a name of its own: hr.static("a", "b", dim="country").')
        )
    return ProductPartitions(dims)


class Same(msgspec.Struct, frozen=True, tag="same", omit_defaults=True):
    """The partition of equal key; between time partitions of different cadence, the windows that overlap."""


class All(msgspec.Struct, frozen=True, tag="all", omit_defaults=True):
    """Every partition of the upstream."""


class Last(msgspec.Struct, frozen=True, tag="last", omit_defaults=True):
    """The last `count` partitions of the upstream."""

    count: int = 1


class Window(msgspec.Struct, frozen=True, tag="window", omit_defaults=True):
    """The upstream partitions from `start` to `end` (both included), counted from the partition of equal key."""

    start: int
    end: int


class Keys(msgspec.Struct, frozen=True, tag="keys", omit_defaults=True):
    """For each downstream key (or `*` for any other) the upstream keys it reads, as pairs, sorted by downstream key."""

    pairs: tuple[tuple[str, tuple[str, ...]], ...]


class ByDim(msgspec.Struct, frozen=True, tag="by_dim", omit_defaults=True):
    """One mapping for each dimension of the upstream, as pairs sorted by dimension; a dimension left out uses the default."""

    pairs: tuple[tuple[str, Same | All | Last | Window | Keys], ...]


Mapping: TypeAlias = Same | All | Last | Window | Keys | ByDim
