"""How the limits that locations declare fit beside each other and beside the platform's, for `hedgerow check`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hedgerow.errors import Problem
from hedgerow.manifest import model
from hedgerow.pools import shown
from hedgerow.settings.location import LOCATION_FILE
from hedgerow.settings.platform import EMBEDDED, PLATFORM_FILE, read_platform
from hedgerow.suggestion import did_you_mean

Pools = Mapping[str, model.Pool]


def platform_pools(path: Path, environ: Mapping[str, str]) -> Pools | None:
    """The pools of the nearest platform.toml at or above `path` or the current directory, by name.

    Without that file there are none, unless the platform is elsewhere (HEDGEROW_API): then None, for not known. Raises
    PlatformError when the file has mistakes.
    """
    here = Path.cwd()
    places = (place for start in (path, here) for place in (start, *start.parents))
    root = next((place for place in places if (place / PLATFORM_FILE).is_file()), None)
    if root is None and environ.get("HEDGEROW_API", EMBEDDED) not in ("", EMBEDDED):
        return None
    return {pool.name: pool for pool in read_platform(root, environ).pools} if root is not None else {}


def limit_problems(
    manifest: model.Manifest, others: Sequence[model.Manifest], platform: Pools | None
) -> Iterator[Problem]:
    """What is wrong with a location's limits: pools that no one declares or that are too small, and what other locations of the
    team (`others`) declare otherwise. `platform` None: pools that the location does not declare are passed over.
    """
    own = {pool.name: pool for pool in manifest.pools}
    for computation in manifest.computations:
        for use in computation.pools:
            yield from _use_problems(computation, use, own, platform)
    team = [other for other in others if other.team == manifest.team]
    for other in team:
        yield from _differing_pools(own, other)
        yield from _differing_limits(manifest, other)


def _use_problems(
    computation: model.Computation, use: model.PoolUse, own: Pools, platform: Pools | None
) -> Iterator[Problem]:
    theirs = (platform or {}).get(use.pool)
    if use.pool not in own and theirs is None and platform is not None:
        yield _problem(
            "HR-D004",
            f"Asset '{computation.name}' asks for pool '{use.pool}', which no one declares.",
            f"{did_you_mean(use.pool, [*own, *platform])} Declare hr.pool('{use.pool}', slots=...) or [pools.{use.pool}] in "
            f"{LOCATION_FILE} for the team alone, or in {PLATFORM_FILE} for all teams.".strip(),
            computation,
        )
    elif theirs is not None and theirs.slots is not None and use.slots > theirs.slots:
        yield _problem(
            "HR-D004",
            f"Asset '{computation.name}' asks for {use.slots} slots of pool '{use.pool}', which has {theirs.slots} in {PLATFORM_FILE}.",
            "Ask for fewer: the step could never start.",
            computation,
        )


def _differing_pools(own: Pools, other: model.Manifest) -> Iterator[Problem]:
    for pool in other.pools:
        mine = own.get(pool.name)
        if mine is not None and mine != pool:
            yield Problem(
                "HR-D018",
                f"Pool '{pool.name}' is declared twice: {shown(mine)} here, {shown(pool)} in location '{other.location}'.",
                "A team's pool is one for all its locations: declare it alike in both, or rename one.",
            )


def _differing_limits(manifest: model.Manifest, other: model.Manifest) -> Iterator[Problem]:
    theirs = {limit.name: (limit, made) for made in other.computations for limit in made.limits}
    for computation in manifest.computations:
        for limit in computation.limits:
            far, made = theirs.get(limit.name, (limit, computation))
            if far != limit:
                place = f" ({made.source.file}:{made.source.line})" if made.source else ""
                yield _problem(
                    "HR-D024",
                    f"Limit '{limit.name}' is {limit.concurrency} per '{limit.per}' here, but {far.concurrency} per '{far.per}' "
                    f"at asset '{made.name}' of location '{other.location}'{place}.",
                    "Limits of one name are one limit for the whole team: declare them alike, or rename one.",
                    computation,
                )


def _problem(code: str, message: str, remedy: str, computation: model.Computation) -> Problem:
    source = computation.source
    return Problem(code, message, remedy, source.file if source else None, source.line if source else None)
