"""Time zones by the names of the IANA database."""

from __future__ import annotations

from zoneinfo import ZoneInfo, available_timezones

from hedgerow.errors import Problem
from hedgerow.suggestion import did_you_mean


def timezone_problems(tz: object) -> list[Problem]:
    """What is wrong with the name of a time zone; nothing when it exists.

    >>> timezone_problems("Europe/Oslo")
    []
    >>> timezone_problems("Europe/Osl")[0].remedy
    "Did you mean 'Europe/Oslo'?"
    """
    try:
        ZoneInfo(tz)  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        remedy = did_you_mean(str(tz), sorted(available_timezones()), "names are those of the IANA database, such as")
        return [Problem("HR-D103", f"There is no time zone {tz!r}.", remedy)]
    return []
