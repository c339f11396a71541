"""Durations as arguments of conditions."""

from __future__ import annotations

from datetime import timedelta

from hedgerow.durations import milliseconds, parse_duration
from hedgerow.errors import DefinitionError, Problem

LONGEST = timedelta(days=366 * 10)


def period_ms(what: str, duration: str | timedelta) -> int:
    """Whole milliseconds of a duration above zero and up to ten years; DefinitionError HR-D109 names `what` it was given to.

    >>> period_ms("debounce", "5m")
    300000
    """
    try:
        period = parse_duration(duration)
    except ValueError as error:
        raise DefinitionError(
            Problem("HR-D109", f"{what}: {error}.", 'Give a duration such as "30s" or "5m".')
        ) from error
    if not timedelta(milliseconds=1) <= period <= LONGEST:
        message = f"{what}: {duration!r} is not above zero and at most ten years."
        raise DefinitionError(Problem("HR-D109", message, 'Give a duration such as "30s" or "5m".'))
    return milliseconds(period)
