"""Which partitions exist: keys, ranges, windows and membership, at an instant that is an argument.

A time window exists once it is complete: its end is not after `now`. Keys are in order of time, of declaration or (dynamic ones) of
their coming; those of a product vary fastest in the last dimension. Dynamic partitions that are bound to no set, as in process, have
no keys of which anything is known, and any key is one of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from itertools import product, takewhile
from zoneinfo import ZoneInfo

from hedgerow.errors import Problem, RequestError
from hedgerow.identifiers import DIMENSION_SEPARATOR
from hedgerow.partitions.calendar import day_of, hour_number, span_at, span_of, spans_before, spans_from
from hedgerow.partitions.dynamic import KnownPartitions
from hedgerow.partitions.instants import DAY, HOUR
from hedgerow.partitions.key_sets import MAX_KEY_BYTES, is_dynamic_key
from hedgerow.partitions.model import (
    Dimension,
    DynamicPartitions,
    Partitions,
    ProductPartitions,
    StaticPartitions,
    TimePartitions,
    dimensions,
    is_cron,
)
from hedgerow.partitions.remembering import remembered
from hedgerow.partitions.ticks import Span, ticks_of
from hedgerow.suggestion import did_you_mean

ANY_KEY = f"Any key will do that has at most {MAX_KEY_BYTES} bytes, all of them printable, and no '|'."


def keys(partitions: Partitions, now: datetime) -> tuple[str, ...]:
    """Every key that exists at `now`, in order."""
    if isinstance(partitions, StaticPartitions):
        return partitions.keys
    if isinstance(partitions, DynamicPartitions):
        return dynamic_keys(partitions)
    if isinstance(partitions, TimePartitions):
        return tuple(span.key for span in takewhile(lambda span: span.end <= now, spans(partitions)))
    return tuple(DIMENSION_SEPARATOR.join(parts) for parts in product(*(keys(dim, now) for dim in partitions.dims)))


def count(partitions: Partitions, now: datetime) -> int:
    """How many keys exist at `now`."""
    if isinstance(partitions, StaticPartitions):
        return len(partitions.keys)
    if isinstance(partitions, DynamicPartitions):
        return len(partitions.known) if isinstance(partitions, KnownPartitions) else 0
    if isinstance(partitions, ProductPartitions):
        return math.prod(count(dim, now) for dim in partitions.dims)
    return _count_time(partitions, now)


def latest(partitions: Partitions, now: datetime) -> tuple[str, ...]:
    """The keys of the last window that is complete at `now`, with every key of the other dimensions; none when none is."""
    if isinstance(partitions, StaticPartitions):
        return partitions.keys
    if isinstance(partitions, DynamicPartitions):
        return dynamic_keys(partitions)
    if isinstance(partitions, TimePartitions):
        last = last_complete(partitions, now)
        return (last.key,) if last is not None else ()
    return tuple(DIMENSION_SEPARATOR.join(parts) for parts in product(*(latest(dim, now) for dim in partitions.dims)))


def contains(partitions: Partitions, key: str, now: datetime) -> bool:
    """Whether the partition `key` exists at `now`."""
    if isinstance(partitions, StaticPartitions):
        return key in static_keys(partitions)
    if isinstance(partitions, DynamicPartitions):
        return key in partitions.known if isinstance(partitions, KnownPartitions) else is_dynamic_key(key)
    if isinstance(partitions, TimePartitions):
        span = span_in(partitions, key)
        return span is not None and span.end <= now
    parts = key.split(DIMENSION_SEPARATOR)
    dims = partitions.dims
    return len(parts) == len(dims) and all(contains(dim, part, now) for dim, part in zip(dims, parts, strict=True))


def check_key(partitions: Partitions | None, key: str | None, now: datetime) -> None:
    """RequestError HR-Q101 (no such partition, or one not asked for) or HR-Q102 (not complete yet), saying what exists."""
    problem = key_problem(partitions, key, now)
    if problem is not None:
        raise RequestError(problem)


def key_problem(partitions: Partitions | None, key: str | None, now: datetime) -> Problem | None:
    """Why `key` is not a partition at `now`; None when it is one. Without partitions the only key is None."""
    if partitions is None:
        if key is None:
            return None
        return Problem(
            "HR-Q101", f"There is no partition '{key}': the asset is not partitioned.", "Leave the partition out."
        )
    if key is None:
        return Problem(
            "HR-Q101", "The asset is partitioned, and no partition was given.", _what_exists(partitions, now)
        )
    if contains(partitions, key, now):
        return None
    dims, parts = dimensions(partitions), key.split(DIMENSION_SEPARATOR)
    if len(dims) != len(parts):
        message = (
            f"'{key}' is not a partition key: it must join {len(dims)} keys, {', '.join(dim.dim for dim in dims)}."
        )
        return Problem("HR-Q101", message, _what_exists(partitions, now))
    dim, part = next((dim, part) for dim, part in zip(dims, parts, strict=True) if not contains(dim, part, now))
    inside = f" in dimension '{dim.dim}'" if len(dims) > 1 else ""
    if isinstance(dim, StaticPartitions):
        return Problem("HR-Q101", f"There is no partition '{part}'{inside}.", did_you_mean(part, dim.keys))
    if isinstance(dim, DynamicPartitions):
        remedy = f"{did_you_mean(part, dynamic_keys(dim))} A new one is added with `hedgerow partition add {dim.name}`."
        known = isinstance(dim, KnownPartitions)
        return Problem(
            "HR-Q101", f"There is no partition '{part[:300]}'{inside}.", remedy.strip() if known else ANY_KEY
        )
    span = span_in(dim, part)
    if span is None:
        return Problem("HR-Q101", f"There is no partition '{part}'{inside}.", _what_exists(dim, now))
    end = _local(dim, span.end).isoformat(timespec="minutes")
    return Problem("HR-Q102", f"The partition '{part}'{inside} is not complete before {end}.", _what_exists(dim, now))


def key_range(partitions: Partitions, first: str, last: str, now: datetime) -> tuple[str, ...]:
    """The keys from `first` to `last`, both included; in a product, the combinations of each dimension's range.

    RequestError HR-Q101 or HR-Q102 when either does not exist, HR-Q103 when they are in the wrong order, HR-Q107 when they
    differ in a dimension that has no order.
    """
    check_key(partitions, first, now)
    check_key(partitions, last, now)
    ends = zip(dimensions(partitions), first.split(DIMENSION_SEPARATOR), last.split(DIMENSION_SEPARATOR), strict=True)
    return tuple(DIMENSION_SEPARATOR.join(parts) for parts in product(*(_dim_range(*dim_ends) for dim_ends in ends)))


def window(partitions: Partitions, key: str) -> tuple[datetime, datetime] | None:
    """The first instant of the partition's window and the first after it; None when no (or more than one) dimension is time.

    Both are aware and carry the zone's offset at that instant as a fixed offset, so that they compare and subtract rightly.
    """
    times = [
        (dim, part)
        for dim, part in zip(dimensions(partitions), _parts(partitions, key), strict=True)
        if isinstance(dim, TimePartitions)
    ]
    if len(times) != 1:
        return None
    dim, part = times[0]
    span = span_in(dim, part)
    if span is None:
        raise RequestError(Problem("HR-Q101", f"There is no partition '{part}'.", f"Partitions start at {dim.start}."))
    return _local(dim, span.start), _local(dim, span.end)


def split_key(partitions: Partitions, key: str) -> dict[str, str]:
    """The key in each dimension, by the dimension's name."""
    return dict(zip((dim.dim for dim in dimensions(partitions)), _parts(partitions, key), strict=True))


