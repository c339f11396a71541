"""Cycles in a graph of what depends on what."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping


def cycles_of(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Cycles of a graph (node → what it depends on), each from a node back to it, no node in two of them."""
    left = {node: set(upstream) for node, upstream in graph.items()}
    cycles: list[list[str]] = []
    while True:
        try:
            graphlib.TopologicalSorter(left).prepare()
            return cycles
        except graphlib.CycleError as error:
            cycle: list[str] = error.args[1]
            cycles.append(cycle)
            left = {node: upstream - set(cycle) for node, upstream in left.items() if node not in cycle}
