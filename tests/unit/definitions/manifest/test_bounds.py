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
from hedgerow.manifest.model import (
    Asset,
    CustomCondition,
    Dependency,
    Job,
    KeyLimit,
    Manifest,
    Pool,
    PoolUse,
    Queue,
    Reaction,
    Retry,
    Schedule,
    Sensor,
    Source,
)
from hedgerow.partitions.model import All, ByDim, Keys, Last, Window


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


def makes(**more: Any) -> Manifest:
    return manifest("sales", asset("x", **more))


def reads(mapping: Any) -> Manifest:
    return manifest("sales", asset("x", Dependency("up", mapping=mapping)))


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        (makes(timeout_ms=0), "timeout"),
        (makes(timeout_ms=10**30), "timeout"),
        (makes(retry=Retry(-1)), "tried again -1 times"),
        (makes(retry=Retry(2**63)), "tried again over 10^18 times"),
        (makes(retry=Retry(1, delay_ms=-1)), "between retries"),
        (makes(retry=Retry(1, delay_ms=1 << 60)), "between retries"),
        (makes(retry=Retry(1, max_delay_ms=10**30)), "between retries"),
        (makes(max_partitions_per_run=0), "0 partitions in one run"),
        (makes(max_partitions_per_run=10**7), "10,000,000 partitions in one run"),
        (reads(Window(-(10**30), 0)), "mapping.window(below -10^18, 0)"),
        (reads(Window(1, -1)), "backwards"),
        (reads(Window(0, 10_001)), "mapping.window(0, 10,001)"),
        (reads(Last(0)), "mapping.last(0)"),
        (reads(ByDim((("day", All()), ("key", Last(-1))))), "mapping.last(-1)"),
        (reads(Keys(tuple((f"k{n}", ("a",) * 100) for n in range(1_000)))), "101,000 keys in mapping.keys"),
        (manifest("sales", conditions=(CustomCondition("c", every_ms=10**30),)), "interval"),
        (manifest("sales", conditions=(CustomCondition("c", timeout_ms=-1),)), "timeout of -1 ms"),
        (manifest("sales", reactions=(Reaction("r", (), timeout_ms=2**53),)), "timeout of"),
        (manifest("sales", reactions=(Reaction("r", (), retry=Retry(1, delay_ms=-(2**63))),)), "between retries"),
        (manifest("sales", reactions=(Reaction("r", (), retry=Retry(21)),)), "told up to 21 times"),
        (manifest("sales", reactions=(Reaction("r", (), "x," * 20_001),)), "selection of 40,002 characters"),
        (manifest("sales", jobs=(Job("j", "x" * 40_001),)), "selection of 40,001 characters"),
        (manifest("sales", sensors=(Sensor("s", "x" * 40_001),)), "selection of 40,001 characters"),
        (manifest("sales", jobs=(Job("j", "x", tags={str(n): "v" for n in range(51)}),)), "51 tags"),
    ],
)
def test_numbers_that_no_declaration_in_python_gives_are_told(declared: Manifest, says: str) -> None:
    (problem,) = excess(declared, 0)
    assert problem.code == "HR-D025"
    assert says in problem.message
    assert problem.remedy


def test_what_people_write_is_within_the_bounds() -> None:
    assert (
        excess(makes(timeout_ms=86_400_000, retry=Retry(20, 1, max_delay_ms=1), max_partitions_per_run=10_000), 0) == ()
    )
    assert excess(reads(ByDim((("day", Window(-8_760, 0)), ("key", Last(10_000))))), 0) == ()
