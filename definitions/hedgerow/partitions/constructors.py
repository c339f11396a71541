"""How a team writes partitions down: hourly, daily, weekly, monthly, by cron, static and dynamic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hedgerow.cron import cron
from hedgerow.errors import DefinitionError, Problem
from hedgerow.identifiers import is_name, is_partition_key
from hedgerow.partitions.calendar import span_at, span_of, spans_from
from hedgerow.partitions.instants import YEARS
from hedgerow.partitions.model import Cadence, DynamicPartitions, StaticPartitions, TimePartitions
from hedgerow.partitions.ticks import Span
from hedgerow.timezones import timezone_problems

_EXAMPLES = {"hour": "2024-01-31T05", "day": "2024-01-31", "week": "2024-01-29 (a Monday)", "month": "2024-01"}
When = str | date


def hourly(start: When, end: When | None = None, *, tz: str = "UTC", dim: str = "time") -> TimePartitions:
    """One partition per hour of local time in `tz` from `start` on, up to `end` (excluded; without it, for ever).

    >>> hourly("2024-01-01").start
    '2024-01-01T00'
    """
    return _time("hour", start, end, tz, dim)


def daily(start: When, end: When | None = None, *, tz: str = "UTC", dim: str = "time") -> TimePartitions:
    """One partition per day of local time in `tz` from `start` on, up to `end` (excluded; without it, for ever).

    >>> daily("2024-01-01", tz="Europe/Oslo") * static("no", "se", dim="country")
    ProductPartitions(dims=(TimePartitions(cadence='day', start='2024-01-01', end=None, tz='Europe/Oslo', dim='time'), StaticPartitions(keys=('no', 'se'), dim='country')))
    """
    return _time("day", start, end, tz, dim)


def weekly(start: When, end: When | None = None, *, tz: str = "UTC", dim: str = "time") -> TimePartitions:
    """One partition per week, Monday to Sunday, of local time in `tz` from the Monday `start` on, up to `end` (excluded)."""
    return _time("week", start, end, tz, dim)


def monthly(start: When, end: When | None = None, *, tz: str = "UTC", dim: str = "time") -> TimePartitions:
    """One partition per month of local time in `tz` from `start` on, up to `end` (excluded).

    >>> monthly("2024-01-01").start, monthly("2024-03").start
    ('2024-01', '2024-03')
    """
    return _time("month", start, end, tz, dim)


def cron_windows(
    expression: str, start: When, end: When | None = None, *, tz: str = "UTC", dim: str = "time"
) -> TimePartitions:
    """One partition from each tick of a cron expression of five fields, in local time in `tz`, to the next.

    The first begins with the first tick from `start` on; those that begin at `end` or later are left out.

    >>> cron_windows("0 6 * * MON-FRI", "2024-01-06").start
    '2024-01-08T06:00'
    """
    problems = _dim_problems(dim)
    try:
        cadence = cron(expression, tz).expression
    except DefinitionError as error:
        raise DefinitionError([*problems, *error.problems]) from None
    edges: list[Span] = []
    for name, when in (("start", start), ("end", end)):
        if when is None:
            continue
        if (instant := _instant(tz, when)) is None:
            shown = when.isoformat() if isinstance(when, date) else when
            remedy = "Write it in local time, like 2024-01-31 or 2024-01-31T06:00."
            problems.append(
                Problem("HR-D104", f"{name}={shown!r} is not a local time in the years 1900 to 2199.", remedy)
            )
        else:
            edges.append(span_at(cadence, tz, instant - timedelta(microseconds=1)))
    if not problems and len(edges) == 2 and edges[1].end <= edges[0].end:
        message = f"There is no tick from the start at {start} up to the end at {end}."
        problems.append(
            Problem("HR-D104", message, "`end` is excluded: give a time after the last tick that is wanted.")
        )
    if problems:
        raise DefinitionError(problems)
    first, *last = (span_at(cadence, tz, edge.end).key for edge in edges)
    return TimePartitions(cadence, first, last[0] if last else None, tz, dim)


def static(*keys: str | Iterable[str], dim: str = "key") -> StaticPartitions:
    """One partition for each of the keys, in the order given.

    >>> static("no", "se", dim="country").keys
    ('no', 'se')
    """
    flat = tuple(key for part in keys for key in ([part] if isinstance(part, str) else part))
    problems = _dim_problems(dim)
    if not flat:
        problems.append(
            Problem("HR-D102", "Static partitions need at least one key.", 'Name them: hr.static("a", "b").')
        )
    for key in flat:
        if not (isinstance(key, str) and is_partition_key(key)):
            remedy = "A key is 1 to 255 printable characters without '|'."
            problems.append(Problem("HR-D102", f"{key!r} can't be the key of a static partition.", remedy))
    times = Counter(key for key in flat if isinstance(key, str))
    twice = sorted(key for key, count in times.items() if count > 1)
    if twice:
        problems.append(
            Problem("HR-D102", f"The static partition key {twice[0]!r} is given twice.", "Remove one of them.")
        )
    if problems:
        raise DefinitionError(problems)
    return StaticPartitions(flat, dim)


def dynamic(name: str, *, dim: str | None = None) -> DynamicPartitions:
    """One partition for each key of the team's set `name`, to which keys are added, and from which they are removed, at run time.

    All assets of a team that say the same name share the set. The dimension has the name of the set unless `dim` gives another one.

    >>> dynamic("customers", dim="customer")
    DynamicPartitions(name='customers', dim='customer')
    """
    dim = name if dim is None else dim
    problems = [] if dim == name else _dim_problems(dim)
    if not (isinstance(name, str) and is_name(name)):
        remedy = "A name starts with a small letter and goes on with small letters, digits, _ or -, at most 63 in all."
        problems.append(Problem("HR-D110", f"{name!r} can't be the name of a set of partitions.", remedy))
    if problems:
        raise DefinitionError(problems)
    return DynamicPartitions(name, dim)


def _time(cadence: Cadence, start: When, end: When | None, tz: str, dim: str) -> TimePartitions:
    problems = _dim_problems(dim)
    if unknown := timezone_problems(tz):
        raise DefinitionError([*problems, *unknown])
    edges = [
        _edge(cadence, tz, name, when, problems) for name, when in (("start", start), ("end", end)) if when is not None
    ]
    if not problems and len(edges) == 2:
        first, last = (span_of(cadence, tz, edge) for edge in edges)
        if first is not None and last is not None and last.start <= first.start:
            message = f"The partitions end at {edges[1]}, which is not after their start at {edges[0]}."
            problems.append(
                Problem("HR-D104", message, "`end` is excluded: give the first window that is no longer wanted.")
            )
    if problems:
        raise DefinitionError(problems)
    return TimePartitions(cadence, edges[0], edges[1] if len(edges) == 2 else None, tz, dim)


def _edge(cadence: Cadence, tz: str, name: str, when: When, problems: list[Problem]) -> str:
    """The key of the window that starts at `when`; a mistake is noted in `problems`."""
    text = _first_hour(tz, when) if cadence == "hour" else _normal(cadence, when)
    if text is None or span_of(cadence, tz, text) is None:
        shown = when.isoformat() if isinstance(when, date) else when
        message = f"{name}={shown!r} is not the start of {'an' if cadence == 'hour' else 'a'} {cadence} in {tz}."
        remedy = f"Write it in local time, like {_EXAMPLES[cadence]}."
        if text is not None and cadence == "week" and span_of("day", tz, text):
            day = date.fromisoformat(text)
            remedy = f"Weeks start on Monday: use {(day - timedelta(days=day.weekday())).isoformat()}."
        problems.append(Problem("HR-D104", message, remedy))
    return text or ""


def _instant(tz: str, when: When) -> datetime | None:
    """The instant of a date or local time; None when it is none."""
    try:
        local = when if isinstance(when, date) else datetime.fromisoformat(when)
    except (ValueError, TypeError):
        return None
    if not isinstance(local, datetime):
        local = datetime.combine(local, time())
    if local.tzinfo is not None or local.year not in YEARS:
        return None
    return local.replace(tzinfo=ZoneInfo(tz)).astimezone(UTC)


def _first_hour(tz: str, when: When) -> str | None:
    """The key of the hour that starts at `when`; a mere date means the first hour of the day, which may not be midnight."""
    day = _normal("day", when) if not isinstance(when, datetime) and len(str(when)) == 10 else None
    return next(spans_from("hour", tz, date.fromisoformat(day))).key if day is not None else _normal("hour", when)


def _normal(cadence: Cadence, when: When) -> str | None:
    """The key that `when` means, if it is written like one; whether such a window exists is another question."""
    if isinstance(when, str) and cadence == "hour" and len(when) in (13, 14):
        return when
    if isinstance(when, str) and cadence == "month" and len(when) == 7:
        return when
    try:
        local = when if isinstance(when, date) else datetime.fromisoformat(when)
    except (ValueError, TypeError):
        return None
    if not isinstance(local, datetime):
        local = datetime.combine(local, time())
    if local.tzinfo is not None or local.minute or local.second or local.microsecond:
        return None
    if cadence == "hour":
        return local.strftime("%Y-%m-%dT%H")
    if local.hour or (cadence == "month" and local.day != 1):
        return None
    return local.strftime("%Y-%m" if cadence == "month" else "%Y-%m-%d")


def _dim_problems(dim: str) -> list[Problem]:
    if isinstance(dim, str) and is_name(dim):
        return []
    remedy = "A name starts with a small letter and goes on with small letters, digits, _ or -, at most 63 in all."
    return [Problem("HR-D105", f"{dim!r} can't be the name of a dimension.", remedy)]
