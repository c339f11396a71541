"""Freshness: how old an asset may become before its team is warned, and before it is late."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeAlias

import msgspec

from hedgerow.cron import Cron, cron
from hedgerow.durations import milliseconds, parse_duration
from hedgerow.errors import DefinitionError, Problem

LONGEST = timedelta(days=366 * 10)
LONGEST_TEXT = 200
DEFAULT_SINCE = timedelta(days=1)


class FreshWithin(msgspec.Struct, frozen=True, tag="within", omit_defaults=True):
    """What is current is late from `within_ms` on, and warned of from `warn_ms` (None: never) on. Of partitions by time, a window must be
    there so soon after it was complete.
    """

    within_ms: int
    warn_ms: int | None = None


class FreshBy(msgspec.Struct, frozen=True, tag="by", omit_defaults=True):
    """Each time `cron` comes due, something must be there that was made within `since_ms` before; `warn_ms` before that (None: never) there is
    a warning if it is not. Of partitions by time, the last window that was complete then.
    """

    cron: Cron
    since_ms: int
    warn_ms: int | None = None


Freshness: TypeAlias = FreshWithin | FreshBy


def fresh_within(duration: str | timedelta, *, warn: str | timedelta | None = None) -> FreshWithin:
    """An asset is late when what is current is older than `duration`, and warned of when it is older than `warn`. An asset that is
    partitioned by time is late when its last window is not there so long after it was complete. What was never made is neither.

    >>> fresh_within("26h", warn="24h")
    FreshWithin(within_ms=93600000, warn_ms=86400000)
    """
    within_ms = _period("fresh_within", duration)
    warn_ms = None if warn is None else _period("fresh_within, warn", warn)
    if warn_ms is not None and warn_ms >= within_ms:
        raise _wrong(
            f"fresh_within({duration!r}, warn={warn!r}) warns when it is late already.",
            "Let it warn earlier than that.",
        )
    return FreshWithin(within_ms, warn_ms)


def fresh_by(
    expression: str,
    *,
    tz: str = "UTC",
    since: str | timedelta = DEFAULT_SINCE,
    warn: str | timedelta | None = None,
) -> FreshBy:
    """An asset is late from each time that the cron expression (five fields, local time of `tz`) comes due until it is made, unless it was
    made within `since` before; `warn` is how long before it is warned of. Of an asset that is partitioned by time, the last window that
    is complete then must be there. What was never made is not late.

    >>> fresh_by("0 6 * * *", tz="Europe/Oslo", since="6h", warn="30m").since_ms
    21600000
    """
    times = cron(expression, tz)
    since_ms = _period("fresh_by, since", since)
    warn_ms = None if warn is None else _period("fresh_by, warn", warn)
    if warn_ms is not None and warn_ms >= since_ms:
        raise _wrong(
            f"fresh_by(since={since!r}, warn={warn!r}) warns before anything that counts can be there.",
            "Let it warn later than that.",
        )
    return FreshBy(times, since_ms, warn_ms)


def policy_text(policy: Freshness) -> str:
    """A policy in words.

    >>> policy_text(fresh_within("26h", warn="24h")), policy_text(fresh_by("0 6 * * *", since="90m"))
    ('within 26 h, warned of from 24 h on', "by '0 6 * * *' (UTC), made since 90 m before")
    """
    if isinstance(policy, FreshWithin):
        warned = "" if policy.warn_ms is None else f", warned of from {period_text(policy.warn_ms)} on"
        return f"within {period_text(policy.within_ms)}{warned}"
    warned = "" if policy.warn_ms is None else f", warned of from {period_text(policy.warn_ms)} before"
    since = (
        "" if policy.since_ms == milliseconds(DEFAULT_SINCE) else f", made since {period_text(policy.since_ms)} before"
    )
    return f"by '{policy.cron.expression}' ({policy.cron.tz}){since}{warned}"


def period_text(ms: int) -> str:
    """A period in the largest unit that it is a whole number of; a single day in hours.

    >>> period_text(86_400_000), period_text(1_500)
    ('24 h', '1500 ms')
    """
    for unit, size, least in (("d", 86_400_000, 2), ("h", 3_600_000, 1), ("m", 60_000, 1), ("s", 1_000, 1)):
        if ms % size == 0 and ms // size >= least:
            return f"{ms // size} {unit}"
    return f"{ms} ms"


def freshness_defect(policy: Freshness) -> str | None:
    """What is wrong with a policy that came from elsewhere, as the end of a sentence that begins with it; None when nothing is."""
    periods = [policy.within_ms if isinstance(policy, FreshWithin) else policy.since_ms]
    if policy.warn_ms is not None:
        periods.insert(0, policy.warn_ms)
    if not all(0 < period <= milliseconds(LONGEST) for period in periods) or periods != sorted(set(periods)):
        return "has periods that make no sense"
    if isinstance(policy, FreshBy):
        if max(len(policy.cron.expression), len(policy.cron.tz)) > LONGEST_TEXT:
            return "names times that are none"
        try:
            cron(policy.cron.expression, policy.cron.tz)
        except DefinitionError:
            return "names times that are none"
    return None


def _period(what: str, duration: str | timedelta) -> int:
    try:
        period = parse_duration(duration)
    except ValueError as error:
        raise _wrong(f"{what}: {error}.", 'Give a duration such as "26h".') from error
    if not timedelta(milliseconds=1) <= period <= LONGEST:
        raise _wrong(f"{what}: {duration!r} is not above zero and at most ten years.", 'Give a duration such as "26h".')
    return milliseconds(period)


def _wrong(message: str, remedy: str) -> DefinitionError:
    return DefinitionError(Problem("HR-D112", message, remedy))
