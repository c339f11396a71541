"""Which upstream partitions a step reads: a mapping applied to a downstream key, and whether the mapping fits at all.

A mapping works dimension by dimension: each dimension of the upstream is read by way of the downstream's dimension of the
same name. Where both sides have a single dimension, the two belong together whatever their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice, product, takewhile
from math import prod

from hedgerow.errors import Problem, RequestError
from hedgerow.identifiers import DIMENSION_SEPARATOR
from hedgerow.partitions.algebra import bounds, dynamic_keys, keys, last_complete, span_in, static_keys
from hedgerow.partitions.calendar import day_of, last_before, span_at, spans_after, spans_from
from hedgerow.partitions.instants import YEARS
from hedgerow.partitions.key_sets import is_dynamic_key
from hedgerow.partitions.model import (
    All,
    ByDim,
    Dimension,
    DynamicPartitions,
    Keys,
    Last,
    Mapping,
    Partitions,
    ProductPartitions,
    Same,
    StaticPartitions,
    TimePartitions,
    Window,
    dimensions,
)
from hedgerow.partitions.remembering import remembered
from hedgerow.partitions.ticks import Span
from hedgerow.suggestion import did_you_mean

ANY_OTHER = "*"
MAX_READ = 200_000  # partitions of one upstream by one step


def default_mapping(downstream: Partitions | None, upstream: Partitions | None) -> Mapping:
    """The mapping of a dependency that names none: by dimension where the downstream has it, otherwise everything."""
    if downstream is None or upstream is None:
        return All()
    if isinstance(upstream, ProductPartitions) or isinstance(downstream, ProductPartitions):
        return Same() if downstream == upstream else ByDim(())
    return Same()


def validate_mapping(
    mapping: Mapping | None, downstream: Partitions | None, upstream: Partitions | None
) -> Problem | None:
    """Why `mapping` (None: the default) can't lead from `downstream` to `upstream`; None when it can."""
    if upstream is None:
        return (
            None
            if mapping is None or isinstance(mapping, (All, Same))
            else _misfit(
                f"mapping.{_name(mapping)} selects partitions of an upstream that has none.", "Remove the mapping."
            )
        )
    if mapping is None:
        mapping = default_mapping(downstream, upstream)
    if isinstance(mapping, Keys) and isinstance(upstream, ProductPartitions):
        return _validate_keys(mapping, downstream, upstream)
    if isinstance(mapping, ByDim):
        known = [dim.dim for dim in dimensions(upstream)]
        for name, _ in mapping.pairs:
            if name not in known:
                return _misfit(
                    f"mapping.by_dim names the dimension '{name}', which the upstream does not have.",
                    did_you_mean(name, known),
                )
    elif isinstance(mapping, (Last, Window)) and isinstance(upstream, ProductPartitions):
        return _misfit(
            f"mapping.{_name(mapping)} does not say which dimension of the upstream it means.",
            f"Write mapping.by_dim({upstream.dims[0].dim}=mapping.{_name(mapping)}(...)).",
        )
    for dim in dimensions(upstream):
        problem = _validate_dim(
            _for_dim(mapping, downstream, upstream, dim), _counterpart(downstream, upstream, dim), dim
        )
        if problem is not None:
            return problem
    return None


def upstream_keys(
    mapping: Mapping | None,
    downstream: Partitions | None,
    upstream: Partitions | None,
    key: str | None,
    now: datetime,
) -> tuple[str | None, ...]:
    """The upstream partitions that the downstream partition `key` reads, in the upstream's order; `(None,)` if it has none.

    `all` and `last` count what is complete at `now`; the others name partitions between the upstream's start and end,
    complete or not, because reading less than was asked for would go unnoticed. The result may be empty. RequestError
    HR-Q104 when the mapping does not fit (see `validate_mapping`), or leads to over MAX_READ.
    """
    if upstream is None:
        return (None,)
    if key is not None and (mapping is None or isinstance(mapping, Same)) and _are_equal(downstream, upstream):
        return (key,)  # by far the most frequent case, and large runs ask it for each step
    problem = _misfit_of(mapping, downstream, upstream)
    if problem is not None:
        raise RequestError(Problem("HR-Q104", problem.message, problem.remedy))
    mapping = default_mapping(downstream, upstream) if mapping is None else mapping
    if isinstance(mapping, Keys) and isinstance(upstream, ProductPartitions):
        return _listed(mapping, key)
    parts = (
        dict(zip((dim.dim for dim in dimensions(downstream)), (key or "").split(DIMENSION_SEPARATOR), strict=False))
        if downstream
        else {}
    )
    columns: list[tuple[str, ...]] = []
    for dim in dimensions(upstream):
        other = _counterpart(downstream, upstream, dim)
        columns.append(
            _dim_keys(
                _for_dim(mapping, downstream, upstream, dim), other, dim, parts.get(other.dim) if other else None, now
            )
        )
    if (number := prod(map(len, columns))) > MAX_READ:
        raise RequestError(
            Problem(
                "HR-Q104",
                f"A step would read {number:,} partitions of one upstream; it may read {MAX_READ:,}.",
                "Read fewer by mapping.window or mapping.last, or let an asset in between gather them.",
            )
        )
    return tuple(DIMENSION_SEPARATOR.join(combination) for combination in product(*columns))


