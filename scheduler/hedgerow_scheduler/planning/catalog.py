"""The catalog: one immutable picture of all manifests in force, indexed for planning."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import cached_property
from types import MappingProxyType
from typing import TypeAlias

import msgspec

from hedgerow.errors import Problem
from hedgerow.identifiers import is_asset_key, is_name
from hedgerow.manifest.model import (
    Asset,
    Check,
    Computation,
    Dependency,
    Job,
    Manifest,
    Pool,
    Queue,
    Reaction,
    Schedule,
    Sensor,
)
from hedgerow.partitions.model import ByDim, Window
from hedgerow_scheduler.lifecycle.judging import judging_name

Place: TypeAlias = tuple[str, str]  # team and location


class CatalogAsset(msgspec.Struct, frozen=True):
    """An asset with the code location it belongs to; `computation` is None when it is external."""

    definition: Asset
    team: str
    location: str
    computation: Computation | None
    checks: tuple[Check, ...]

    @property
    def key(self) -> str:
        """The asset's key, unique in the deployment."""
        return self.definition.key

    def judging(self, after_step: bool) -> tuple[Check, ...]:
        """The checks that a judging step of it runs: one that stands `after_step`, or one by itself."""
        return tuple(check for check in self.checks if check.own_step or not after_step)


class PublishedManifest(msgspec.Struct, frozen=True, dict=True):
    """A manifest with its hash."""

    hash: str
    manifest: Manifest

    @cached_property
    def computations(self) -> Mapping[str, Computation]:
        """Its computations by name, among them those that judge."""
        own = {computation.name: computation for computation in self.manifest.computations}
        makers = {key: computation for computation in own.values() for key in computation.assets}
        checked = {check.asset: makers[check.asset] for check in self.manifest.checks if check.asset in makers}
        return own | {judging_name(key): _judging(key, maker) for key, maker in checked.items()}

    @cached_property
    def judged_later(self) -> frozenset[str]:
        """Its assets that have a blocking check as a step of its own."""
        return frozenset(check.asset for check in self.manifest.checks if check.own_step and check.blocking)

    @cached_property
    def compared(self) -> frozenset[str]:
        """The assets of which a check asks for the former columns."""
        return frozenset(check.asset for check in self.manifest.checks if check.former_columns)

    @cached_property
    def queues(self) -> Mapping[str, Queue]:
        """Its queues by name."""
        return {queue.name: queue for queue in self.manifest.queues}


def _judging(asset: str, maker: Computation) -> Computation:
    """Judging an asset takes what making it takes, and reads nothing else."""
    return msgspec.structs.replace(
        maker,
        name=judging_name(asset),
        assets=(asset,),
        deps=(),
        subset=False,
        config_schema=None,
        skip_unchanged=False,
    )


