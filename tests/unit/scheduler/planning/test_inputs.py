"""Inputs: which partitions of which assets a step is given, and when what is stored will not do."""

from __future__ import annotations

import msgspec
from support.scheduling import NOW, asset, catalog_of, external, manifest, multi

from hedgerow.manifest.model import Dependency
from hedgerow.partitions.model import All, TimePartitions, Window
from hedgerow.protocol.orders import Input
from hedgerow.protocol.references import Reference
from hedgerow_scheduler.planning.inputs import Choice, Wanted, choose_inputs, missing_input, wanted_inputs

DAILY = TimePartitions("day", "2024-01-01", end="2024-01-05")
ONE, TWO = (Reference(f"file:///{name}", "json") for name in ("one", "two"))


def wanted(*deps: Dependency, partition: str | None = None, partitions: TimePartitions | None = None) -> list[Wanted]:
    made = asset("x", *deps, partitions=partitions)
    catalog = catalog_of(
        manifest(
            "a",
            made,
            asset("plain"),
            asset("days", partitions=DAILY),
            asset("nothing", stored=False),
            external("outside"),
        )
    )
    return list(wanted_inputs(catalog, made[1], partition, NOW))


def value(key: str, **more: object) -> Dependency:
    return Dependency(key, parameter=key, **more)  # type: ignore[arg-type]


def test_a_parameter_wants_the_value_and_an_order_only_dependency_wants_none() -> None:
    assert wanted(value("plain"), Dependency("days")) == [Wanted("plain", "a", False, False, ("",))]


def test_inputs_come_in_the_order_of_the_dependencies() -> None:
    assert [want.asset for want in wanted(value("plain"), value("days"))] == ["plain", "days"]
    assert [want.asset for want in wanted(value("days"), value("plain"))] == ["days", "plain"]


def test_an_unpartitioned_step_wants_every_partition_in_order() -> None:
    assert wanted(value("days"))[0].partitions == ("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04")


def test_a_partitioned_step_wants_its_own_partition_or_what_the_mapping_says() -> None:
    assert wanted(value("days"), partition="2024-01-02", partitions=DAILY)[0].partitions == ("2024-01-02",)
    around = value("days", mapping=Window(-1, 0))
    assert wanted(around, partition="2024-01-02", partitions=DAILY)[0].partitions == ("2024-01-01", "2024-01-02")
    everything = value("days", mapping=All())
    assert len(wanted(everything, partition="2024-01-02", partitions=DAILY)[0].partitions) == 4


def test_a_window_does_not_reach_before_the_first_partition() -> None:
    before = value("days", mapping=Window(-1, -1))
    assert wanted(before, partition="2024-01-01", partitions=DAILY)[0].partitions == ()


def test_what_is_undeclared_or_stores_nothing_is_not_wanted() -> None:
    assert wanted(value("nowhere"), value("nothing")) == []


def test_what_the_step_makes_itself_is_not_wanted_except_its_earlier_partitions() -> None:
    both = multi(("p", "q"), value("p"))
    assert wanted_inputs(catalog_of(manifest("a", both)), both[1], None, NOW) == ()
    total = asset("total", value("total", mapping=Window(-1, -1)), partitions=DAILY)
    found = wanted_inputs(catalog_of(manifest("a", total)), total[1], "2024-01-03", NOW)
    assert found == (msgspec.structs.replace(want("total", "2024-01-02"), whole=True),)


def want(asset: str, *partitions: str, optional: bool = False, in_place: bool = False) -> Wanted:
    return Wanted(asset, "a", optional, in_place, partitions)


def test_references_come_in_the_order_of_the_partitions_and_gaps_are_named() -> None:
    choice = choose_inputs([want("days", "d1", "d2", "d3")], {("days", "d3"): TWO, ("days", "d1"): ONE}, ())
    assert choice == Choice((Input("days", (ONE, TWO), ("d2",), "a"),), (), ())


def test_of_partitions_asked_for_one_by_one_none_may_be_missing() -> None:
    days = msgspec.structs.replace(want("days", "d1", "d2"), whole=True)
    current = {("days", "d1"): ONE}
    assert choose_inputs([days], current, ()).lacking == ("days",)
    assert choose_inputs([days], current, {("days", "d2")}).held_back == ("days",)
    assert choose_inputs([msgspec.structs.replace(days, optional=True)], current, ()).lacking == ()
    assert "'d2'" in missing_input("days", ("d2",), external=False).message


def test_an_upstream_of_which_nothing_is_there_is_reported() -> None:
    assert choose_inputs([want("a", ""), want("b", "d1", "d2")], {}, ()).lacking == ("a", "b")


def test_an_optional_upstream_may_be_missing() -> None:
    assert choose_inputs([want("a", "", optional=True)], {}, ()) == Choice((Input("a", (), ("",), "a"),), (), ())


def test_nothing_is_missing_where_no_partition_is_wanted() -> None:
    assert choose_inputs([want("days")], {}, ()).lacking == ()


def test_an_upstream_of_which_a_check_holds_the_first_output_back_is_waited_for() -> None:
    choice = choose_inputs([want("a", "d1")], {}, {("a", "d1")})
    assert (choice.lacking, choice.held_back) == ((), ("a",))


def test_what_is_current_is_read_while_a_check_holds_a_newer_output_back() -> None:
    choice = choose_inputs([want("a", "d1")], {("a", "d1"): ONE}, {("a", "d1")})
    assert (choice.inputs[0].references, choice.held_back) == ((ONE,), ())


def test_what_was_overwritten_in_place_is_not_read_while_a_check_holds_it_back() -> None:
    choice = choose_inputs([want("a", "d1", in_place=True)], {("a", "d1"): ONE}, {("a", "d1")})
    assert choice.held_back == ("a",)


def test_the_remedy_for_a_missing_input_depends_on_whether_it_can_be_materialized() -> None:
    assert "leading '+'" in missing_input("raw", ("d1",), external=False).remedy
    assert "'d1'" in missing_input("raw", ("d1",), external=False).message
    assert "deps=" in missing_input("raw", (), external=True).remedy
    assert {missing_input("raw", ("",), external).code for external in (True, False)} == {"HR-Q023"}
