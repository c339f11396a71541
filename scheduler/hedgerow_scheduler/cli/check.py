"""`hedgerow check`: load a team's code in the team's interpreter and report every mistake in it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from hedgerow import clock
from hedgerow.errors import HedgerowError, PlatformError, Problem
from hedgerow.freshness import policy_text
from hedgerow.manifest import model
from hedgerow.settings.location import LOCATION_FILE, LocationSettings, read_location
from hedgerow_scheduler.cli.check_launches import Elsewhere, known_to, launch_problems, unknown_selections
from hedgerow_scheduler.cli.check_limits import Pools, limit_problems, platform_pools
from hedgerow_scheduler.cli.check_upstream import catalog_beside, upstream_problems
from hedgerow_scheduler.cli.client import connect
from hedgerow_scheduler.cli.command import BAD_INPUT, OK, Parser, add_json, execute
from hedgerow_scheduler.cli.interpreter import ask
from hedgerow_scheduler.cli.output import Output, clean, counted
from hedgerow_scheduler.embedded.locations import same_location
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest, refusals

LOAD_S = 300.0


class Checked(msgspec.Struct, frozen=True):
    """A location with its manifest (None when it has problems) and everything that is wrong with it."""

    path: str
    manifest: model.Manifest | None
    problems: tuple[Problem, ...]


def parser() -> Parser:
    """The command line of `hedgerow check`."""
    parser = Parser(
        prog="hedgerow check",
        description="Load a code location in its own interpreter and report every mistake. PATH may also be the directory above "
        "several locations: they are then checked together. Exit code 2 when something is wrong.",
    )
    parser.add_argument(
        "path",
        metavar="PATH",
        nargs="?",
        default=".",
        help="a code location, or the directory above several (default: here)",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--platform",
        action="store_true",
        default=None,
        help="also compare with what other teams have published; fail when the platform can't be reached",
    )
    which.add_argument(
        "--no-platform", dest="platform", action="store_false", help="do not ask the platform (default: ask if it runs)"
    )
    add_json(parser)
    parser.set_defaults(run=run)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command."""
    return execute(parser(), argv)


def run(options: argparse.Namespace, output: Output) -> int:
    """Checks every location at the path, then how they fit together."""
    path = Path(options.path).resolve()
    pools = platform_pools(path, os.environ)
    checked = [check_location(place, os.environ) for place in find_places(path)]
    published = _published(options.platform)
    client = connect() if published is not None else None
    elsewhere = known_to(client) if client is not None else None
    sees_all = published is not None or len(checked) > 1
    manifests = [one.manifest for one in checked if one.manifest is not None]
    beside = catalog_beside(manifests, published or {}, client)
    found = list(_compare(checked, published or {}, sees_all, pools, elsewhere, beside))
    wrong = sum(len(one.problems) for one in found)
    if output.as_json:
        output.json({"locations": found, "compared_with_platform": published is not None})
        return BAD_INPUT if wrong else OK
    for one in found:
        _show(output, one)
    if published is None and not wrong:
        unknown = sorted(_foreign(found))
        if unknown:
            output.note(f"Not looked up, since no platform runs here: {', '.join(unknown)}.", "dim")
    if pools is None and not wrong:
        unknown = sorted(_foreign_pools(found))
        if unknown:
            output.note(f"Pools not looked up, since there is no platform.toml here: {', '.join(unknown)}.", "dim")
    return BAD_INPUT if wrong else OK


def find_places(path: Path) -> list[Path]:
    """The directories with a hedgerow.toml: `path` itself, or those directly below it."""
    if (path / LOCATION_FILE).is_file() or not path.is_dir():
        return [path]
    below = sorted(place.parent for place in path.glob(f"*/{LOCATION_FILE}"))
    return below or [path]


def check_location(place: Path, environ: Mapping[str, str]) -> Checked:
    """What the code location at `place` declares, or what is wrong with it. Its code runs in its own interpreter."""
    try:
        settings = read_location(place)
    except HedgerowError as error:
        return Checked(str(place), None, error.problems)
    try:
        manifest = _describe(settings, environ)
    except HedgerowError as error:
        return Checked(str(place), None, error.problems)
    return Checked(str(place), manifest, ())


def _describe(settings: LocationSettings, environ: Mapping[str, str]) -> model.Manifest:
    late = Problem(
        "HR-Q323",
        f"The code of team '{settings.team}' did not load within {LOAD_S:.0f} s.",
        "Do less when modules are imported.",
    )
    root = str(settings.root)
    return ask(settings, environ, "describe", root, decode=model.decode, within_s=LOAD_S, late=late)


