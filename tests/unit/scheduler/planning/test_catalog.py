"""The catalog: what is declared, who owns it, and which manifests can't come into force."""

from __future__ import annotations

import itertools
from graphlib import CycleError, TopologicalSorter

from hypothesis import given
from hypothesis import strategies as st
from support.scheduling import asset, catalog_of, external, manifest, multi, published

from hedgerow.manifest.model import Check, Dependency, Job, Manifest, Pool, Queue, Schedule, Sensor
from hedgerow.partitions.model import ByDim, TimePartitions, Window
from hedgerow_scheduler.planning.catalog import Catalog, find_cycle, refusals

DAILY = TimePartitions("day", "2024-01-01")
YESTERDAY = Window(-1, -1)


def test_an_asset_knows_its_team_its_computation_and_its_checks() -> None:
    catalog = catalog_of(manifest("sales", asset("orders"), external("raw"), checks=(Check("rows", "orders"),)))
    orders = catalog.assets["orders"]
    assert (orders.team, orders.location, [check.name for check in orders.checks]) == ("sales", "sales", ["rows"])
    assert orders.computation is not None
    assert catalog.assets["raw"].computation is None
    assert catalog.home("orders") == ("sales", "sales")


def test_upstream_and_downstream_cross_teams_and_are_sorted() -> None:
    catalog = catalog_of(
        manifest("sales", asset("orders", "raw/z", "raw/a")),
        manifest("raw", asset("raw/a"), asset("raw/z")),
        manifest("ml", asset("model", "raw/a")),
    )
    assert catalog.upstream("orders") == ("raw/a", "raw/z")
    assert catalog.downstream("raw/a") == ("model", "orders")
    assert catalog.downstream("model") == ()


def test_what_nobody_declares_is_upstream_all_the_same_and_has_no_upstream_of_its_own() -> None:
    catalog = catalog_of(manifest("sales", asset("orders", "elsewhere")))
    assert catalog.upstream("orders") == ("elsewhere",)
    assert catalog.upstream("elsewhere") == ()
    assert catalog.downstream("elsewhere") == ("orders",)


def test_assets_made_by_one_step_are_not_each_others_upstream() -> None:
    catalog = catalog_of(manifest("sales", multi(("a", "b"), "a", "raw")))
    assert catalog.upstream("b") == ("raw",)


def test_unresolved_are_the_keys_that_nobody_declares_but_not_the_optional_ones() -> None:
    made = asset("orders", "gone", "raw", Dependency("maybe", optional=True))
    catalog = catalog_of(manifest("sales", made, asset("raw")))
    assert catalog.unresolved(made[1]) == ("gone",)


def test_a_replaced_manifest_leaves_the_other_locations_and_the_former_catalog_as_they_were() -> None:
    before = catalog_of(manifest("sales", asset("old")), manifest("ml", asset("model")))
    after = before.replacing(published(manifest("sales", asset("new"))))
    assert set(before.assets) == {"old", "model"}
    assert set(after.assets) == {"new", "model"}
    assert after.manifest_hash("sales", "sales") != before.manifest_hash("sales", "sales")
    assert after.manifest_hash("ml", "ml") == before.manifest_hash("ml", "ml")


def test_a_queue_that_is_not_declared_has_no_limit() -> None:
    catalog = catalog_of(manifest("sales", asset("orders"), queues=(Queue("heavy", concurrency=3),)))
    assert catalog.queue("sales", "sales", "heavy").concurrency == 3
    assert catalog.queue("sales", "sales", "other") == Queue("other")
    assert catalog.queue("nobody", "nobody", "heavy") == Queue("heavy")


def test_a_pool_is_found_whoever_declares_it() -> None:
    catalog = catalog_of(manifest("a", asset("x")), manifest("b", asset("y"), pools=(Pool("warehouse", slots=4),)))
    assert catalog.pool("warehouse") == Pool("warehouse", slots=4)
    assert catalog.pool("nothing") is None


def test_jobs_of_the_same_name_in_two_teams_are_told_apart_by_the_team() -> None:
    catalog = catalog_of(
        manifest("a", asset("x"), jobs=(Job("nightly", "x"),)), manifest("b", asset("y"), jobs=(Job("nightly", "y"),))
    )
    assert catalog.jobs["a/nightly"].selection == "x"
    assert catalog.jobs["b/nightly"].selection == "y"
    assert catalog.jobs["nightly"].selection == "x"


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_a_manifest_of_new_keys_may_come_into_force() -> None:
    assert refusals(Catalog(), manifest("sales", asset("orders")), {}) == ()


def test_a_key_of_another_team_is_refused_and_its_owner_is_named() -> None:
    catalog = catalog_of(manifest("raw", asset("orders")))
    problems = refusals(catalog, manifest("sales", asset("mine"), asset("orders")), {"orders": ("raw", "raw")})
    assert [problem.code for problem in problems] == ["HR-Q010"]
    assert "'orders' belongs to team 'raw'" in problems[0].message


def test_a_key_stays_its_first_owners_after_that_one_removed_it() -> None:
    problems = refusals(catalog_of(), manifest("sales", asset("orders")), {"orders": ("raw", "raw")})
    assert [problem.code for problem in problems] == ["HR-Q010"]