class Catalog:
    """All that is declared in the deployment. Built anew or from the one before, read by everyone, never altered."""

    def __init__(self, published: Iterable[PublishedManifest] = ()) -> None:
        by_place = {(entry.manifest.team, entry.manifest.location): entry for entry in published}
        assets: dict[str, CatalogAsset] = {}
        computations: dict[str, Computation] = {}
        home: dict[str, Place] = {}
        self._is_contested = False
        """Whether something is declared twice; manifests that would do so are refused, but what was stored may be anything."""
        for place, entry in sorted(by_place.items()):
            for key, asset in _assets_of(place, entry.manifest).items():
                self._is_contested |= assets.setdefault(key, asset) is not asset
            for computation in entry.manifest.computations:
                self._is_contested |= computations.setdefault(computation.name, computation) is not computation
                home.setdefault(computation.name, place)
        self._take(by_place, assets, computations, home)
        downstream: dict[str, list[str]] = defaultdict(list)
        for key in sorted(assets):
            for upstream in self.upstream(key):
                downstream[upstream].append(key)
        self._downstream = {key: tuple(keys) for key, keys in downstream.items()}

    def _take(
        self,
        by_place: Mapping[Place, PublishedManifest],
        assets: dict[str, CatalogAsset],
        computations: dict[str, Computation],
        home: dict[str, Place],
    ) -> None:
        self.published: Mapping[Place, PublishedManifest] = MappingProxyType(by_place)
        self._assets, self._computations = assets, computations
        self.assets: Mapping[str, CatalogAsset] = MappingProxyType(assets)
        self.computations: Mapping[str, Computation] = MappingProxyType(computations)
        self._home = home
        jobs: dict[str, Job] = {}
        for (team, _), entry in sorted(by_place.items()):
            for job in entry.manifest.jobs:
                jobs[job.name if job.name not in jobs else f"{team}/{job.name}"] = job
                jobs[f"{team}/{job.name}"] = job
        self.jobs: Mapping[str, Job] = MappingProxyType(jobs)

    def home(self, computation: str) -> tuple[str, str]:
        """The (team, location) that declares a computation; KeyError when no one does."""
        return self._home[computation]

    def dependencies(self, key: str) -> tuple[Dependency, ...]:
        """The edges of an asset's computation, without those to assets that the same step makes; none when nobody declares it."""
        asset = self._assets.get(key)
        if asset is None or asset.computation is None:
            return ()
        own, deps = asset.computation.assets, asset.computation.deps
        for dep in deps:
            if dep.key in own:
                return tuple(dep for dep in deps if dep.key not in own or looks_back(dep))
        return deps

    def upstream(self, key: str) -> tuple[str, ...]:
        """The keys an asset is made from, itself left out, sorted; keys nobody declares are among them."""
        found = {dep.key for dep in self.dependencies(key)}
        found.discard(key)
        return tuple(sorted(found)) if len(found) > 1 else tuple(found)

    def downstream(self, key: str) -> tuple[str, ...]:
        """The keys made from an asset, sorted."""
        return self._downstream.get(key, ())

    def unresolved(self, computation: Computation) -> tuple[str, ...]:
        """Upstream keys that no manifest in force declares (optional ones left out)."""
        return tuple(dep.key for dep in computation.deps if not dep.optional and dep.key not in self.assets)

    def manifest_hash(self, team: str, location: str) -> str | None:
        """The hash of the manifest in force, None when there is none."""
        entry = self.published.get((team, location))
        return entry.hash if entry else None

    def queue(self, team: str, location: str, name: str) -> Queue:
        """A queue with its declared limits; one that is not declared has none."""
        entry = self.published.get((team, location))
        known = entry.queues.get(name) if entry else None
        return known or Queue(name)

    def pool(self, name: str) -> Pool | None:
        """A declared pool, None when no one declares it."""
        for entry in self.published.values():
            for pool in entry.manifest.pools:
                if pool.name == name:
                    return pool
        return None

    def replacing(self, published: PublishedManifest) -> Catalog:
        """The catalog with this manifest in place of the location's former one, at a cost that follows the manifest. What is
        declared as before is the same object as before.
        """
        place = (published.manifest.team, published.manifest.location)
        former = self.published.get(place)
        before = {each.key: self.assets[each.key] for each in former.manifest.assets} if former else {}
        after = {
            key: before[key] if before.get(key) == asset else asset
            for key, asset in _assets_of(place, published.manifest).items()
        }
        by_place = {**self.published, place: published}
        if self._is_contested or any(key in self._assets and key not in before for key in after):
            return Catalog(by_place.values())
        assets = self._assets | after
        for key in before.keys() - after.keys():
            del assets[key]
        computations, home = dict(self._computations), dict(self._home)
        for computation in former.manifest.computations if former else ():
            del computations[computation.name], home[computation.name]
        computations |= {each.name: each for each in published.manifest.computations}
        home |= dict.fromkeys((each.name for each in published.manifest.computations), place)
        found = Catalog.__new__(Catalog)
        found._is_contested = False
        found._take(by_place, assets, computations, home)
        found._downstream = found._edges_after(self, before.keys(), after.keys())
        return found

    def changed_since(self, former: Catalog) -> Set[str]:
        """The keys of the assets that are declared otherwise than in the `former` catalog, or in one of both only, at a cost that follows the
        manifests that differ.
        """
        if self._is_contested or former._is_contested:
            return {key for key in self._assets.keys() | former._assets.keys() if not self._is_as_in(former, key)}
        found: set[str] = set()
        for place in self.published.keys() | former.published.keys():
            both = (self.published.get(place), former.published.get(place))
            if both[0] is not both[1]:
                keys = {asset.key for each in both if each is not None for asset in each.manifest.assets}
                found.update(key for key in keys if not self._is_as_in(former, key))
        return found

    def _is_as_in(self, former: Catalog, key: str) -> bool:
        return self._assets.get(key) is former._assets.get(key)

    def _edges_after(self, former: Catalog, before: Set[str], after: Set[str]) -> dict[str, tuple[str, ...]]:
        """Who is made from what, where only these assets are others than in the `former` catalog."""
        fresh: dict[str, set[str]] = defaultdict(set)
        for key in before:
            for upstream in former.upstream(key):
                fresh.setdefault(upstream, set())
        for key in after:
            for upstream in self.upstream(key):
                fresh[upstream].add(key)
        edges = dict(former._downstream)
        for upstream, keys in fresh.items():
            edges[upstream] = tuple(sorted({*keys, *(key for key in edges.get(upstream, ()) if key not in before)}))
            if not edges[upstream]:
                del edges[upstream]
        return edges


