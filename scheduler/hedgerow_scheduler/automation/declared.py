"""What is declared, as automation needs it: each asset's program, what it is made from, and who watches whom."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence, Set

import msgspec

from hedgerow.conditions.model import Condition
from hedgerow.errors import RequestError
from hedgerow.partitions.model import Partitions
from hedgerow_scheduler.automation.program import Program
from hedgerow_scheduler.partitions.crossing import Crossing
from hedgerow_scheduler.partitions.spaces import Space, space_of
from hedgerow_scheduler.planning.catalog import Catalog

log = logging.getLogger("hedgerow.automation")
KEPT_UNUSED = 10_000
PAUSE_EACH = 25  # assets: a millisecond of work, and some more for large conditions


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
    are shared by equal ones, also with the former picture. `touched` are the assets of which something is other than in that one.
    """

    def __init__(self) -> None:
        self.catalog = Catalog()
        self._programs: dict[Condition, Program] = {}
        self._crossings: dict[object, Crossing] = {}
        self._ranks: dict[str, int] = {}
        self.automated: dict[str, Automated] = {}
        self.watchers: dict[str, tuple[tuple[Automated, Crossing], ...]] = {}
        self.problems: dict[str, str] = {}
        self.touched: Set[str] = frozenset()

    def after(self, catalog: Catalog) -> Generator[None, None, Declared]:
        """The picture of another catalog, made from this one at a cost that follows what is different there. Pauses now and then, so
        that whoever waits for it can do something else in between; this one stays as it is.
        """
        assets, changed = catalog.assets, catalog.changed_since(self.catalog)
        yield
        found = Declared()
        found.catalog, found._programs, found._crossings = catalog, self._programs, self._crossings
        found._ranks, reranked = yield from _ranks_after(self._ranks, catalog, changed)
        found.automated, found.watchers, found.problems = dict(self.automated), dict(self.watchers), dict(self.problems)
        below = {key for each in changed for key in catalog.downstream(each)}
        moved = {
            key for key in reranked if key in self.automated and found._ranks.get(key, 0) != self.automated[key].rank
        }
        fresh: dict[str, list[tuple[Automated, Crossing]]] = defaultdict(list)
        made = changed | below | moved
        yield
        for key in made:
            found.automated.pop(key, None)
            found.problems.pop(key, None)
        for number, key in enumerate(sorted(key for key in made if key in assets)):
            if (automated := found._made(key)) is not None:
                found.automated[key] = automated
                for upstream, crossing in automated.deps:
                    fresh[upstream].append((automated, crossing))
            if number % PAUSE_EACH == 0:
                yield
        before = [self.automated[key] for key in made if key in self.automated]
        looked_at = fresh.keys() | {key for each in before for key, _ in each.deps}
        for number, key in enumerate(looked_at):
            kept = (pair for pair in self.watchers.get(key, ()) if pair[0].key not in made)
            found.watchers[key] = (*kept, *fresh.get(key, ()))
            if not found.watchers[key]:
                del found.watchers[key]
            if number % PAUSE_EACH == 0:
                yield
        found.touched = made | looked_at
        found._forget_unused()
        return found

    def _forget_unused(self) -> None:
        """Programs and crossings of conditions that are gone go as well, once they are more than those in use."""
        if len(self._programs) + len(self._crossings) > 2 * len(self.automated) + KEPT_UNUSED:
            used = {id(crossing) for each in self.automated.values() for _, crossing in each.deps}
            self._crossings = {alike: each for alike, each in self._crossings.items() if id(each) in used}
            self._programs = {each.program.condition: each.program for each in self.automated.values()}

    @classmethod
    def only(cls, catalog: Catalog, key: str) -> Automated | None:
        """One asset of a catalog with its condition, unranked; None when it has none, or when that can't be asked."""
        found = cls()
        found.catalog = catalog
        return found._made(key)

    def _made(self, key: str) -> Automated | None:
        """An asset with its condition; None when it has none, or when that can't be asked: then its problem is noted."""
        asset = self.catalog.assets.get(key)
        condition = asset.definition.automation if asset else None
        if asset is None or condition is None or asset.computation is None:
            return None
        try:
            _check_room(space_of(asset.definition.partitions))
            deps = self._deps(self.catalog, key)
            program = self._programs.get(condition)
            if program is None:
                program = self._programs[condition] = Program(condition)
        except RequestError as error:  # of this asset alone, as everything else
            self.problems[key] = error.problems[0].message
            return None
        except RecursionError:
            self.problems[key] = "It is nested too deeply."
            return None
        except Exception as error:  # a defect
            log.exception("the condition of %s can't be taken up", key)
            self.problems[key] = f"It can't be taken up: {error!r}"
            return None
        return Automated(key, asset.team, program, deps, self._ranks.get(key, 0), asset.definition.partitions)

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


def _check_room(space: Space) -> None:
    """RequestError HR-Q106 when a set has more keys than there are numbers for; it takes no more, but it may have had more before."""
    for keys, size in space.room():
        if keys.numbered > size:
            raise RequestError.of(
                "HR-Q106",
                f"The set '{keys.name}' has had {keys.numbered:,} keys, and beside the other dimensions there is room for {size:,}.",
                "Partition more coarsely, or give the dimensions of time an end.",
            )


def _digest(partitions: Partitions | None) -> str:
    return "" if partitions is None else hashlib.sha256(msgspec.json.encode(partitions)).hexdigest()[:16]


def _ranks_after(
    before: Mapping[str, int], catalog: Catalog, changed: Set[str]
) -> Generator[None, None, tuple[dict[str, int], Set[str]]]:
    """For each asset a number that is higher than those of everything upstream, of a catalog in which only the `changed` assets are others
    than those that have the ranks `before`; and the assets of which it may be another one. There are no cycles: manifests that close one
    are refused.
    """
    ranks = dict(before)
    affected = {key for key in changed if key in catalog.assets}
    for key in changed:
        ranks.pop(key, None)
    edge = [below for key in changed for below in catalog.downstream(key)]
    while edge:
        key = edge.pop()
        if key not in affected:
            affected.add(key)
            edge.extend(catalog.downstream(key))
    left: dict[str, int] = {}
    ready = []
    for number, key in enumerate(affected):
        left[key] = sum(above in affected for above in catalog.upstream(key))
        if not left[key]:
            ready.append(key)
        if number % PAUSE_EACH == 0:
            yield
    for number in range(len(affected)):
        key = ready.pop()
        ranks[key] = max((ranks[above] + 1 for above in catalog.upstream(key) if above in catalog.assets), default=0)
        for below in catalog.downstream(key):
            left[below] -= 1
            if not left[below]:
                ready.append(below)
        if number % PAUSE_EACH == 0:
            yield
    return ranks, affected
