"""Selections: text that names assets, over whatever assets there are to choose from.

item       = ["!"] ["+" | N "+"] term ["+" | "+" N]        "!" takes away; "+" adds all upstream or downstream, "+2" two levels
term       = key | glob | "group:" name | "tag:" key ["=" value] | "owner:" name | "kind:" name | "team:" name | "job:" name
selection  = item {("," | space) item}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from hedgerow.errors import RequestError
from hedgerow.manifest.model import Asset, Job
from hedgerow.suggestion import did_you_mean

_ITEM = re.compile(r"(?P<not>!?)(?:(?P<up>\d{0,6})(?P<plus>\+))?(?P<term>[^+!]+?)(?:(?P<down>\+)(?P<levels>\d{0,6}))?")
_ALL_LEVELS = 1 << 30
MAX_LOOKS = 2_000_000
"""At how many assets one selection may look: about a second's work, and it is the scheduler's loop that resolves most of them."""
LEAST_LOOKS = 50  # that an item counts as, whatever it finds
LOOKS_OF_CLOSURE = 5  # that what a '+' finds counts as, each
MAX_JOBS_WITHIN = 50  # jobs that name each other, in a row


@dataclass(frozen=True)
class Population:
    """What a selection chooses from: the assets by key, the team of each, their edges, and the jobs by name."""

    assets: Mapping[str, Asset]
    team_of: Callable[[str], str]
    upstream: Callable[[str], Iterable[str]]
    downstream: Callable[[str], Iterable[str]]
    jobs: Mapping[str, Job] = field(default_factory=dict)

    def values(self, attribute: str, key: str) -> Iterable[str]:
        """What an asset has of an attribute; KeyError for an attribute that there is not."""
        return _ATTRIBUTES[attribute](self, key)


def _tags(population: Population, key: str) -> Iterable[str]:
    """Each tag by its name alone, and with its value."""
    for name, value in population.assets[key].tags.items():
        yield name
        yield f"{name}={value}"


_ATTRIBUTES: dict[str, Callable[[Population, str], Iterable[str]]] = {
    "group": lambda population, key: (population.assets[key].group,),
    "tag": _tags,
    "owner": lambda population, key: population.assets[key].owners,
    "kind": lambda population, key: population.assets[key].kinds,
    "team": lambda population, key: (population.team_of(key),),
}


class Looks:
    """At how many assets selections may still look, over all their items and the jobs that they name."""

    def __init__(self, most: int = MAX_LOOKS) -> None:
        self._left = most

    def take(self, number: int, item: str) -> None:
        """An item looks at so many."""
        self._left -= number + LEAST_LOOKS
        if self._left < 0:
            raise RequestError.of(
                "HR-Q017",
                f"The selection takes too long to resolve: it came to '{item[:80]}'.",
                "Give fewer items, '+' and globs, and let jobs not name other jobs over and over.",
            )


def choose(population: Population, selection: Sequence[str], looks: Looks | None = None) -> set[str]:
    """The keys of the population that a selection names. `looks` is what several selections share; else it has MAX_LOOKS of its own.

    RequestError HR-Q001 when an item matches nothing, HR-Q003 when one can't be read, HR-Q017 when it takes too long.
    """
    return _choose(population, selection, (), looks or Looks())


def _choose(population: Population, selection: Sequence[str], within: tuple[str, ...], looks: Looks) -> set[str]:
    """`within` are the jobs in whose selections it stands."""
    chosen: set[str] = set()
    taken_away: set[str] = set()
    for item in (part for text in selection for part in re.split(r"[,\s]+", text) if part):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise RequestError.of(
                "HR-Q003",
                f"The selection item '{item[:80]}' can't be read.",
                "Write a key, a glob, or attribute:value, with + before or after it.",
            )
        keys = _matching(population, match["term"], item, within, looks)
        found = set(keys)
        if match["plus"]:
            found |= _closure(keys, population.upstream, int(match["up"] or _ALL_LEVELS))
        if match["down"]:
            found |= _closure(keys, population.downstream, int(match["levels"] or _ALL_LEVELS))
        looks.take(len(found) * (LOOKS_OF_CLOSURE if match["plus"] or match["down"] else 1), item)
        (taken_away if match["not"] else chosen).update(found)
    return {key for key in chosen - taken_away if key in population.assets}


def _matching(population: Population, term: str, item: str, within: tuple[str, ...], looks: Looks) -> set[str]:
    attribute, colon, value = term.partition(":")
    assets = population.assets
    if colon and attribute == "job":
        return _of_job(population, value, within, looks)
    known: Iterable[str] = assets
    if colon and attribute not in _ATTRIBUTES:
        raise RequestError.of(
            "HR-Q003",
            f"The selection item '{item}' asks for an unknown attribute '{attribute}'.",
            f"Use one of: {', '.join([*_ATTRIBUTES, 'job'])}.",
        )
    if colon:
        looks.take(len(assets), item)
        keys = {key for key in assets if value in population.values(attribute, key)}
        if not keys:
            known = sorted({f"{attribute}:{each}" for key in assets for each in population.values(attribute, key)})
    elif any(sign in term for sign in "*?["):
        looks.take(len(assets), item)
        keys = {key for key in assets if fnmatchcase(key, term)}
    else:
        keys = {term} & assets.keys()
    if not keys:
        raise RequestError.of(
            "HR-Q001",
            f"No asset matches '{item}'.",
            did_you_mean(term, known) or "See `hedgerow asset list` for the keys that are declared.",
        )
    return keys


def _of_job(population: Population, name: str, within: tuple[str, ...], looks: Looks) -> set[str]:
    job = population.jobs.get(name)
    if job is None:
        raise RequestError.of(
            "HR-Q001",
            f"No team declares a job '{name}'.",
            did_you_mean(name, population.jobs) or "See `hedgerow team show TEAM` for its jobs.",
        )
    if name in within:
        raise RequestError.of(
            "HR-Q003",
            f"The jobs {' -> '.join([*within, name])} name each other in a circle.",
            "Let one of them name its assets instead.",
        )
    if len(within) == MAX_JOBS_WITHIN:
        raise RequestError.of(
            "HR-Q003",
            f"Over {MAX_JOBS_WITHIN} jobs name each other in a row, the last one '{name}'.",
            "Let one of them name its assets instead.",
        )
    return _choose(population, [job.selection], (*within, name), looks)


def _closure(keys: Iterable[str], neighbours: Callable[[str], Iterable[str]], levels: int) -> set[str]:
    found: set[str] = set()
    edge = set(keys)
    while edge and levels > 0:
        edge = {other for key in edge for other in neighbours(key)} - found - edge
        found |= edge
        levels -= 1
    return found