def join_key(partitions: Partitions, parts: dict[str, str]) -> str:
    """The key of one key per dimension; the reverse of `split_key`."""
    names = [dim.dim for dim in dimensions(partitions)]
    if set(names) != set(parts):
        message = (
            f"A partition key needs one key for each of {', '.join(names)}; given were {', '.join(parts) or 'none'}."
        )
        raise RequestError(Problem("HR-Q101", message, "Give exactly one key per dimension."))
    return DIMENSION_SEPARATOR.join(parts[name] for name in names)


def spans(partitions: TimePartitions) -> Iterator[Span]:
    """Every window between start and end, in order, complete or not; without end if there is none."""
    start, end = bounds(partitions)
    for span in spans_from(partitions.cadence, partitions.tz, day_of(partitions.start)):
        if end is not None and span.start >= end:
            return
        if span.start >= start:
            yield span


def span_in(partitions: TimePartitions, key: str) -> Span | None:
    """The window of `key` if it lies between start and end, complete or not."""
    span = span_of(partitions.cadence, partitions.tz, key)
    if span is None:
        return None
    start, end = bounds(partitions)
    return span if start <= span.start and (end is None or span.start < end) else None


@remembered
def static_keys(partitions: StaticPartitions) -> frozenset[str]:
    """The keys as a set."""
    return frozenset(partitions.keys)


def dynamic_keys(partitions: DynamicPartitions) -> tuple[str, ...]:
    """The keys as far as they are known."""
    return partitions.known.keys() if isinstance(partitions, KnownPartitions) else ()