def _published(wanted: bool | None) -> dict[str, tuple[str, str]] | None:
    """Every key that the platform knows with its (team, location); None when it is not asked or, unless `wanted`, not there."""
    if wanted is False:
        return None
    try:
        return {asset["key"]: (asset["team"], asset["location"]) for asset in connect().pages("/assets", None)}
    except PlatformError:
        if wanted:
            raise
        return None


def _compare(
    checked: Sequence[Checked],
    published: Mapping[str, tuple[str, str]],
    sees_all: bool,
    pools: Pools | None,
    elsewhere: Elsewhere,
    beside: Catalog,
) -> Iterator[Checked]:
    """Each location with, besides its own, the problems that only show beside others: foreign keys, cycles, unknown upstream,
    limits that do not fit, schedules and sensors of what there is not.
    """
    manifests = [one.manifest for one in checked if one.manifest is not None]
    local = {
        asset.key: (manifest.team, manifest.location) for manifest in reversed(manifests) for asset in manifest.assets
    }
    here = {(manifest.team, manifest.location) for manifest in manifests}
    owners = {**{key: owner for key, owner in published.items() if owner not in here}, **local}
    known = {*owners, *published}
    catalog = Catalog()
    places: dict[tuple[str, str], str] = {}
    for one in checked:
        manifest = one.manifest
        if manifest is None:
            yield one
            continue
        problems = list(refusals(catalog, manifest, owners | {k: v for k, v in published.items() if v not in here}))
        first = places.setdefault((manifest.team, manifest.location), one.path)
        if first != one.path:
            problems.append(same_location(manifest.team, manifest.location, Path(first), Path(one.path)))
        if not problems:
            catalog = catalog.replacing(PublishedManifest("", manifest))
        problems += upstream_problems(manifest, beside, known if sees_all else None)
        # Each pair is compared once, from the later one.
        problems += limit_problems(manifest, manifests[: manifests.index(manifest)], pools)
        problems += launch_problems(manifest, manifests, clock.now(), elsewhere, sees_all)
        yield Checked(one.path, manifest, tuple(problems))


def _foreign(checked: Sequence[Checked]) -> set[str]:
    """Upstream keys, and selections of schedules and sensors, that the checked locations do not declare themselves."""
    manifests = [one.manifest for one in checked if one.manifest is not None]
    own = {asset.key for manifest in manifests for asset in manifest.assets}
    upstream = {dep.key for manifest in manifests for made in manifest.computations for dep in made.deps} - own
    now = clock.now()
    return upstream.union(*(unknown_selections(manifest, manifests, now) for manifest in manifests))


def _foreign_pools(checked: Sequence[Checked]) -> set[str]:
    """Pools that a checked location uses and does not declare itself."""
    found: set[str] = set()
    for manifest in (one.manifest for one in checked if one.manifest is not None):
        used = {use.pool for made in manifest.computations for use in made.pools}
        found |= used - {pool.name for pool in manifest.pools}
    return found


def _show(output: Output, one: Checked) -> None:
    if one.problems:
        count = "1 problem" if len(one.problems) == 1 else f"{len(one.problems)} problems"
        output.note(f"{clean(one.path)}: {count}", "bold red")
        output.problems(one.problems)
        for problem in one.problems:
            for line in clean(problem.traceback or "", lines=True).rstrip().splitlines():
                output.note(f"    {line}", "dim")
        return
    manifest = one.manifest
    assert manifest is not None  # without problems there is one
    external = sum(asset.computation is None for asset in manifest.assets)
    made = len(manifest.assets) - external
    told = [counted(made, "asset")] + [
        counted(count, what)
        for count, what in (
            (external, "external asset"),
            (len(manifest.checks), "check"),
            (len(manifest.jobs), "job"),
            (len(manifest.schedules), "schedule"),
            (len(manifest.sensors), "sensor"),
            (len(manifest.reactions), "reaction"),
            (len(manifest.conditions), "condition"),
        )
        if count
    ]
    environment = f"Python {manifest.environment.python}" if manifest.environment.python else "its interpreter"
    output.line(f"{clean(one.path)}: team {manifest.team}, {', '.join(told)}, loaded with {environment}: ok", "green")
    if not manifest.assets:
        return
    with_policy = any(asset.freshness for asset in manifest.assets)
    rows = (
        (
            asset.key,
            (asset.computation and asset.group) or "external",
            *([policy_text(asset.freshness) if asset.freshness else ""] if with_policy else []),
            (asset.source and f"{asset.source.file}:{asset.source.line}") or "",
            asset.description.partition("\n")[0][:60],
        )
        for asset in manifest.assets
    )
    output.table(("asset", "group", *(["should be"] if with_policy else []), "code", "description"), rows)