def _assets_of(place: Place, manifest: Manifest) -> dict[str, CatalogAsset]:
    checks: dict[str, list[Check]] = defaultdict(list)
    for check in manifest.checks:
        checks[check.asset].append(check)
    own = {computation.name: computation for computation in manifest.computations}
    return {
        asset.key: CatalogAsset(
            asset, *place, own.get(asset.computation) if asset.computation else None, tuple(checks.get(asset.key, ()))
        )
        for asset in manifest.assets
    }


def looks_back(dep: Dependency) -> bool:
    """Whether the edge reads earlier partitions only, as an asset may do of itself."""
    mappings = [one for _, one in dep.mapping.pairs] if isinstance(dep.mapping, ByDim) else [dep.mapping]
    return any(isinstance(one, Window) and one.end < 0 for one in mappings)


def refusals(
    catalog: Catalog, candidate: Manifest, owners: Mapping[str, Place], after: Catalog | None = None
) -> tuple[Problem, ...]:
    """Why a manifest can't come into force beside the others: a key that belongs to someone else, or a cycle it would close.

    `owners` maps every key ever published to its (team, location); `after` is the catalog with the manifest, if it is known already.
    An empty result means it may come into force.
    """
    problems = list(_bad_names(candidate))
    mine = (candidate.team, candidate.location)
    for asset in candidate.assets:
        owner = owners.get(asset.key, mine)
        declared = catalog.assets.get(asset.key)
        moved = owner[0] == mine[0] and (declared is None or (declared.team, declared.location) == mine)
        if owner != mine and not moved:
            problems.append(
                Problem(
                    "HR-Q010",
                    f"Asset '{asset.key}' belongs to team '{owner[0]}' (location '{owner[1]}'), which published it first.",
                    "Choose another key, or read that asset as an upstream instead of declaring it.",
                    asset.source.file if asset.source else None,
                    asset.source.line if asset.source else None,
                )
            )
    problems += _taken_launchers(catalog, candidate)
    if problems:
        return tuple(problems)
    after = after or catalog.replacing(PublishedManifest("", candidate))
    cycle = find_cycle(after, (each.name for each in candidate.computations))
    if cycle:
        problems.append(
            Problem(
                "HR-Q011",
                f"Location '{candidate.location}' of team '{candidate.team}' closes a cycle: {' -> '.join(cycle)}.",
                "Remove one of these dependencies; the last good manifest stays in force until then.",
            )
        )
    return tuple(problems)


