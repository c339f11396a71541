"""What checked locations are made from, compared with what others declare: keys that no one has, partitions that do not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set

import msgspec

from hedgerow.errors import Problem
from hedgerow.manifest.model import Manifest
from hedgerow.suggestion import did_you_mean
from hedgerow_scheduler.cli.client import Client, segment
from hedgerow_scheduler.planning.catalog import Catalog, Place, PublishedManifest
from hedgerow_scheduler.planning.fitting import UNDECLARED, misfits


def catalog_beside(checked: Sequence[Manifest], owners: Mapping[str, Place], client: Client | None) -> Catalog:
    """The checked locations together with those of the platform that declare something upstream of them."""
    own = {(manifest.team, manifest.location) for manifest in checked}
    upstream = {dep.key for manifest in checked for made in manifest.computations for dep in made.deps}
    places = sorted({owners[key] for key in upstream & owners.keys()} - own)
    others = [manifest_in_force(client, *place) for place in places] if client is not None else []
    return Catalog(PublishedManifest("", each) for each in (*others, *checked))


def manifest_in_force(client: Client, team: str, location: str) -> Manifest:
    """What a location of the platform declares."""
    return msgspec.convert(client.get(f"/manifests/{segment(team)}/{segment(location)}"), Manifest)


def upstream_problems(manifest: Manifest, beside: Catalog, known: Set[str] | None) -> Iterator[Problem]:
    """What of a location can't be made beside the others. `known` are all keys that there are; without them one that no one declares
    is no mistake yet.
    """
    for each in misfits(beside, manifest.computations):
        if each.problem.code != UNDECLARED:
            yield each.problem
        elif known is not None and each.upstream not in known:
            remedy = did_you_mean(each.upstream, sorted(known)) or each.problem.remedy
            yield msgspec.structs.replace(each.problem, remedy=remedy)
