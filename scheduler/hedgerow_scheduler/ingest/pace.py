"""The pace at which a team's stream is taken: what comes to nothing in it is paid for with time, by that team alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

# Putting an event aside costs the loop and the database about as much as a recorded one, and helps nobody: at most a thousand of a
# team in a second. What is sent again after a loss is cheap to recognise, and usual.
MISFIT_S = 0.001
REPEATED_S = 0.0001


def pauses(counted: Mapping[tuple[str, str], int]) -> dict[str, float]:
    """For how many seconds nothing is taken of each team, after a cycle in which the fold counted so many of (team, what).

    >>> pauses({("sales", "ingested"): 500, ("ml", "quarantined"): 500, ("hr", "gap"): 5_000})
    {'ml': 0.5, 'hr': 0.5}
    """
    found: dict[str, float] = defaultdict(float)
    for (team, what), count in counted.items():
        if what == "quarantined" or what.startswith("stale:"):
            found[team] += count * MISFIT_S
        elif what in ("duplicate", "gap"):
            found[team] += count * REPEATED_S
    return dict(found)