def _taken_launchers(catalog: Catalog, candidate: Manifest) -> Iterable[Problem]:
    """Schedules, sensors and reactions that another location of the team declares: `team/name` is what people call them, and what pauses hold."""
    others = {
        (type(one), one.name): location
        for (team, location), published in catalog.published.items()
        if team == candidate.team and location != candidate.location
        for one in _launchers(published.manifest)
    }
    for one in _launchers(candidate):
        if (location := others.get((type(one), one.name))) is not None:
            yield Problem(
                "HR-Q016",
                f"{type(one).__name__} '{one.name}' is declared by location '{location}' of team '{candidate.team}' already.",
                'Give one of them another name: name="...".',
                one.source.file if one.source else None,
                one.source.line if one.source else None,
            )


def _launchers(manifest: Manifest) -> tuple[Schedule | Sensor | Reaction, ...]:
    return (*manifest.schedules, *manifest.sensors, *manifest.reactions)


def _bad_names(manifest: Manifest) -> Iterable[Problem]:
    """Names that a well-behaved worker never sends: they become parts of paths, keys and queues, so none may pass unseen."""
    names = [manifest.location, *(queue.name for queue in manifest.queues), *(pool.name for pool in manifest.pools)]
    names += [job.name for job in manifest.jobs]
    names += [check.name for check in manifest.checks] + [one.name for one in manifest.conditions]
    names += [one.name for one in _launchers(manifest)]
    for computation in manifest.computations:  # very many of which have the same queue
        if computation.queue != names[-1]:
            names.append(computation.queue)
    keys = dict.fromkeys(asset.key for asset in manifest.assets)
    keys |= dict.fromkeys(computation.name for computation in manifest.computations)
    keys |= dict.fromkeys(key for computation in manifest.computations for key in computation.assets)
    bad = [name for name in dict.fromkeys(names) if not is_name(name)] + [key for key in keys if not is_asset_key(key)]
    for text in dict.fromkeys(bad):
        yield Problem(
            "HR-Q013",
            f"The manifest of location {manifest.location[:80]!r} holds the name {text[:80]!r}, which breaks the grammar of names.",
            "Use lower-case letters, digits, '_' and '-', beginning with a letter; asset keys join such names by '/'.",
        )


def find_cycle(catalog: Catalog, through: Iterable[str] | None = None) -> Sequence[str]:
    """The keys of one cycle, the first repeated at the end; empty when there is none. Steps are the nodes, not single assets. Only cycles
    through one of these computations are looked for, if any are given, at a cost that follows what they are made from.
    """
    above: dict[str, list[str]] = {}

    def made_from(name: str) -> list[str]:
        found = above.get(name)
        if found is None:
            found = above[name] = _computations_above(catalog, name)
        return found

    colour: dict[str, int] = {}
    roots = sorted(catalog.computations if through is None else through)
    for root in roots:
        computation = catalog.computations[root]
        if computation.assets == (root,) and any(dep.key == root and not looks_back(dep) for dep in computation.deps):
            return [root, root]
    for root in roots:
        if root in colour:
            continue
        path = [root]
        stack = [iter(made_from(root))]
        colour[root] = 1
        while stack:
            following = next(stack[-1], None)
            if following is None:
                colour[path.pop()] = 2
                stack.pop()
            elif colour.get(following) == 1:
                loop = path[path.index(following) :]
                return [*reversed(loop), loop[-1]]
            elif following not in colour:
                colour[following] = 1
                path.append(following)
                stack.append(iter(made_from(following)))
    return []


def _computations_above(catalog: Catalog, name: str) -> list[str]:
    """The computations that make what one is made from, itself left out, sorted."""
    own = catalog.computations[name]
    made_by = (catalog.assets[dep.key].computation for dep in own.deps if dep.key in catalog.assets)
    return sorted({each.name for each in made_by if each is not None and each.name != name})