@remembered
def _are_equal(one: Partitions | None, other: Partitions) -> bool:
    return one == other


_misfit_of = remembered(validate_mapping)


def _for_dim(
    mapping: Mapping, downstream: Partitions | None, upstream: Partitions, dim: Dimension
) -> Same | All | Last | Window | Keys:
    """What `mapping` means for one dimension of the upstream."""
    if not isinstance(mapping, ByDim):
        return mapping
    default: Same | All = Same() if _counterpart(downstream, upstream, dim) is not None else All()
    return dict(mapping.pairs).get(dim.dim, default)


def _counterpart(downstream: Partitions | None, upstream: Partitions, dim: Dimension) -> Dimension | None:
    """The downstream's dimension by way of which `dim` is read."""
    if downstream is None:
        return None
    if not isinstance(downstream, ProductPartitions) and not isinstance(upstream, ProductPartitions):
        return downstream
    return next((other for other in dimensions(downstream) if other.dim == dim.dim), None)


def _dim_keys(
    mapping: Same | All | Last | Window | Keys,
    downstream: Dimension | None,
    upstream: Dimension,
    key: str | None,
    now: datetime,
) -> tuple[str, ...]:
    match mapping:
        case All():
            return keys(upstream, now)
        case Last(count=count):
            return _last(upstream, count, now)
        case Keys():
            return _listed(mapping, key)
        case Same() | Window():
            if isinstance(upstream, TimePartitions) and isinstance(downstream, TimePartitions) and key is not None:
                return _overlapping(mapping, downstream, upstream, key)
            if key is None or isinstance(upstream, TimePartitions):
                return ()
            # A key that the other set lacks is asked for nevertheless: it is missing there, and what was made of a removed one is read.
            return (key,) if isinstance(upstream, DynamicPartitions) or key in static_keys(upstream) else ()


def _overlapping(
    mapping: Same | Window, downstream: TimePartitions, upstream: TimePartitions, key: str
) -> tuple[str, ...]:
    """The upstream windows that overlap the downstream's window, or those around them."""
    span = span_in(downstream, key)
    if span is None:
        return ()
    cadence, tz = upstream.cadence, upstream.tz
    first = span_at(cadence, tz, span.start)
    following = spans_from(cadence, tz, day_of(first.key))
    found = [each for each in takewhile(lambda each: each.start < span.end, following) if each.start >= first.start]
    if isinstance(mapping, Window):
        found = list(_around(mapping, upstream, found))
    start, end = bounds(upstream)
    return tuple(
        each.key
        for each in found
        if start <= each.start and (end is None or each.start < end) and int(each.key[:4]) in YEARS
    )


def _around(mapping: Window, upstream: TimePartitions, found: list[Span]) -> Iterator[Span]:
    """The windows from `mapping.start` before the first of `found` to `mapping.end` after the last."""
    cadence, tz = upstream.cadence, upstream.tz
    before = last_before(cadence, tz, found[0], max(0, -mapping.start))
    after = list(islice(spans_after(cadence, tz, found[-1]), max(0, mapping.end)))
    run = [*before, *found, *after]
    begin = max(0, mapping.start)
    end = len(run) - max(0, -mapping.end)
    return iter(run[begin:end])


def _last(upstream: Dimension, count: int, now: datetime) -> tuple[str, ...]:
    if isinstance(upstream, StaticPartitions):
        return upstream.keys[-count:]
    if isinstance(upstream, DynamicPartitions):
        return dynamic_keys(upstream)[-count:]
    latest = last_complete(upstream, now)
    if latest is None:
        return ()
    start, _ = bounds(upstream)
    earlier = last_before(upstream.cadence, upstream.tz, latest, count - 1)
    return (*(span.key for span in earlier if span.start >= start), latest.key)


