"""Finds the code locations that `hedgerow dev PATH` is to run."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from hedgerow.errors import DefinitionError, PlatformError, Problem
from hedgerow.settings.location import LOCATION_FILE, read_location
from hedgerow.suggestion import did_you_mean


@dataclass(frozen=True)
class Found:
    """A directory with a hedgerow.toml. While that file has mistakes, `name` is the directory's and the team is not known."""

    root: Path
    name: str
    team: str | None


def find_locations(root: Path, teams: Collection[str] = ()) -> tuple[Found, ...]:
    """The code locations at `root` or in the directories right below it, sorted by name; only those of `teams` if any are given.

    A location whose hedgerow.toml has mistakes is found too: its worker reports them. Raises PlatformError HR-P205, and
    HR-C012 when two directories are the same location: each would put the other's code out of force.
    """
    places = (
        [root] if (root / LOCATION_FILE).is_file() else sorted(file.parent for file in root.glob(f"*/{LOCATION_FILE}"))
    )
    found = sorted((describe(place) for place in places), key=lambda each: (each.name, each.team or "", each.root))
    if not found:
        raise PlatformError.of(
            "HR-P205",
            f"No {LOCATION_FILE} in {root} or in a directory right below it.",
            f"Give the directory of a code location or the one above several, or write a {LOCATION_FILE} (see the tutorial).",
        )
    for one, other in itertools.pairwise(found):
        if one.team is not None and (one.team, one.name) == (other.team, other.name):
            raise PlatformError(same_location(one.team, one.name, one.root, other.root))
    names = [location.name for location in found]
    # Locations of two teams, or what can't be read, may have one name; here each needs its own.
    found = [replace(each, name=each.root.name) if names.count(each.name) > 1 else each for each in found]
    known = sorted({location.team for location in found if location.team})
    for team in teams:
        if team not in known:
            raise PlatformError.of(
                "HR-P205", f"No code location of team '{team}' in {root}.", did_you_mean(team, known, "teams here are")
            )
    return tuple(location for location in found if not teams or location.team in teams)


def same_location(team: str, location: str, one: Path, other: Path) -> Problem:
    """HR-C012: two directories say that they are the same location."""
    return Problem(
        "HR-C012",
        f"{one} and {other} are both location '{location}' of team '{team}'.",
        f'Give one of them a name of its own in its {LOCATION_FILE}, below [code]: location = "...".',
    )


def describe(place: Path) -> Found:
    """The code location at `place` as its file has it now."""
    try:
        settings = read_location(place)
    except DefinitionError:
        return Found(place, place.name, None)
    return Found(settings.root, settings.location, settings.team)
