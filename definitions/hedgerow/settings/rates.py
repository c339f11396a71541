"""Rates as people write them: "20/s", "600/min", "1000/h"."""

from __future__ import annotations

import re

_SECONDS = {
    "s": 1,
    "sec": 1,
    "second": 1,
    "m": 60,
    "min": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
    "d": 86400,
    "day": 86400,
}
MOST = 1_000_000  # starts per second, or at once: beyond it, a limit is a slip of the pen
LEAST = 1 / (366 * 86_400)  # starts per second: below once a year, a pause is meant
_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*([a-z]+)\s*")


def parse_rate(text: str) -> float:
    """How many per second `text` says; `ValueError` with a sentence when it is not a rate above zero.

    >>> parse_rate("20/s"), parse_rate("600/min"), parse_rate("36 / h")
    (20.0, 10.0, 0.01)
    """
    match = _RATE.fullmatch(text)
    if match is None or match[2] not in _SECONDS:
        raise ValueError(f"{text!r} is not a rate such as '20/s', '600/min' or '1000/h'")
    rate = float(match[1]) / _SECONDS[match[2]]
    if rate <= 0:
        raise ValueError(f"{text!r} is a rate of nothing; use a number above zero, or leave the rate out for no limit")
    if rate < LEAST:
        raise ValueError(f"{text[:40]!r} is below once a year; to let nothing start, pause it")
    if rate > MOST:
        raise ValueError(f"{text[:40]!r} is above {MOST:,} per second; leave the rate out for no limit")
    return rate


def check_burst(burst: float) -> None:
    """`ValueError` unless it is a burst: below one, nothing could ever start."""
    if not 1 <= burst <= MOST:
        raise ValueError(f"{burst:g} is no number of starts from 1 to {MOST:,}")


def default_burst(rate_per_s: float) -> float:
    """The burst of a rate that was given without one: a second's worth, at least one.

    >>> default_burst(20.0), default_burst(0.1)
    (20.0, 1.0)
    """
    return max(1.0, rate_per_s)
