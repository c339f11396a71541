"""Assets with what was made of them, without a scheduler: what is current, recorded as it would be."""

from __future__ import annotations

from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.staleness import (
    Made,
    Pair,
    Status,
    closure,
    judge,
    keep_stale,
    pairs_of,
    whole_upstreams,
)
from hedgerow_scheduler.planning.versions import Versions, kept
from support.scheduling import NOW, catalog_of, external, manifest, planned
from support.scheduling import Made as Declared


class Materialized:
    """A catalog with what was made of it: `make` materializes as a scheduler would record it."""

    def __init__(self, *parts: Declared) -> None:
        self.made: dict[Pair, Made] = {}
        self.declare(*parts)

    def declare(self, *parts: Declared) -> None:
        """Other code comes into force."""
        self.catalog: Catalog = catalog_of(manifest("a", *parts, external("outside")))

    def make(self, key: str, version: str = "", partition: str = "", seq: int | None = None) -> None:
        """A materialization from what is current now; each has its own data version unless one is given."""
        (node,) = (one for one in closure(self.catalog, [(key, partition)], NOW) if one.pair == (key, partition))
        inputs: dict[str, Versions] = {}
        for edge in node.edges:
            found = {p: self.made[edge.asset, p].version for p in edge.partitions or () if (edge.asset, p) in self.made}
            inputs[edge.asset] = None if edge.partitions is None else kept(found)
        number = seq or 1 + max((one.dispatch_seq for one in self.made.values()), default=0)
        self.made[key, partition] = Made(version or f"#{number}", node.code_version, number, inputs)

    def forget_inputs(self, key: str) -> None:
        """As a materialization of before inputs were recorded."""
        old = self.made[key, ""]
        self.made[key, ""] = Made(old.version, old.code_version, old.dispatch_seq, None)

    def status(self, key: str, partition: str = "") -> Status:
        """What a partition is."""
        return self.statuses((key, partition))[key, partition]

    def statuses(self, *pairs: Pair) -> dict[Pair, Status]:
        """What these pairs are, and all above them."""
        nodes = closure(self.catalog, pairs, NOW)
        newest = {
            key: max((one.dispatch_seq for (of, _), one in self.made.items() if of == key), default=0)
            for key in whole_upstreams(nodes)
        }
        return judge(nodes, self.made, newest)

    def kept(self, *selection: str, **request: object) -> list[str]:
        """What a run of only what is stale makes."""
        steps = planned(self.catalog, *selection, **request)
        return [
            f"{step.computation}@{step.partition}" if step.partition else step.computation
            for step in keep_stale(steps, self.statuses(*pairs_of(steps))).steps
        ]