@lru_cache(maxsize=1024)
def bounds(partitions: TimePartitions) -> tuple[datetime, datetime | None]:
    """The instants of start and end."""
    first, last = (
        span_of(partitions.cadence, partitions.tz, edge) if edge is not None else None
        for edge in (partitions.start, partitions.end)
    )
    if first is None or (partitions.end is not None and last is None):
        message = (
            f"Partitions by {partitions.cadence} can't start at '{partitions.start}' and end at '{partitions.end}'."
        )
        raise RequestError(
            Problem(
                "HR-Q101",
                message,
                "Declare them with hr.hourly, daily, weekly, monthly or cron_windows, which check this.",
            )
        )
    return first.start, last.start if last is not None else None


def _count_time(partitions: TimePartitions, now: datetime) -> int:
    last = last_complete(partitions, now)
    if last is None:
        return 0
    start, _ = bounds(partitions)
    if is_cron(partitions.cadence):
        ticks = ticks_of(partitions.cadence, partitions.tz)
        return ticks.holding(last.start) - ticks.holding(start) + 1
    if partitions.cadence == "month":
        first_day, last_day = day_of(partitions.start), day_of(last.key)
        return (last_day.year - first_day.year) * 12 + last_day.month - first_day.month + 1
    zone = ZoneInfo(partitions.tz)
    shift = (last.end.astimezone(zone).utcoffset() or timedelta()) - (start.astimezone(zone).utcoffset() or timedelta())
    if partitions.cadence == "hour" and zone.key == "UTC":
        return (last.end - start) // HOUR
    if partitions.cadence == "hour":
        return hour_number(partitions.tz, last.key) - hour_number(partitions.tz, partitions.start) + 1
    if partitions.cadence in ("day", "week") and abs(shift) < DAY / 2:
        # No day was skipped or repeated between, so that local dates count them.
        return (day_of(last.key) - day_of(partitions.start)).days // (1 if partitions.cadence == "day" else 7) + 1
    return sum(1 for _ in takewhile(lambda span: span.end <= last.end, spans(partitions)))


def last_complete(partitions: TimePartitions, now: datetime) -> Span | None:
    """The last window that is complete at `now`; None when there is none yet."""
    start, end = bounds(partitions)
    latest = now if end is None or now < end else end
    if latest <= start:
        return None
    open_span = span_at(partitions.cadence, partitions.tz, latest)
    last = next(spans_before(partitions.cadence, partitions.tz, open_span))
    return last if last.start >= start else None


def _dim_range(dim: Dimension, first: str, last: str) -> tuple[str, ...]:
    if isinstance(dim, DynamicPartitions):
        if first == last:
            return (first,)
        message = f"There is no range from '{first}' to '{last}': the keys of the dynamic dimension '{dim.dim}' have no order."
        raise RequestError(Problem("HR-Q107", message, "Name the partitions one by one, or ask for all of them."))
    if isinstance(dim, StaticPartitions):
        begin, end = dim.keys.index(first), dim.keys.index(last)
        found = dim.keys[begin : end + 1]
    else:
        first_span, last_span = span_in(dim, first), span_in(dim, last)
        assert first_span is not None
        assert last_span is not None
        run = spans_from(dim.cadence, dim.tz, day_of(first))
        found = tuple(
            span.key
            for span in takewhile(lambda span: span.end <= last_span.end, run)
            if span.start >= first_span.start
        )
    if not found:
        raise RequestError(
            Problem("HR-Q103", f"The range runs backwards: '{first}' comes after '{last}'.", f"Write {last}..{first}.")
        )
    return found


def _parts(partitions: Partitions, key: str) -> list[str]:
    parts = key.split(DIMENSION_SEPARATOR)
    dims = dimensions(partitions)
    if len(parts) != len(dims):
        message = (
            f"'{key}' is not a partition key: it must join {len(dims)} keys, {', '.join(dim.dim for dim in dims)}."
        )
        raise RequestError(Problem("HR-Q101", message, f"Join one key per dimension with '{DIMENSION_SEPARATOR}'."))
    return parts


def _what_exists(partitions: Partitions, now: datetime) -> str:
    if isinstance(partitions, ProductPartitions):
        return " ".join(f"{dim.dim}: {_what_exists(dim, now)}" for dim in partitions.dims)
    if isinstance(partitions, StaticPartitions):
        return did_you_mean("", partitions.keys)
    if isinstance(partitions, KnownPartitions):
        return did_you_mean("", partitions.known.keys()) or f"The set '{partitions.name}' has no keys yet."
    if isinstance(partitions, DynamicPartitions):
        return ANY_KEY
    last = last_complete(partitions, now)
    if last is None:
        return f"There are none yet; the first starts at {partitions.start} ({partitions.tz})."
    return f"There are {partitions.start}..{last.key} ({partitions.cadence}, {partitions.tz})."


def _local(partitions: TimePartitions, instant: datetime) -> datetime:
    local = instant.astimezone(ZoneInfo(partitions.tz))
    return local.replace(tzinfo=timezone(local.utcoffset() or timedelta()), fold=0)
