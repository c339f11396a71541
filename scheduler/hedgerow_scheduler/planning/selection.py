"""Selections resolved against the catalog. The grammar is that of hedgerow.selection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hedgerow.errors import RequestError
from hedgerow.selection import Looks, Population, choose
from hedgerow_scheduler.planning.catalog import Catalog


def resolve(catalog: Catalog, selection: Sequence[str]) -> tuple[str, ...]:
    """The keys of the materializable assets that a selection names, sorted.

    External assets are passed over. RequestError HR-Q001 when an item matches nothing, HR-Q002 when nothing is left,
    HR-Q003 when an item can't be read.
    """
    left = sorted(key for key in _choose(catalog, selection) if catalog.assets[key].computation is not None)
    if not left:
        raise RequestError.of(
            "HR-Q002",
            f"The selection '{' '.join(selection)}' leaves nothing to materialize.",
            "Select at least one asset that a team computes (external assets are only observed); see `hedgerow asset list`.",
        )
    return tuple(left)


def select_keys(catalog: Catalog, selection: Sequence[str], looks: Looks | None = None) -> tuple[str, ...]:
    """Like `resolve`, for looking only: external assets are kept, and an empty selection means every asset. `looks` is what several
    selections share.
    """
    return tuple(sorted(_choose(catalog, selection, looks) if selection else catalog.assets))


def selections_with(catalog: Catalog, selections: Iterable[str], key: str) -> set[str]:
    """Those of the selections that name an asset; one that can't be resolved names nothing."""
    population, found = _population(catalog), set()
    for each in selections:
        try:
            if key in choose(population, (each,)):
                found.add(each)
        except RequestError:
            continue
    return found


def _choose(catalog: Catalog, selection: Sequence[str], looks: Looks | None = None) -> set[str]:
    return choose(_population(catalog), selection, looks)


def _population(catalog: Catalog) -> Population:
    assets = {key: asset.definition for key, asset in catalog.assets.items()}

    def upstream(key: str) -> tuple[str, ...]:
        return catalog.upstream(key) if key in catalog.assets else ()

    return Population(assets, lambda key: catalog.assets[key].team, upstream, catalog.downstream, catalog.jobs)
