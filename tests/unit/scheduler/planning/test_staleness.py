"""Staleness: what is missing, stale or fresh, with the causes and where they began."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from support.materialized import Materialized
from support.scheduling import NOW, asset, planned
from support.scheduling import Made as Declared

from hedgerow.errors import RequestError
from hedgerow.manifest.model import Dependency
from hedgerow.partitions.model import All, Last, StaticPartitions, TimePartitions, Window
from hedgerow_scheduler.planning import staleness
from hedgerow_scheduler.planning.staleness import (
    MAX_ROOTS,
    Made,
    StaleCause,
    Status,
    closure,
    judge,
    keep_stale,
    pairs_of,
)
from hedgerow_scheduler.planning.versions import FOLLOWED, LISTED

DAILY = TimePartitions("day", "2024-01-01", end="2024-01-05")
MANY = StaticPartitions(tuple(f"{number:04}" for number in range(FOLLOWED + 1)), "number")


def chain() -> Materialized:
    """raw ← clean ← report, all made."""
    town = Materialized(asset("raw"), asset("clean", "raw"), asset("report", "clean"))
    for key in ("raw", "clean", "report"):
        town.make(key)
    return town


def told(status: Status, seen_from: str) -> list[str]:
    return [cause.text(seen_from) for cause in status.causes]


def remake_raw(town: Materialized) -> None:
    town.make("raw")


def remake_raw_equal(town: Materialized) -> None:
    town.make("raw", version=town.made["raw", ""].version)


def change_code_of_clean(town: Materialized) -> None:
    old = town.made["clean", ""]
    town.made["clean", ""] = Made(old.version, "one", old.dispatch_seq, old.inputs)
    town.declare(asset("raw"), asset("clean", "raw", code_version="two"), asset("report", "clean"))


def add_dependency(town: Materialized) -> None:
    town.declare(asset("raw"), asset("more"), asset("clean", "raw", "more"), asset("report", "clean"))


def remove_dependency(town: Materialized) -> None:
    town.declare(asset("raw"), asset("clean"), asset("report", "clean"))


def add_external_dependency(town: Materialized) -> None:
    town.declare(asset("raw"), asset("clean", "raw", "outside"), asset("report", "clean"))


def move_report_to_raw(town: Materialized) -> None:
    town.declare(asset("raw"), asset("clean", "raw"), asset("report", "raw"))


def mend(town: Materialized) -> None:
    town.make("raw")
    town.make("clean")
    town.make("report")


def mend_with_equal_clean(town: Materialized) -> None:
    version = town.made["clean", ""].version
    town.make("raw")
    town.make("clean", version=version)


def forget_clean(town: Materialized) -> None:
    town.forget_inputs("clean")


def forget_clean_then_remake_raw(town: Materialized) -> None:
    town.forget_inputs("clean")
    town.make("raw")


@pytest.mark.parametrize(
    ("what", "clean", "report"),
    [
        (lambda town: None, [], []),
        (remake_raw, ["upstream 'raw' has new data"], ["upstream 'clean' is stale: upstream 'raw' has new data"]),
        (remake_raw_equal, [], []),
        (
            change_code_of_clean,
            ["its code changed from one to two"],
            ["upstream 'clean' is stale: its code changed from one to two"],
        ),
        (add_dependency, ["it depends on 'more' now"], ["upstream 'clean' is stale: it depends on 'more' now"]),
        (
            remove_dependency,
            ["it no longer depends on 'raw'"],
            ["upstream 'clean' is stale: it no longer depends on 'raw'"],
        ),
        (
            add_external_dependency,
            ["it depends on 'outside' now"],
            ["upstream 'clean' is stale: it depends on 'outside' now"],
        ),
        (move_report_to_raw, [], ["it depends on 'raw' now", "it no longer depends on 'clean'"]),
        (mend, [], []),
        (mend_with_equal_clean, [], []),
        (forget_clean, [], []),
        (
            forget_clean_then_remake_raw,
            ["upstream 'raw' has new data"],
            ["upstream 'clean' is stale: upstream 'raw' has new data"],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_makes_a_chain_stale(what: Callable[[Materialized], None], clean: list[str], report: list[str]) -> None:
    town = chain()
    what(town)
    assert told(town.status("clean"), "clean") == clean
    assert told(town.status("report"), "report") == report
    for key, causes in (("clean", clean), ("report", report)):
        assert town.status(key).kind == ("stale" if causes else "fresh")


def test_what_was_never_made_is_missing_and_what_is_above_it_does_not_matter() -> None:
    town = Materialized(asset("raw"), asset("clean", "raw"))
    assert town.status("clean") == Status("missing")
    town.make("clean")
    assert town.status("clean").kind == "fresh"
    town.make("raw")
    assert told(town.status("clean"), "clean") == ["upstream 'raw' has new data"]


def test_an_unknown_code_version_makes_nothing_stale() -> None:
    town = Materialized(asset("raw", code_version="two"))
    town.made["raw", ""] = Made("v", "", 1, {})
    assert town.status("raw").kind == "fresh"


def test_a_root_is_told_however_far_up_it_is() -> None:
    town = Materialized(asset("a0"), *(asset(f"a{n}", f"a{n - 1}") for n in range(1, 30)))
    for number in range(30):
        town.make(f"a{number}")
    town.make("a0")
    status = town.status("a29")
    assert status.roots == (StaleCause("data_changed", "a1", "a0", before="#1", after="#31"),)
    assert told(status, "a29") == ["upstream 'a28' is stale: 'a1': upstream 'a0' has new data"]


def test_a_very_deep_graph_is_judged_without_recursion() -> None:
    parts = [asset("a0"), *(asset(f"a{n}", f"a{n - 1}") for n in range(1, 20_000))]
    town = Materialized(*parts)
    town.made = {(f"a{n}", ""): Made("v", "", n + 1, {f"a{n - 1}": {"": "v"}} if n else {}) for n in range(20_000)}
    town.made["a0", ""] = Made("w", "", 1, {})
    assert town.status("a19999").roots[0].asset == "a0"


def test_no_more_roots_are_told_than_one_reads() -> None:
    tops = [f"top{number}" for number in range(MAX_ROOTS + 3)]
    town = Materialized(*map(asset, tops), asset("middle", *tops), asset("below", "middle"))
    for key in (*tops, "middle", "below", *tops):
        town.make(key)
    assert len(town.status("middle").causes) == len(tops)
    assert len(town.status("below").causes[0].roots) == MAX_ROOTS


def days() -> Materialized:
    """Daily raw ← daily clean, and a report over all days."""
    town = Materialized(
        asset("raw", partitions=DAILY),
        asset("clean", "raw", partitions=DAILY),
        asset("report", Dependency("clean", mapping=All())),
    )
    for day in ("2024-01-01", "2024-01-02", "2024-01-03"):
        town.make("raw", partition=day)
        town.make("clean", partition=day)
    town.make("report")
    return town


def test_a_partition_is_stale_by_its_own_upstream_partition_only() -> None:
    town = days()
    town.make("raw", partition="2024-01-02")
    assert [town.status("clean", f"2024-01-0{day}").kind for day in (1, 2, 3, 4)] == [
        "fresh", "stale", "fresh", "missing",
    ]  # fmt: skip
    assert told(town.status("report"), "report") == [
        "upstream 'clean' is stale (2024-01-02): upstream 'raw' has new data (2024-01-02)"
    ]


def test_a_partition_that_came_since_is_new_data_to_what_reads_all_of_them() -> None:
    town = days()
    town.make("raw", partition="2024-01-04")
    assert town.status("report").kind == "fresh"
    town.make("clean", partition="2024-01-04")
    assert told(town.status("report"), "report") == ["upstream 'clean' has new data (2024-01-04)"]


def test_a_window_that_was_widened_asks_for_other_partitions() -> None:
    def town_of(mapping: Window) -> list[Declared]:
        return [asset("raw", partitions=DAILY), asset("x", Dependency("raw", mapping=mapping), partitions=DAILY)]

    town = Materialized(*town_of(Window(-1, 0)))
    town.make("raw", partition="2024-01-01")
    town.make("raw", partition="2024-01-02")
    town.make("raw", partition="2024-01-03")
    town.make("x", partition="2024-01-03")
    town.declare(*town_of(Window(-2, 0)))
    assert told(town.status("x", "2024-01-03"), "x") == ["upstream 'raw' has new data (2024-01-01)"]
    town.declare(*town_of(Window(0, 0)))
    assert told(town.status("x", "2024-01-03"), "x") == [
        "it no longer reads these partitions of upstream 'raw' (2024-01-02)"
    ]


def test_the_last_partition_moving_on_is_nothing_until_the_new_one_is_there() -> None:
    town = Materialized(asset("raw", partitions=DAILY), asset("x", Dependency("raw", mapping=Last(1))))
    town.made["raw", "2024-01-03"] = Made("v", "", 1, {})
    town.made["x", ""] = Made("v", "", 2, {"raw": {"2024-01-03": "v"}})
    assert town.status("x").kind == "fresh"
    town.make("raw", partition="2024-01-04")
    assert town.status("x").kind == "stale"


def test_an_asset_that_reads_its_own_past_is_stale_from_the_day_that_changed() -> None:
    own = Dependency("x", mapping=Window(-1, -1))
    town = Materialized(asset("raw", partitions=DAILY), asset("x", "raw", own, partitions=DAILY))
    for day in range(1, 5):
        town.make("raw", partition=f"2024-01-0{day}")
        town.make("x", partition=f"2024-01-0{day}")
    town.make("raw", partition="2024-01-02")
    assert [town.status("x", f"2024-01-0{day}").kind for day in range(1, 5)] == ["fresh", "stale", "stale", "stale"]


def test_many_partitions_are_compared_by_their_digest() -> None:
    keys = StaticPartitions(tuple(f"{number:03}" for number in range(LISTED + 10)), "number")
    town = Materialized(asset("raw", partitions=keys), asset("x", Dependency("raw", mapping=All())))
    for key in keys.keys:
        town.make("raw", partition=key)
    town.make("x")
    town.make("raw", version=town.made["raw", "007"].version, partition="007")
    assert town.status("x").kind == "fresh"
    town.make("raw", partition="007")
    assert told(town.status("x"), "x") == ["upstream 'raw' has new data (007)"]


def test_of_too_many_partitions_the_order_of_dispatch_tells() -> None:
    town = Materialized(asset("raw", partitions=MANY), asset("x", Dependency("raw", mapping=All())))
    town.make("raw", partition="0001")
    town.make("x")
    assert town.status("x").kind == "fresh"
    town.make("raw", partition="0002")
    assert told(town.status("x"), "x") == ["upstream 'raw' has new data"]


def test_too_many_partitions_to_compare_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staleness, "MAX_COMPARED", 3)
    town = Materialized(asset("raw", partitions=DAILY))
    with pytest.raises(RequestError, match="HR-Q009"):
        town.statuses(*(("raw", f"2024-01-0{day}") for day in range(1, 5)))


def test_only_what_is_missing_or_stale_is_made_with_what_becomes_stale_by_it() -> None:
    town = days()
    town.make("raw", partition="2024-01-02")
    days_of_january = {"partition_range": None, "all_partitions": True}
    assert town.kept("raw", "clean", "report", **days_of_january) == [
        "raw@2024-01-04", "clean@2024-01-02", "clean@2024-01-04", "report",
    ]  # fmt: skip
    assert town.kept("clean", partitions=("2024-01-01", "2024-01-02")) == ["clean@2024-01-02"]
    assert town.kept("clean", partitions=("2024-01-01",)) == []


def test_edges_of_what_is_kept_lead_to_what_is_kept() -> None:
    town = chain()
    town.make("raw")
    steps = planned(town.catalog, "*")
    plan = keep_stale(steps, town.statuses(*pairs_of(steps)))
    assert [(step.number, step.computation, step.upstream) for step in plan.steps] == [
        (0, "clean", ()),
        (1, "report", (0,)),
    ]


def test_what_is_stale_only_by_an_upstream_outside_the_run_is_left_out_and_counted() -> None:
    town = chain()
    town.make("raw")
    steps = planned(town.catalog, "report")
    plan = keep_stale(steps, town.statuses(*pairs_of(steps)))
    assert (plan.steps, plan.stale_by_upstream) == ((), 1)


def test_the_clock_alone_makes_no_complete_partition_stale() -> None:
    town = days()
    later = closure(town.catalog, [("report", "")], NOW + timedelta(days=400))
    assert judge(later, town.made, {})["report", ""].kind == "fresh"
