"""Staleness: whether a partition of an asset is missing, stale or fresh, and what made it so."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec
from msgspec import structs

from hedgerow.errors import RequestError
from hedgerow_scheduler.lifecycle.judging import is_judging
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.planned import PlannedStep
from hedgerow_scheduler.planning.versions import Edge, Versions, digest, edges

MAX_COMPARED = 50_000  # about a second, during which a leader does nothing else
MAX_ROOTS = 5

# An asset and a partition, '' when it has none.
Pair: TypeAlias = tuple[str, str]
Kind: TypeAlias = Literal["code_changed", "data_changed", "dependency_added", "dependency_removed", "upstream_stale"]


class Made(msgspec.Struct, frozen=True):
    """The current materialization of a partition: its data version, that of its code, its place in the order of dispatch, and the
    versions of what it was made from; None when that is not known.
    """

    version: str
    code_version: str
    dispatch_seq: int
    inputs: Mapping[str, Versions] | None


class StaleCause(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a partition of `of` is stale. `asset` is the upstream concerned (`of` itself when its code changed), `partition` the first of
    the `partitions` concerned, `before` and `after` the versions. `roots` are what began it, of an upstream that is itself stale.
    """

    kind: Kind
    of: str
    asset: str
    partition: str = ""
    partitions: int = 1
    before: str = ""
    after: str = ""
    roots: tuple[StaleCause, ...] = ()

    def text(self, seen_from: str = "") -> str:
        """The cause in words, for someone who looks at the asset `seen_from`.

        >>> StaleCause("data_changed", "report", "orders", "2024-01-01", 3).text("report")
        "upstream 'orders' has new data (2024-01-01 and 2 more)"
        """
        where = "" if self.of == seen_from else f"'{self.of}': "
        more = f" and {self.partitions - 1:,} more" if self.partitions > 1 else ""
        some = f" ({self.partition}{more})" if self.partition else ""
        if self.kind == "code_changed":
            return f"{where}its code changed from {self.before[:12]} to {self.after[:12]}"
        if self.kind == "dependency_added":
            return f"{where}it depends on '{self.asset}' now"
        if self.kind == "dependency_removed":
            return f"{where}it no longer depends on '{self.asset}'"
        if self.kind == "data_changed" and self.before and not self.after:
            return f"{where}it no longer reads these partitions of upstream '{self.asset}'{some}"
        if self.kind == "data_changed":
            return f"{where}upstream '{self.asset}' has new data{some}"
        began = "; ".join(root.text(self.asset) for root in self.roots)
        return f"{where}upstream '{self.asset}' is stale{some}: {began}"


class Status(msgspec.Struct, frozen=True):
    """What a partition is, and why. `roots` are what began it, here or upstream, at most `MAX_ROOTS`."""

    kind: Literal["missing", "stale", "fresh"]
    causes: tuple[StaleCause, ...] = ()
    roots: tuple[StaleCause, ...] = ()

    @property
    def is_mended_by_itself(self) -> bool:
        """Whether making it anew is of use: not when it is fresh, or stale only by something upstream."""
        return self.kind == "missing" or any(cause.kind != "upstream_stale" for cause in self.causes)


class Node(msgspec.Struct, frozen=True):
    """A partition to be judged, with what it depends on."""

    pair: Pair
    code_version: str
    edges: tuple[Edge, ...]


FRESH, MISSING = Status("fresh"), Status("missing")


def closure(catalog: Catalog, pairs: Iterable[Pair], now: datetime, limit: int | None = None) -> list[Node]:
    """These partitions and all upstream ones, each after those that it depends on. External assets are passed over.

    RequestError HR-Q009 when there are over `limit`, `MAX_COMPARED` by default.
    """
    limit = MAX_COMPARED if limit is None else limit
    found: list[Node] = []
    begun: set[Pair] = set()
    for root in pairs:
        stack = list(_begin(catalog, root, begun, now, limit))
        while stack:
            node, above = stack[-1]
            upstream = next(above, None)
            if upstream is None:
                found.append(node)
                stack.pop()
            else:
                stack.extend(_begin(catalog, upstream, begun, now, limit))
    return found


def _begin(
    catalog: Catalog, pair: Pair, begun: set[Pair], now: datetime, limit: int
) -> Iterator[tuple[Node, Iterator[Pair]]]:
    """A pair that was not met before, with what is above it."""
    asset = catalog.assets.get(pair[0])
    if pair in begun or asset is None or asset.computation is None:
        return
    begun.add(pair)
    if len(begun) > limit:
        raise RequestError.of(
            "HR-Q009",
            f"What is stale can't be told of over {limit:,} partitions at once, those upstream among them.",
            "Select fewer assets, or a range of partitions.",
        )
    node = Node(pair, asset.computation.code_version, edges(catalog, asset.computation, pair[1] or None, now))
    yield node, ((edge.asset, key) for edge in node.edges for key in edge.partitions or ())


def whole_upstreams(nodes: Iterable[Node]) -> set[str]:
    """The upstream assets of which too many partitions are read to look at each."""
    return {edge.asset for node in nodes for edge in node.edges if edge.partitions is None}


