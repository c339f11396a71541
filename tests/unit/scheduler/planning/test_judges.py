"""Judging steps in a plan: which there are, and what waits for them."""

from __future__ import annotations

from typing import Any

import pytest
from support.scheduling import asset, catalog_of, manifest, multi, planned
from unit.scheduler.planning.test_steps import edges

from hedgerow.errors import RequestError
from hedgerow.manifest.model import Check, Dependency
from hedgerow.partitions.model import TimePartitions, Window
from hedgerow_scheduler.planning import steps as steps_module
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.staleness import MISSING, keep_stale

DAILY = TimePartitions("day", "2024-01-01")
DAYS = ("2024-01-01", "2024-01-02")


def catalog(*parts: Any, **checks: dict[str, Any]) -> Catalog:
    """One team's assets with a check of each that is named: as a step of its own unless something else is said."""
    declared = tuple(Check(f"of_{key}", key, **({"own_step": True} | more)) for key, more in checks.items())
    return catalog_of(manifest("sales", *parts, checks=declared))


def test_what_reads_an_asset_waits_for_its_judging_step_only_if_that_blocks() -> None:
    chain = (asset("a"), asset("b", "a"), asset("c", "b"))
    plan = planned(catalog(*chain, a={"blocking": True}, b={}), "a b c")
    assert edges(plan) == {
        "a": [], "a:checks": ["a"], "b": ["a:checks"], "b:checks": ["b"], "c": ["b"],
    }  # fmt: skip
    judge = plan[1]
    assert (judge.team, judge.queue, judge.assets, judge.partition) == ("sales", "default", ("a",), None)
    assert [step.number for step in plan] == list(range(5))


def test_checks_within_the_step_add_none() -> None:
    assert [step.computation for step in planned(catalog(asset("a"), a={"own_step": False}), "a")] == ["a"]


def test_each_partition_is_judged_and_one_that_is_made_from_the_one_before_waits_for_that() -> None:
    before = Dependency("a", mapping=Window(-1, -1))
    plan = planned(catalog(asset("a", before, partitions=DAILY), a={"blocking": True}), "a", partitions=DAYS)
    assert edges(plan) == {
        "a[2024-01-01]": [],
        "a:checks[2024-01-01]": ["a[2024-01-01]"],
        "a[2024-01-02]": ["a:checks[2024-01-01]"],
        "a:checks[2024-01-02]": ["a[2024-01-02]"],
    }
    assert all(number < step.number for step in plan for number in step.upstream)


def test_each_asset_of_a_step_is_judged_by_itself_and_only_if_it_is_made() -> None:
    both = multi(("a", "b"), subset=True)
    found = catalog(both, asset("c", "b"), a={"blocking": True}, b={"blocking": True})
    assert edges(planned(found, "a b c")) == {"a": [], "a:checks": ["a"], "b:checks": ["a"], "c": ["b:checks"]}
    assert edges(planned(found, "b")) == {"a": [], "b:checks": ["a"]}


def test_of_checks_only_every_asset_with_checks_is_judged_and_nothing_waits() -> None:
    found = catalog(asset("a", partitions=DAILY), asset("b", "a"), asset("c", "b"), a={"own_step": False}, c={})
    plan = planned(found, "a b c", partitions=DAYS, checks_only=True)
    assert edges(plan) == {"a:checks[2024-01-01]": [], "a:checks[2024-01-02]": [], "c:checks": []}


@pytest.mark.parametrize(
    ("selection", "more"),
    [("b", {}), ("b d", {}), ("a", {"config": {"a": {}}}), ("a", {"only_stale": True})],
)
def test_checks_only_of_what_has_none_or_with_what_goes_with_making_is_refused(
    selection: str, more: dict[str, Any]
) -> None:
    found = catalog(asset("a"), asset("b"), asset("d"), a={})
    with pytest.raises(RequestError) as caught:
        planned(found, selection, checks_only=True, **more)
    assert caught.value.code in ("HR-Q031", "HR-Q007")


def test_judging_steps_count_towards_what_one_run_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps_module, "MAX_STEPS", 3)
    with pytest.raises(RequestError, match="comes to 4 steps"):
        planned(catalog(asset("a", partitions=DAILY), a={}), "a", partitions=DAYS)


def test_what_is_fresh_is_left_out_of_a_run_with_the_step_that_judges_it() -> None:
    plan = planned(catalog(asset("a"), asset("b"), asset("c", "b"), a={}, b={"blocking": True}), "a b c")
    kept = keep_stale(plan, {("a", ""): MISSING.__class__("fresh"), ("b", ""): MISSING, ("c", ""): MISSING}).steps
    assert edges(kept) == {"b": [], "b:checks": ["b"], "c": ["b:checks"]}