def test_a_schedule_of_another_location_of_the_team_is_refused_and_one_of_another_team_is_not() -> None:
    nightly = (Schedule("nightly", "*", "0 2 * * *"),)
    catalog = catalog_of(manifest("sales", asset("orders"), schedules=nightly))
    (problem,) = refusals(catalog, Manifest("sales", "other", schedules=nightly), {})
    assert problem.code == "HR-Q016"
    assert "declared by location 'sales' of team 'sales'" in problem.message
    assert refusals(catalog, Manifest("ml", "ml", schedules=nightly), {}) == ()
    assert refusals(catalog, manifest("sales", schedules=nightly), {}) == ()


def test_a_sensor_of_another_location_of_the_team_is_refused_and_a_schedule_of_its_name_is_not() -> None:
    sensors = (Sensor("nightly"),)
    catalog = catalog_of(manifest("sales", asset("orders"), sensors=sensors))
    (problem,) = refusals(catalog, Manifest("sales", "other", sensors=sensors), {})
    assert (problem.code, problem.message[:17]) == ("HR-Q016", "Sensor 'nightly' ")
    assert refusals(catalog, Manifest("sales", "other", schedules=(Schedule("nightly", "*", "0 2 * * *"),)), {}) == ()
    assert refusals(Catalog(), manifest("sales", sensors=(Sensor("../x"),)), {})[0].code == "HR-Q013"


def test_the_name_of_a_schedule_is_judged_like_every_other() -> None:
    (problem,) = refusals(Catalog(), manifest("sales", schedules=(Schedule("../x", "*", "0 2 * * *"),)), {})
    assert problem.code == "HR-Q013"


def test_every_key_of_others_is_reported_not_only_the_first() -> None:
    owners = {"a": ("raw", "raw"), "b": ("ml", "ml")}
    problems = refusals(Catalog(), manifest("sales", asset("a"), asset("b"), asset("c")), owners)
    assert [problem.code for problem in problems] == ["HR-Q010", "HR-Q010"]


def test_a_key_may_move_between_the_locations_of_its_team_once_the_former_has_dropped_it() -> None:
    here = manifest("sales", asset("orders"), location="new")
    owners = {"orders": ("sales", "old")}
    still_there = catalog_of(manifest("sales", asset("orders"), location="old"))
    dropped = catalog_of(manifest("sales", asset("other"), location="old"))
    assert [problem.code for problem in refusals(still_there, here, owners)] == ["HR-Q010"]
    assert refusals(dropped, here, owners) == ()


def test_a_cycle_within_a_manifest_is_refused_with_its_path() -> None:
    problems = refusals(Catalog(), manifest("sales", asset("a", "c"), asset("b", "a"), asset("c", "b")), {})
    assert [problem.code for problem in problems] == ["HR-Q011"]
    assert any(path in problems[0].message for path in ("a -> b -> c -> a", "b -> c -> a -> b", "c -> a -> b -> c"))


def test_a_cycle_that_two_teams_close_together_is_refused_for_the_one_that_closes_it() -> None:
    catalog = catalog_of(manifest("ml", asset("model", "orders")))
    closing = manifest("sales", asset("orders", "model"))
    assert [problem.code for problem in refusals(catalog, closing, {})] == ["HR-Q011"]
    assert refusals(catalog, manifest("sales", asset("orders")), {}) == ()


def test_two_steps_that_read_each_others_outputs_are_a_cycle_although_their_assets_are_none() -> None:
    crossed = manifest("sales", multi(("a1", "a2"), "b1"), multi(("b1", "b2"), "a2"))
    assert [problem.code for problem in refusals(Catalog(), crossed, {})] == ["HR-Q011"]


def test_an_asset_may_read_its_own_earlier_partitions() -> None:
    by_window = asset("total", Dependency("total", mapping=YESTERDAY), partitions=DAILY)
    by_dimension = asset("sum", Dependency("sum", mapping=ByDim((("time", YESTERDAY),))), partitions=DAILY)
    assert refusals(Catalog(), manifest("sales", by_window, by_dimension), {}) == ()


def test_an_asset_that_reads_its_own_same_partition_closes_a_cycle() -> None:
    problems = refusals(Catalog(), manifest("sales", asset("total", "total", partitions=DAILY)), {})
    assert [problem.code for problem in problems] == ["HR-Q011"]


def test_two_assets_that_read_each_others_earlier_partitions_are_still_a_cycle() -> None:
    a = asset("a", Dependency("b", mapping=YESTERDAY), partitions=DAILY)
    b = asset("b", "a", partitions=DAILY)
    assert [problem.code for problem in refusals(Catalog(), manifest("sales", a, b), {})] == ["HR-Q011"]


NODES = [f"n{number}" for number in range(7)]
GRAPHS = st.dictionaries(st.sampled_from(NODES), st.sets(st.sampled_from(NODES), max_size=3), max_size=7)


@given(GRAPHS)
def test_a_cycle_is_found_exactly_when_there_is_one_and_each_of_its_edges_exists(graph: dict[str, set[str]]) -> None:
    graph = {node: {other for other in above if other != node} for node, above in graph.items()}
    half = len(graph) // 2
    made = [asset(node, *sorted(above)) for node, above in graph.items()]
    catalog = catalog_of(manifest("a", *made[:half]), manifest("b", *made[half:]))
    declared = {node: {other for other in above if other in graph} for node, above in graph.items()}
    try:
        list(TopologicalSorter(declared).static_order())
        cyclic = False
    except CycleError:
        cyclic = True
    cycle = find_cycle(catalog)
    assert bool(cycle) == cyclic
    assert all(before in graph[after] for before, after in itertools.pairwise(cycle))
    assert not cycle or (cycle[0] == cycle[-1] and len(set(cycle)) == len(cycle) - 1)
