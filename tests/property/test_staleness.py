"""Staleness over random graphs and histories: what is stale is exactly what a run of it mends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.materialized import Materialized
from support.scheduling import asset, planned

from hedgerow.manifest.model import Dependency
from hedgerow.partitions.model import All, Keys, Same, StaticPartitions
from hedgerow_scheduler.planning.staleness import keep_stale, pairs_of

KEYS = StaticPartitions(("a", "b", "c"), "letter")
MAPPINGS = (None, All(), Same(), Keys((("*", ("a",)),)))


@st.composite
def graphs(draw: st.DrawFn) -> Materialized:
    """Up to eight assets, each partitioned or not, made from some of those before it."""
    parts = []
    partitioned: list[bool] = []
    for number in range(draw(st.integers(1, 8))):
        here = draw(st.booleans())
        deps = []
        for other in draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else ():
            mapping = draw(st.sampled_from(MAPPINGS)) if here and partitioned[other] else None
            deps.append(Dependency(f"x{other}", mapping=mapping))
        partitioned.append(here)
        parts.append(asset(f"x{number}", *deps, partitions=KEYS if here else None))
    return Materialized(*parts)


@st.composite
def histories(draw: st.DrawFn) -> Materialized:
    """A graph of which some was made, in any order, sometimes giving the same data again."""
    town = draw(graphs())
    pairs = list(pairs_of(planned(town.catalog, "*", all_partitions=True)))
    for pair in draw(st.lists(st.sampled_from(pairs), max_size=30)):
        town.make(pair[0], draw(st.sampled_from(["", "same"])), pair[1])
    return town


@given(histories())
def test_making_what_is_missing_or_stale_leaves_everything_fresh(town: Materialized) -> None:
    steps = planned(town.catalog, "*", all_partitions=True)
    plan = keep_stale(steps, town.statuses(*pairs_of(steps)))
    for step in plan.steps:
        town.make(step.computation, partition=step.partition or "")
    assert {status.kind for status in town.statuses(*pairs_of(steps)).values()} == {"fresh"}
    assert plan.stale_by_upstream == 0


@given(histories())
def test_whatever_is_stale_says_why_and_where_it_began(town: Materialized) -> None:
    steps = planned(town.catalog, "*", all_partitions=True)
    statuses = town.statuses(*pairs_of(steps))
    for pair, status in statuses.items():
        assert bool(status.causes) == bool(status.roots) == (status.kind == "stale")
        assert (status.kind == "missing") == (pair not in town.made)
        for root in status.roots:
            assert root.kind != "upstream_stale"
            assert any(root in statuses[other].causes for other in statuses if other[0] == root.of)


@given(histories())
def test_what_is_kept_was_not_fresh_or_comes_after_something_that_is_kept(town: Materialized) -> None:
    steps = planned(town.catalog, "*", all_partitions=True)
    statuses = town.statuses(*pairs_of(steps))
    for step in keep_stale(steps, statuses).steps:
        assert step.upstream or statuses[step.computation, step.partition or ""].kind != "fresh"
        assert all(number < step.number for number in step.upstream)


@given(histories(), st.data())
def test_making_something_anew_makes_stale_only_what_is_downstream_of_it(
    town: Materialized, data: st.DataObject
) -> None:
    steps = planned(town.catalog, "*", all_partitions=True)
    for step in steps:
        town.make(step.computation, partition=step.partition or "")
    chosen = data.draw(st.sampled_from(steps))
    town.make(chosen.computation, partition=chosen.partition or "")
    below = {chosen.computation}
    for step in steps:  # in dependency order
        if below & set(town.catalog.upstream(step.computation)):
            below.add(step.computation)
    stale = {asset for (asset, _), status in town.statuses(*pairs_of(steps)).items() if status.kind == "stale"}
    assert stale <= below - {chosen.computation}
