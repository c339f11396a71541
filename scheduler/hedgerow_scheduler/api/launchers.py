"""Which schedules and sensors launch an asset, or observe it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hedgerow_scheduler.api.schedules import declared_schedules
from hedgerow_scheduler.api.sensors import declared_sensors
from hedgerow_scheduler.automation.schedules import Place, job_of
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.selection import selections_with

LOOKS = 2_000_000  # at assets, that one question may take: about a second
LEAST, MOST = 20, 500  # different selections that one question resolves


def launchers_of(catalog: Catalog, key: str) -> tuple[str, ...]:
    """What launches an asset by its selection, as `schedule team/name` or `sensor team/name`; that of the asset's own team comes first,
    and counts before that of others where there are more than can be looked at. Of an external asset, what observes it.
    """
    asset = catalog.assets[key]
    if asset.computation is None:
        sensors = declared_sensors(catalog).items()
        return tuple(f"sensor {place.title}" for place, one in sensors if one.observes == key and one.enabled)
    found = list(_launchers(catalog))
    found.sort(key=lambda item: not item[0].partition(" ")[2].startswith(f"{asset.team}/"))
    distinct = [each for each in dict.fromkeys(selection for _, selection in found) if each not in catalog.assets]
    most = min(MOST, max(LEAST, LOOKS // len(catalog.assets)))
    chosen = {key, *selections_with(catalog, distinct[:most], key)}
    return tuple(each for each, selection in found if selection in chosen)


def _launchers(catalog: Catalog) -> Iterator[tuple[str, str]]:
    places: Iterable[tuple[str, Place, str]] = (
        *(("schedule", place, one.selection) for place, one in declared_schedules(catalog).items() if one.enabled),
        *(
            ("sensor", place, one.selection)
            for place, one in declared_sensors(catalog).items()
            if one.selection and one.enabled
        ),
    )
    for kind, place, selection in places:
        job = job_of(place, selection, catalog.jobs)
        yield f"{kind} {place.title}", f"job:{job}" if job is not None else selection
