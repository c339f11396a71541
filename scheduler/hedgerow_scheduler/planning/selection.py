"""Selections: text that names assets, resolved against the catalog.

item       = ["!"] ["+" | N "+"] term ["+" | "+" N]        "!" takes away; "+" adds all upstream or downstream, "+2" two levels
term       = key | glob | "group:" name | "tag:" key ["=" value] | "owner:" name | "kind:" name | "team:" name | "job:" name
selection  = item {("," | space) item}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from hedgerow.errors import RequestError
from hedgerow.suggestion import did_you_mean
from hedgerow_scheduler.planning.catalog import Catalog, CatalogAsset

_ITEM = re.compile(r"(?P<not>!?)(?:(?P<up>\d{0,6})(?P<plus>\+))?(?P<term>[^+!]+?)(?:(?P<down>\+)(?P<levels>\d{0,6}))?")
_ALL_LEVELS = 1 << 30

# attribute → the values an asset has of it
_ATTRIBUTES: dict[str, Callable[[CatalogAsset], Iterable[str]]] = {
    "group": lambda asset: (asset.definition.group,),
    "tag": lambda asset: _tags(asset),
    "owner": lambda asset: asset.definition.owners,
    "kind": lambda asset: asset.definition.kinds,
    "team": lambda asset: (asset.team,),
}


def _tags(asset: CatalogAsset) -> Iterable[str]:
    """Each tag by its name alone, and with its value."""
    for name, value in asset.definition.tags.items():
        yield name
        yield f"{name}={value}"


def resolve(catalog: Catalog, selection: Sequence[str]) -> tuple[str, ...]:
    """The keys of the materializable assets that a selection names, sorted.

    External assets are passed over. RequestError HR-Q001 when an item matches nothing, HR-Q002 when nothing is left,
    HR-Q003 when an item can't be read.
    """
    return _resolve(catalog, selection, ())


def select_keys(catalog: Catalog, selection: Sequence[str]) -> tuple[str, ...]:
    """Like `resolve`, for looking only: external assets are kept, and an empty selection means every asset."""
    if not selection:
        return tuple(sorted(catalog.assets))
    return tuple(sorted(key for key in _chosen(catalog, selection, ()) if key in catalog.assets))


def _resolve(catalog: Catalog, selection: Sequence[str], jobs: tuple[str, ...]) -> tuple[str, ...]:
    left = sorted(
        key
        for key in _chosen(catalog, selection, jobs)
        if key in catalog.assets and catalog.assets[key].computation is not None
    )
    if not left:
        raise RequestError.of(
            "HR-Q002",
            f"The selection '{' '.join(selection)}' leaves nothing to materialize.",
            "Select at least one asset that a team computes (external assets are only observed); see `hedgerow asset list`.",
        )
    return tuple(left)


def _chosen(catalog: Catalog, selection: Sequence[str], jobs: tuple[str, ...]) -> set[str]:
    """What a selection names, `jobs` being those within whose selections it stands; keys nobody declares may be among them."""
    chosen: set[str] = set()
    taken_away: set[str] = set()
    for item in _items(selection):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise RequestError.of(
                "HR-Q003",
                f"The selection item '{item[:80]}' can't be read.",
                "Write a key, a glob, or attribute:value, with + before or after it.",
            )
        keys = _matching(catalog, match["term"], item, jobs)
        found = set(keys)
        if match["plus"]:
            found |= _closure(keys, catalog.upstream, int(match["up"] or _ALL_LEVELS))
        if match["down"]:
            found |= _closure(keys, catalog.downstream, int(match["levels"] or _ALL_LEVELS))
        (taken_away if match["not"] else chosen).update(found)
    return chosen - taken_away


def _items(selection: Sequence[str]) -> Iterable[str]:
    for text in selection:
        yield from (part for part in re.split(r"[,\s]+", text) if part)


def _matching(catalog: Catalog, term: str, item: str, jobs: tuple[str, ...]) -> tuple[str, ...]:
    attribute, colon, value = term.partition(":")
    if colon and attribute == "job":
        return _of_job(catalog, value, jobs)
    known: Iterable[str] = catalog.assets
    if colon:
        values_of = _ATTRIBUTES.get(attribute)
        if values_of is None:
            raise RequestError.of(
                "HR-Q003",
                f"The selection item '{item}' asks for an unknown attribute '{attribute}'.",
                f"Use one of: {', '.join([*_ATTRIBUTES, 'job'])}.",
            )
        keys = tuple(key for key, asset in catalog.assets.items() if value in values_of(asset))
        known = sorted({f"{attribute}:{each}" for asset in catalog.assets.values() for each in values_of(asset)})
    elif any(sign in term for sign in "*?["):
        keys = tuple(key for key in catalog.assets if fnmatchcase(key, term))
    else:
        keys = (term,) if term in catalog.assets else ()
    if not keys:
        raise RequestError.of(
            "HR-Q001",
            f"No asset matches '{item}'.",
            did_you_mean(term, known) or "See `hedgerow asset list` for the keys that are declared.",
        )
    return keys


def _of_job(catalog: Catalog, name: str, jobs: tuple[str, ...]) -> tuple[str, ...]:
    job = catalog.jobs.get(name)
    if job is None:
        raise RequestError.of(
            "HR-Q001",
            f"No team declares a job '{name}'.",
            did_you_mean(name, catalog.jobs) or "See `hedgerow team show TEAM` for its jobs.",
        )
    if name in jobs:
        raise RequestError.of(
            "HR-Q003",
            f"The jobs {' -> '.join([*jobs, name])} name each other in a circle.",
            "Let one of them name its assets instead.",
        )
    return _resolve(catalog, [job.selection], (*jobs, name))


def _closure(keys: Iterable[str], neighbours: Callable[[str], Sequence[str]], levels: int) -> set[str]:
    found: set[str] = set()
    edge = set(keys)
    while edge and levels > 0:
        edge = {other for key in edge for other in neighbours(key)} - found - edge
        found |= edge
        levels -= 1
    return found
