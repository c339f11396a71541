"""Bounds of what one location may declare."""

from __future__ import annotations

from typing import Any

import pytest
from support.scheduling import asset, manifest, multi

from hedgerow.manifest.bounds import (
    MAX_ASSETS,
    MAX_MANIFEST_BYTES,
    MAX_POOLS,
    MAX_QUEUES,
    MAX_SCHEDULES,
    MAX_STEP_ASSETS,
    MAX_STEP_DEPENDENCIES,
    MAX_STEP_LIMITS,
    MAX_STEP_POOLS,
    excess,
)
from hedgerow.manifest.model import Asset, KeyLimit, Manifest, Pool, PoolUse, Queue, Schedule, Source


def named(count: int) -> tuple[str, ...]:
    return tuple(f"n{number}" for number in range(count))


def declares(what: str, count: int) -> Manifest:
    """A location that declares so many of one thing."""
    source = Source("sales.py", 7, "sales", "x")
    location: dict[str, Any] = {
        "queues": {"queues": tuple(map(Queue, named(count)))},
        "pools": {"pools": tuple(map(Pool, named(count)))},
        "schedules": {"schedules": tuple(Schedule(name, "*", "0 6 * * *") for name in named(count))},
    }
    if what == "assets":
        return manifest("sales", *map(Asset, named(count)))
    if what in location:
        return manifest("sales", **location[what])
    step: dict[str, Any] = {
        "step pools": {"pools": tuple(map(PoolUse, named(count)))},
        "step limits": {"limits": tuple(KeyLimit(name, "partition", 1) for name in named(count))},
    }
    if what == "step assets":
        return manifest("sales", multi(named(count), source=source))
    deps = named(count) if what == "step dependencies" else ()
    return manifest("sales", asset("x", *deps, source=source, **step.get(what, {})))


@pytest.mark.parametrize(
    ("what", "most", "says"),
    [
        ("assets", MAX_ASSETS, "Location 'sales' has 10,001 assets; it may have 10,000."),
        ("queues", MAX_QUEUES, "Location 'sales' has 1,001 queues; it may have 1,000."),
        ("pools", MAX_POOLS, "Location 'sales' has 1,001 pools; it may have 1,000."),
        ("schedules", MAX_SCHEDULES, "Location 'sales' has 1,001 schedules; it may have 1,000."),
        ("step assets", MAX_STEP_ASSETS, "Asset 'n0' has 1,001 assets in one step; it may have 1,000."),
        ("step dependencies", MAX_STEP_DEPENDENCIES, "Asset 'x' has 1,001 dependencies; it may have 1,000."),
        ("step pools", MAX_STEP_POOLS, "Asset 'x' has 33 pools; it may have 32."),
        ("step limits", MAX_STEP_LIMITS, "Asset 'x' has 17 limits; it may have 16."),
    ],
)
def test_more_than_a_location_may_declare_is_told_with_the_bound_and_a_way_out(what: str, most: int, says: str) -> None:
    assert excess(declares(what, most), 0) == ()
    (problem,) = excess(declares(what, most + 1), 0)
    assert (problem.code, problem.message) == ("HR-D025", says)
    assert problem.remedy
    assert (problem.file, problem.line) == (("sales.py", 7) if what.startswith("step") else (None, None))


def test_a_manifest_may_be_so_large_and_no_larger() -> None:
    assert excess(manifest("sales"), MAX_MANIFEST_BYTES) == ()
    (problem,) = excess(manifest("sales"), MAX_MANIFEST_BYTES + 2**20)
    assert problem.message == "Location 'sales' has a manifest of 17 MiB; it may have 16 MiB."
    assert excess(manifest("sales"), 10**400)  # whatever a stranger says of it
