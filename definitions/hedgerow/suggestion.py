"""The "did you mean" part of a remedy."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN = 12
COMPARED = 2_000  # comparing takes some microseconds each


def did_you_mean(word: str, choices: Iterable[str], what: str = "there are") -> str:
    """The closest of `choices` as a question, otherwise the first twelve of them; empty when there are none.

    >>> did_you_mean("concurency", ["rate", "concurrency"])
    "Did you mean 'concurrency'?"
    >>> did_you_mean("slots", ["rate", "concurrency"], "known are")
    'Known are: rate, concurrency.'
    """
    known = list(dict.fromkeys(choices))
    if not known:
        return ""
    folded = {choice.lower(): choice for choice in known}
    near = folded if len(folded) <= COMPARED else [word.lower()] if word.lower() in folded else []
    close = get_close_matches(word.lower(), near, n=1, cutoff=0.6)
    if close:
        return f"Did you mean '{folded[close[0]]}'?"
    rest = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return f"{what[:1].upper()}{what[1:]}: {', '.join(known[:SHOWN])}{rest}."
