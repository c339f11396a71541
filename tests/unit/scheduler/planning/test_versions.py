"""Versions: which upstream partitions a step depends on, and how what it was made from is kept."""

from __future__ import annotations

from support.scheduling import NOW, asset, catalog_of, external, manifest

from hedgerow.manifest.model import Dependency
from hedgerow.partitions.model import All, Last, StaticPartitions, TimePartitions, Window
from hedgerow_scheduler.planning.inputs import Wanted
from hedgerow_scheduler.planning.versions import FOLLOWED, LISTED, Edge, digest, edges, kept, loaded_versions

DAILY = TimePartitions("day", "2024-01-01", end="2024-01-05")
MANY = StaticPartitions(tuple(f"{number:04}" for number in range(FOLLOWED + 1)), "number")


def edges_of(
    *deps: str | Dependency, partition: str | None = None, partitions: TimePartitions | None = None
) -> list[Edge]:
    made = asset("x", *deps, partitions=partitions)
    parts = (made, asset("plain"), asset("days", partitions=DAILY), asset("many", partitions=MANY), external("outside"))
    return list(edges(catalog_of(manifest("a", *parts)), made[1], partition, NOW))


def test_dependencies_for_order_only_count_like_those_that_are_read() -> None:
    assert edges_of("plain", Dependency("days", parameter="days")) == [
        Edge("plain", ("",)),
        Edge("days", ("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"), fixed=False),
    ]


def test_a_partition_depends_on_what_its_mapping_says() -> None:
    window = Dependency("days", mapping=Window(-1, 0))
    assert edges_of(window, partition="2024-01-03", partitions=DAILY) == [Edge("days", ("2024-01-02", "2024-01-03"))]
    assert edges_of(Dependency("days", mapping=Last(1))) == [Edge("days", ("2024-01-04",), fixed=False)]


def test_of_too_many_partitions_none_is_named() -> None:
    assert edges_of(Dependency("many", mapping=All())) == [Edge("many", None, fixed=False)]


def test_of_what_is_external_or_declared_by_nobody_no_partitions_are_known() -> None:
    assert edges_of("outside", "nowhere") == [Edge("outside", (), fixed=False), Edge("nowhere", (), fixed=False)]


def test_versions_of_many_partitions_become_one_text_that_changes_with_each_of_them() -> None:
    few = {f"{number:03}": "v" for number in range(LISTED)}
    many = few | {"more": "v"}
    assert kept(few) == few
    assert kept(many) == digest(many) != digest(many | {"more": "w"})


def test_an_input_that_is_not_there_has_no_version() -> None:
    wanted = Wanted("days", "a", False, False, ("2024-01-01", "2024-01-02"))
    assert loaded_versions([wanted], {("days", "2024-01-02"): "v"}) == {"days": {"2024-01-02": "v"}}


def test_of_too_many_inputs_no_versions_are_kept() -> None:
    wanted = Wanted("many", "a", False, False, MANY.keys)
    assert loaded_versions([wanted], {("many", "0001"): "v"}) == {"many": None}
