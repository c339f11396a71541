"""Cron expressions: the instants at which the clocks of a time zone show what five fields ask for, daylight saving included.

Which wall-clock times match is cronsim's business; which instants these are is decided here, as Debian's cron does:

===================  =========================================  ==============================================
the wall clock       a time of day (`30 2 * * *`)               an interval (minute or hour begins with `*`)
===================  =========================================  ==============================================
shows it once        then                                       then
skips it             at the first instant after the gap, once   not at all
shows it twice       the first time                             both times
===================  =========================================  ==============================================

Instants are UTC in here: sums and comparisons of datetimes that share a ZoneInfo ignore the offset.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError

from hedgerow.errors import DefinitionError, Problem
from hedgerow.timezones import timezone_problems

FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
# No zone has ever moved its clocks by more than a day (Samoa, 2011): further away from a change there is nothing to decide.
NEAR = timedelta(hours=26)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


class Cron(msgspec.Struct, frozen=True, tag="cron", omit_defaults=True):
    """A cron expression of five fields, in the local time of `tz`. Made by `cron`, which checks it."""

    expression: str
    tz: str = "UTC"


def cron(expression: str, tz: str = "UTC") -> Cron:
    """A checked cron expression; `DefinitionError` when it does not have five fields, means no time, or the zone does not exist.

    >>> cron("0 6 * * MON-FRI", "Europe/Oslo")
    Cron(expression='0 6 * * MON-FRI', tz='Europe/Oslo')
    """
    if problems := [*_expression_problems(expression), *timezone_problems(tz)]:
        raise DefinitionError(problems)
    return Cron(" ".join(expression.split()), tz)


def ticks(of: Cron, after: datetime) -> Iterator[datetime]:
    """The instants after `after`, in order, without end.

    >>> [str(tick) for tick, _ in zip(ticks(Cron("0 0 29 2 *"), datetime(2026, 1, 1, tzinfo=UTC)), "ab")]
    ['2028-02-29 00:00:00+00:00', '2032-02-29 00:00:00+00:00']
    """
    while True:
        after = next_tick(of, after)
        yield after


def next_tick(of: Cron, after: datetime) -> datetime:
    """The first instant after `after`, UTC."""
    zone, after = ZoneInfo(of.tz), after.astimezone(UTC)
    wall = next(CronSim(of.expression, _wall(after, zone)))
    if _is_calm(after, zone) and _is_calm(_instant(wall, zone), zone):
        return _instant(wall, zone)
    around = _spread((after, _instant(wall, zone)), zone)
    start, end = _wall(after, zone) - around, wall + around
    while not (found := [tick for tick in _instants(of, zone, start, end) if tick > after]):
        end = next(CronSim(of.expression, end)) + MINUTE  # what it asked for was in an hour that is skipped
    return min(found)


def last_tick(of: Cron, until: datetime) -> datetime:
    """The last instant that is not after `until`, UTC."""
    zone, until = ZoneInfo(of.tz), until.astimezone(UTC)
    minute = _wall(until, zone).replace(second=0, microsecond=0)
    wall = next(CronSim(of.expression, minute + MINUTE, reverse=True))
    if _is_calm(until, zone) and _is_calm(_instant(wall, zone), zone):
        return _instant(wall, zone)
    around = _spread((until, _instant(wall, zone)), zone)
    start, end = wall - around, _wall(until, zone) + around
    while not (found := [tick for tick in _instants(of, zone, start, end) if tick <= until]):
        start = next(CronSim(of.expression, start, reverse=True)) - MINUTE
    return max(found)


def _wall(instant: datetime, zone: ZoneInfo) -> datetime:
    """What the clocks show, as a naive datetime."""
    return instant.astimezone(zone).replace(tzinfo=None)


def _instant(wall: datetime, zone: ZoneInfo, fold: int = 0) -> datetime:
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _is_calm(instant: datetime, zone: ZoneInfo) -> bool:
    """Whether the clocks are not moved anywhere near."""
    before, after = (instant - NEAR).astimezone(zone), (instant + NEAR).astimezone(zone)
    return before.utcoffset() == after.utcoffset()


def _spread(near: tuple[datetime, ...], zone: ZoneInfo) -> timedelta:
    """By how much what the clocks show may be off around these instants: no tick that comes first there is further away on the clocks. Looking no
    further matters: an expression that matches each minute has thousands of ticks within `NEAR`.
    """
    hours = range(-int(NEAR / HOUR), int(NEAR / HOUR) + 1)
    offsets = [(each + hour * HOUR).astimezone(zone).utcoffset() or timedelta(0) for each in near for hour in hours]
    return max(offsets) - min(offsets) + MINUTE


def _instants(of: Cron, zone: ZoneInfo, start: datetime, end: datetime) -> set[datetime]:
    """The instants that belong to the matching wall-clock times from `start` to `end`, by the table above."""
    minute, hour = of.expression.split()[:2]
    is_interval = minute.startswith("*") or hour.startswith("*")
    found: set[datetime] = set()
    for wall in CronSim(of.expression, start - MINUTE):
        if wall > end:
            return found
        first, second = _instant(wall, zone), _instant(wall, zone, fold=1)
        if _wall(first, zone) != wall:  # skipped
            if not is_interval:
                found.add(_gap_end(second, first, zone))
        else:
            found.update([first, second] if is_interval else [first])
    return found


def _gap_end(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The instant between two at which the clocks are moved, to the second."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def _expression_problems(expression: object) -> list[Problem]:
    if not isinstance(expression, str):
        return [Problem("HR-D108", f"{expression!r} is not a cron expression.", "Give a text such as '0 6 * * *'.")]
    fields = expression.split()
    if len(fields) != len(FIELDS):
        message = f"The cron expression {expression!r} has {len(fields)} {'field' if len(fields) == 1 else 'fields'} instead of five."
        return [Problem("HR-D108", message, f"Give {', '.join(FIELDS)}: '0 6 * * *' is every day at 6.")]
    try:
        next(CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        why = f": {str(error)[:1].lower()}{str(error)[1:]}" if str(error) else ""
        message = f"The cron expression {expression!r} means no time at all{why}."
        return [Problem("HR-D108", message, f"The fields are {', '.join(FIELDS)}: '0 6 * * *' is every day at 6.")]
    return []
