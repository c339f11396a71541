"""How a team writes down which upstream partitions a partition reads: `hr.mapping.same()`, `window(-2, 0)`, `by_dim(...)`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hedgerow.errors import DefinitionError, Problem
from hedgerow.partitions.model import All, ByDim, Keys, Last, Same, Window

DimMapping = Same | All | Last | Window | Keys

__all__ = ["all", "by_dim", "keys", "last", "same", "window"]


def same() -> Same:
    """The upstream partition of equal key; between time partitions of another cadence or zone, the windows that overlap."""
    return Same()


def all() -> All:
    """Every upstream partition that exists when the step is planned."""
    return All()


def last(count: int = 1) -> Last:
    """The last `count` upstream partitions that exist when the step is planned."""
    if count < 1:
        raise _wrong(f"mapping.last({count}) selects nothing.", "Give a count of at least 1.")
    return Last(count)


def window(start: int, end: int) -> Window:
    """The upstream partitions from `start` to `end`, both included, counted from the one of equal key.

    >>> window(-2, 0)
    Window(start=-2, end=0)
    """
    if start > end:
        raise _wrong(f"mapping.window({start}, {end}) runs backwards.", f"Write mapping.window({end}, {start}).")
    return Window(start, end)


def keys(pairs: Mapping[str, str | Iterable[str]]) -> Keys:
    """For each downstream key the upstream keys that it reads; the downstream key `*` stands for any other.

    >>> keys({"north": ["no", "se"], "*": "de"})
    Keys(pairs=(('*', ('de',)), ('north', ('no', 'se'))))
    """
    if not pairs:
        raise _wrong(
            "mapping.keys needs at least one downstream key.", 'Write mapping.keys({"downstream": ["upstream"]}).'
        )
    return Keys(
        tuple(sorted((key, (value,) if isinstance(value, str) else tuple(value)) for key, value in pairs.items()))
    )


def by_dim(pairs: Mapping[str, DimMapping] | None = None, /, **more: DimMapping) -> ByDim:
    """One mapping for each dimension of the upstream; a dimension left out is matched by name, or read whole.

    >>> by_dim(time=window(-1, 0))
    ByDim(pairs=(('time', Window(start=-1, end=0)),))
    """
    merged = {**(pairs or {}), **more}
    for dim, mapping in merged.items():
        if not isinstance(mapping, DimMapping):
            raise _wrong(
                f"mapping.by_dim has {mapping!r} for dimension '{dim}'.", "Give a mapping such as hr.mapping.all()."
            )
    return ByDim(tuple(sorted(merged.items(), key=lambda pair: pair[0])))


def _wrong(message: str, remedy: str) -> DefinitionError:
    return DefinitionError(Problem("HR-D106", message, remedy))
