"""Durations as people write them: `"30s"`."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")


def parse_duration(text: str | timedelta) -> timedelta:
    """A duration of a number and one unit of `ms s m h d`, without blanks; `ValueError` says what is wrong.

    >>> parse_duration("30s"), parse_duration("1.5h")
    (datetime.timedelta(seconds=30), datetime.timedelta(seconds=5400))
    >>> parse_duration("30")
    Traceback (most recent call last):
    ValueError: '30' is no duration: write a number and a unit of ms, s, m, h, d, such as "30s"
    """
    if isinstance(text, timedelta):
        return text
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'{text!r} is no duration: write a number and a unit of ms, s, m, h, d, such as "30s"')
    try:
        return timedelta(milliseconds=float(match[1]) * _UNITS_MS[match[2]])
    except OverflowError:
        raise ValueError(f"{text[:40]!r} is longer than can be counted: write at most some thousand years") from None


def milliseconds(duration: timedelta) -> int:
    """Whole milliseconds of a duration, rounded."""
    return round(duration / timedelta(milliseconds=1))