def judge(nodes: Sequence[Node], made: Mapping[Pair, Made], newest: Mapping[str, int]) -> dict[Pair, Status]:
    """The status of every node, in the order in which `closure` gives them. `made` are the current materializations of their pairs,
    `newest` the last dispatch number of any current partition of the assets of `whole_upstreams`.
    """
    found: dict[Pair, Status] = {}
    for node in nodes:
        own = made.get(node.pair)
        if own is None:
            found[node.pair] = MISSING
            continue
        direct = tuple(_direct(node, own, made, newest))
        inherited = tuple(_inherited(node, found))
        if not direct and not inherited:
            found[node.pair] = FRESH
            continue
        roots = dict.fromkeys((*direct, *(root for cause in inherited for root in cause.roots)))
        found[node.pair] = Status("stale", (*direct, *inherited), tuple(roots)[:MAX_ROOTS])
    return found


def _direct(node: Node, own: Made, made: Mapping[Pair, Made], newest: Mapping[str, int]) -> Iterator[StaleCause]:
    """The causes that began with this node: its code, its dependencies, their data."""
    asset = node.pair[0]
    if own.code_version and node.code_version and own.code_version != node.code_version:
        yield StaleCause("code_changed", asset, asset, before=own.code_version, after=node.code_version)
    for edge in node.edges:
        if own.inputs is not None and edge.asset not in own.inputs:
            yield StaleCause("dependency_added", asset, edge.asset)
            continue
        recorded = own.inputs[edge.asset] if own.inputs is not None else None
        if edge.partitions is None:
            if newest.get(edge.asset, 0) > own.dispatch_seq:
                yield StaleCause("data_changed", asset, edge.asset)
            continue
        there = {key: found for key in edge.partitions if (found := made.get((edge.asset, key))) is not None}
        changed = _changed(edge, recorded, there, own.dispatch_seq)
        if changed:
            before = recorded.get(changed[0], "") if isinstance(recorded, dict) else ""
            after = there[changed[0]].version if changed[0] in there else ""
            yield StaleCause("data_changed", asset, edge.asset, changed[0], len(changed), before, after)
    if own.inputs is not None:
        known = {edge.asset for edge in node.edges}
        for upstream in own.inputs:
            if upstream not in known:
                yield StaleCause("dependency_removed", asset, upstream)


def _changed(edge: Edge, recorded: Versions, there: Mapping[str, Made], dispatch_seq: int) -> list[str]:
    """The partitions of an upstream that are not what they were when this was made from them."""
    if isinstance(recorded, dict):
        changed = [key for key, found in there.items() if recorded.get(key) != found.version]
        if edge.fixed:  # other ones are asked for now
            changed += [key for key in recorded if key not in edge.partitions] if edge.partitions is not None else []
        return changed
    later = [key for key, found in there.items() if found.dispatch_seq > dispatch_seq]
    if isinstance(recorded, str) and recorded == digest({key: found.version for key, found in there.items()}):
        return []
    return later if recorded is None else later or list(edge.partitions or ())[:1]


def _inherited(node: Node, above: Mapping[Pair, Status]) -> Iterator[StaleCause]:
    """One cause for each upstream asset of which some partition is stale itself."""
    for edge in node.edges:
        stale = [key for key in edge.partitions or () if above.get((edge.asset, key), FRESH).kind == "stale"]
        if stale:
            roots = dict.fromkeys(root for key in stale for root in above[edge.asset, key].roots)
            yield StaleCause(
                "upstream_stale", node.pair[0], edge.asset, stale[0], len(stale), roots=tuple(roots)[:MAX_ROOTS]
            )


class StalePlan(msgspec.Struct, frozen=True):
    """The steps that make something fresh, numbered anew, and how many others are stale only by what is upstream of the run."""

    steps: tuple[PlannedStep, ...]
    stale_by_upstream: int


def pairs_of(steps: Iterable[PlannedStep]) -> Iterator[Pair]:
    """What steps make."""
    return ((asset, step.partition or "") for step in steps for asset in step.assets)


def keep_stale(steps: Sequence[PlannedStep], statuses: Mapping[Pair, Status]) -> StalePlan:
    """Of a plan the steps of which something is missing or stale, and those that become stale because a step above them is kept.

    One that is stale only by an upstream which the run does not make anew is left out: it would be made from the same again.
    """
    numbers: dict[int, int] = {}
    kept: list[PlannedStep] = []
    only_by_upstream = 0
    for step in steps:
        if is_judging(step.computation):
            if step.upstream[0] in numbers:
                numbers[step.number] = len(kept)
                kept.append(structs.replace(step, number=len(kept), upstream=(numbers[step.upstream[0]],)))
            continue
        found = [statuses.get(pair, MISSING) for pair in pairs_of((step,))]
        above = tuple(numbers[number] for number in step.upstream if number in numbers)
        if above or any(status.is_mended_by_itself for status in found):
            numbers[step.number] = len(kept)
            kept.append(structs.replace(step, number=len(kept), upstream=above))
        elif any(status.kind == "stale" for status in found):
            only_by_upstream += 1
    return StalePlan(tuple(kept), only_by_upstream)


def counts(statuses: Collection[Status]) -> dict[str, int]:
    """How many are missing, stale and fresh."""
    kinds = [status.kind for status in statuses]
    return {kind: kinds.count(kind) for kind in ("missing", "stale", "fresh")}
