"""What is declared, as automation needs it: each asset's program, what it is made from, and who watches whom."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from hedgerow.conditions.model import Condition
from hedgerow.errors import RequestError
from hedgerow.partitions.model import Partitions
from hedgerow_scheduler.automation.program import Program
from hedgerow_scheduler.partitions.crossing import Crossing
from hedgerow_scheduler.partitions.spaces import space_of
from hedgerow_scheduler.planning.catalog import Catalog


class Automated:
    """An asset with a condition. `deps` are its upstream assets with the way to their partitions; `rank` is higher than theirs, `digest` tells its
    condition and partitions from others, over restarts.
    """

    __slots__ = ("deps", "digest", "key", "program", "rank", "team")

    def __init__(
        self,
        key: str,
        team: str,
        program: Program,
        deps: Sequence[tuple[str, Crossing]],
        rank: int,
        partitions: Partitions | None,
    ) -> None:
        self.key, self.team, self.program, self.deps, self.rank = key, team, program, deps, rank
        self.digest = f"{program.digest}:{_digest(partitions)}"

    def asks_as(self, other: Automated | None) -> bool:
        """Whether the other one's answers hold for this one too."""
        return other is not None and self.digest == other.digest and list(self.deps) == list(other.deps)


class Declared:
    """All assets with a condition, by key, and for each upstream key those that look at it with the way from it. Programs and crossings
    are shared by equal ones, also with the `former` picture.
    """

    def __init__(self, catalog: Catalog, former: Declared | None = None) -> None:
        self._programs: dict[Condition, Program] = former._programs if former else {}
        self._crossings: dict[object, Crossing] = former._crossings if former else {}
        self.automated: dict[str, Automated] = {}
        self.watchers: dict[str, list[tuple[Automated, Crossing]]] = defaultdict(list)
        self.problems: dict[str, str] = {}
        ranks = ranks_of(catalog)
        for key, asset in catalog.assets.items():
            condition = asset.definition.automation
            if condition is None or asset.computation is None:
                continue
            try:
                space_of(asset.definition.partitions)
                deps = self._deps(catalog, key)
                program = self._programs.get(condition)
                if program is None:
                    program = self._programs[condition] = Program(condition)
            except (RequestError, RecursionError) as error:  # of this asset alone
                self.problems[key] = (
                    error.problems[0].message if isinstance(error, RequestError) else "It is nested too deeply."
                )
                continue
            found = self.automated[key] = Automated(
                key, asset.team, program, deps, ranks.get(key, 0), asset.definition.partitions
            )
            for upstream, crossing in deps:
                self.watchers[upstream].append((found, crossing))

    def asks(self, key: str, kind: type) -> bool:
        """Whether a condition with operands of this kind is an asset's own, or looks at it."""
        own = self.automated.get(key)
        if own is not None and kind in own.program.kinds:
            return True
        return any(kind in each.program.kinds for each, _ in self.watchers.get(key, ()))

    def _deps(self, catalog: Catalog, key: str) -> list[tuple[str, Crossing]]:
        downstream = catalog.assets[key].definition.partitions
        deps = []
        for dep in catalog.dependencies(key):
            if dep.key == key:
                continue
            asset = catalog.assets.get(dep.key)
            upstream = asset.definition.partitions if asset else None
            mapping = dep.mapping if asset else None
            alike = (mapping, id(space_of(downstream)), id(space_of(upstream)))
            crossing = self._crossings.get(alike)
            if crossing is None:
                crossing = self._crossings[alike] = Crossing(mapping, downstream, upstream)
            deps.append((dep.key, crossing))
        return deps


def _digest(partitions: Partitions | None) -> str:
    return "" if partitions is None else hashlib.sha256(msgspec.json.encode(partitions)).hexdigest()[:16]


def ranks_of(catalog: Catalog) -> Mapping[str, int]:
    """For each asset a number that is higher than those of everything upstream. There are no cycles: manifests that close one are refused."""
    above = {key: [each for each in catalog.upstream(key) if each in catalog.assets] for key in catalog.assets}
    left = {key: len(keys) for key, keys in above.items()}
    ranks: dict[str, int] = {}
    ready: Iterable[str] = [key for key, count in left.items() if not count]
    rank = 0
    while ready:
        freed = []
        for key in ready:
            ranks[key] = rank
            for below in catalog.downstream(key):
                left[below] -= 1
                if not left[below]:
                    freed.append(below)
        ready, rank = freed, rank + 1
    return ranks