def _listed(mapping: Keys, key: str | None) -> tuple[str, ...]:
    pairs = pairs_of(mapping)
    return pairs.get(key or ANY_OTHER, pairs.get(ANY_OTHER, ()))


@remembered
def pairs_of(mapping: Keys) -> dict[str, tuple[str, ...]]:
    """The upstream keys by downstream key; not to be altered."""
    return dict(mapping.pairs)


def _validate_dim(
    mapping: Same | All | Last | Window | Keys, downstream: Dimension | None, upstream: Dimension
) -> Problem | None:
    match mapping:
        case All() | Last():
            return None
        case Keys():
            return _validate_keys(mapping, downstream, upstream)
    if downstream is None:
        return _misfit(
            f"mapping.{_name(mapping)} needs a downstream dimension for '{upstream.dim}', and there is none.",
            "Read all of it with mapping.all(), or partition the downstream as well.",
        )
    if isinstance(downstream, DynamicPartitions) and isinstance(upstream, DynamicPartitions):
        return _no_windows("keys that come and go") if isinstance(mapping, Window) else None
    if type(downstream) is not type(upstream):
        return _misfit(
            f"The downstream is partitioned by {_kind(downstream)}, the upstream by {_kind(upstream)}.",
            "Say which partitions to read with mapping.all(), mapping.last() or mapping.keys({...}).",
        )
    if isinstance(upstream, StaticPartitions) and isinstance(downstream, StaticPartitions):
        if isinstance(mapping, Window):
            return _no_windows("static keys")
        there = set(upstream.keys)
        missing = [key for key in downstream.keys if key not in there]
        if missing:
            return _misfit(
                f"The upstream has no partition '{missing[0]}', which the downstream has.",
                "Use mapping.keys({...}) or mapping.all().",
            )
    return None


def _validate_keys(mapping: Keys, downstream: Partitions | None, upstream: Partitions) -> Problem | None:
    for key, selected in mapping.pairs:
        if key != ANY_OTHER and (downstream is None or not _may_be_key(downstream, key)):
            known = downstream.keys if isinstance(downstream, StaticPartitions) else ()
            return _misfit(
                f"mapping.keys names the downstream partition '{key}', which can't exist.",
                did_you_mean(key, known) or "Correct or remove it.",
            )
        for each in selected:
            if not _may_be_key(upstream, each):
                known = upstream.keys if isinstance(upstream, StaticPartitions) else ()
                return _misfit(
                    f"mapping.keys names the upstream partition '{each}', which can't exist.",
                    did_you_mean(each, known) or "Correct or remove it.",
                )
    if isinstance(downstream, StaticPartitions) and not any(key == ANY_OTHER for key, _ in mapping.pairs):
        listed = pairs_of(mapping)
        missing = [key for key in downstream.keys if key not in listed]
        if missing:
            return _misfit(
                f"mapping.keys says nothing about the downstream partition '{missing[0]}'.",
                "Add it, or '*' for any other.",
            )
    return None


def _may_be_key(partitions: Partitions, key: str) -> bool:
    """Whether `key` is a partition at some time."""
    if isinstance(partitions, StaticPartitions):
        return key in static_keys(partitions)
    if isinstance(partitions, DynamicPartitions):
        return is_dynamic_key(key)
    if isinstance(partitions, TimePartitions):
        return span_in(partitions, key) is not None
    parts = key.split(DIMENSION_SEPARATOR)
    return len(parts) == len(partitions.dims) and all(map(_may_be_key, partitions.dims, parts))


def _kind(dim: Dimension) -> str:
    if isinstance(dim, DynamicPartitions):
        return f"the keys of '{dim.name}'"
    return f"{dim.cadence} ({dim.tz})" if isinstance(dim, TimePartitions) else "static keys"


def _name(mapping: Mapping) -> str:
    return {Same: "same", All: "all", Last: "last", Window: "window", Keys: "keys", ByDim: "by_dim"}[type(mapping)]


def _no_windows(what: str) -> Problem:
    return _misfit(f"mapping.window counts windows of time, and the upstream has {what}.", "Use mapping.keys({...}).")


def _misfit(message: str, remedy: str) -> Problem:
    return Problem("HR-D107", message, remedy)
