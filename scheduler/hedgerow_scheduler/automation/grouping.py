"""Grouping: what a turn requests, as runs. What is made of each other is made in one run, so that it waits in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pyroaring import BitMap

from hedgerow_scheduler.automation.turns import Known
from hedgerow_scheduler.planning.catalog import Catalog

Requests = Mapping[str, tuple[str | None, ...]]
T = TypeVar("T")


def runs_of(catalog: Catalog, requests: Mapping[str, T]) -> Sequence[Mapping[str, T]]:
    """The requests (partitions by asset) in groups that share neither an asset nor a dependency nor a step, in order of their first asset."""
    leader = {key: key for key in requests}

    def find(key: str) -> str:
        while leader[key] != key:
            leader[key] = leader[leader[key]]
            key = leader[key]
        return key

    def join(one: str, other: str) -> None:
        first, second = sorted((find(one), find(other)))
        leader[second] = first

    by_computation: dict[str, str] = {}
    for key in sorted(requests):
        for upstream in catalog.upstream(key):
            if upstream in leader:
                join(key, upstream)
        computation = catalog.assets[key].computation
        if computation is not None:
            join(key, by_computation.setdefault(computation.name, key))
    groups: dict[str, dict[str, T]] = {}
    for key in sorted(requests):
        groups.setdefault(find(key), {})[key] = requests[key]
    return list(groups.values())


def named(known: Known, requests: Mapping[str, BitMap]) -> Requests:
    """Requests by their numbers, as the keys of the partitions."""
    return {key: tuple(known.facts[key].space.key(each) for each in which) for key, which in requests.items()}
