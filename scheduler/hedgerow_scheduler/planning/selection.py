"""Selections resolved against the catalog. The grammar is that of hedgerow.selection."""

from __future__ import annotations

from collections.abc import Sequence

from hedgerow.errors import RequestError
from hedgerow.selection import Population, choose
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


def select_keys(catalog: Catalog, selection: Sequence[str]) -> tuple[str, ...]:
    """Like `resolve`, for looking only: external assets are kept, and an empty selection means every asset."""
    return tuple(sorted(_choose(catalog, selection) if selection else catalog.assets))


def _choose(catalog: Catalog, selection: Sequence[str]) -> set[str]:
    assets = {key: asset.definition for key, asset in catalog.assets.items()}

    def upstream(key: str) -> tuple[str, ...]:
        return catalog.upstream(key) if key in catalog.assets else ()

    population = Population(assets, lambda key: catalog.assets[key].team, upstream, catalog.downstream, catalog.jobs)
    return choose(population, selection)
