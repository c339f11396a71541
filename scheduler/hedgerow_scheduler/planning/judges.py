"""The judging steps of a plan: after the steps that make what has checks of that kind, or by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hedgerow.errors import RequestError
from hedgerow.manifest.model import Computation
from hedgerow_scheduler.lifecycle.judging import judging_name
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.planned import PlannedStep


def judged_after(catalog: Catalog, computation: Computation, assets: Iterable[str]) -> dict[str, bool]:
    """Which of the assets of a step are judged after it, and whether what is made from them waits for that."""
    if not any(check.own_step for key in computation.assets for check in catalog.assets[key].checks):
        return {}
    judges = {key: catalog.assets[key].judging(after_step=True) for key in assets}
    return {key: any(check.blocking for check in checks) for key, checks in judges.items() if checks}


def judging_step(catalog: Catalog, maker: Computation, asset: str, partition: str | None, number: int) -> PlannedStep:
    """The step that judges a partition of an asset, by itself."""
    team, location = catalog.home(maker.name)
    return PlannedStep(
        number, team, location, maker.queue, maker.priority, judging_name(asset), (asset,), partition, ()
    )


def judge_only(
    catalog: Catalog, chosen: Sequence[str], keys: Mapping[str, tuple[str | None, ...]]
) -> tuple[PlannedStep, ...]:
    """A judging step for each partition, of `keys` by computation, of those assets that have checks. RequestError HR-Q031 when none has."""
    planned: list[PlannedStep] = []
    for key in chosen:
        asset = catalog.assets[key]
        if asset.checks and asset.computation is not None:
            for partition in keys[asset.computation.name]:
                planned.append(judging_step(catalog, asset.computation, key, partition, len(planned)))
    if not planned:
        some = f"'{chosen[0]}' has" if len(chosen) == 1 else f"None of the {len(chosen):,} selected assets has"
        no = " no" if len(chosen) == 1 else ""
        raise RequestError.of(
            "HR-Q031", f"{some}{no} checks.", "Select an asset with checks: `hedgerow asset show KEY` lists them."
        )
    return tuple(planned)
