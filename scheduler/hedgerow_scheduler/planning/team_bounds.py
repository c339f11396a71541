"""How much all locations of one team may declare together: every manifest in force is kept in the scheduler's memory, and every key for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hedgerow.errors import Problem
from hedgerow.manifest.model import Manifest
from hedgerow_scheduler.planning.catalog import Catalog, Place

MAX_LOCATIONS = 200
MAX_ASSETS = 50_000
MAX_KEYS = 200_000  # of assets that the team has ever published: each stays its own


def team_excess(catalog: Catalog, candidate: Manifest, owners: Mapping[str, Place]) -> tuple[Problem, ...]:
    """Of what a team would have more than it may if a manifest came into force, as HR-Q019. `owners` maps every key ever published."""
    return tuple(_excess(catalog, candidate, owners))


def _excess(catalog: Catalog, candidate: Manifest, owners: Mapping[str, Place]) -> Iterator[Problem]:
    others = [
        published.manifest
        for (team, location), published in catalog.published.items()
        if team == candidate.team and location != candidate.location
    ]
    if len(others) >= MAX_LOCATIONS:
        yield _problem(candidate, "locations", MAX_LOCATIONS)
    if len(candidate.assets) + sum(len(each.assets) for each in others) > MAX_ASSETS:
        yield _problem(candidate, "assets", MAX_ASSETS)
    fresh = sum(asset.key not in owners for asset in candidate.assets)
    may_be_too_much = fresh and fresh + len(owners) > MAX_KEYS  # of all teams together
    if may_be_too_much and fresh + sum(team == candidate.team for team, _ in owners.values()) > MAX_KEYS:
        yield _problem(candidate, "keys of assets that it has ever published", MAX_KEYS)


def _problem(candidate: Manifest, what: str, most: int) -> Problem:
    return Problem(
        "HR-Q019",
        f"Team '{candidate.team}' would have over {most:,} {what} with location '{candidate.location}'.",
        "Declare less, make partitions of what is alike, or make a team of its own of a part.",
    )
