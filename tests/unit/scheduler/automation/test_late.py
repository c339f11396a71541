"""The operand `hr.late`: what is asked for when something is late, by the evaluator as it is in production."""

from __future__ import annotations

from typing import Any

import hedgerow as hr

MORNING = "2026-01-05T06:00+00:00"
DAY = hr.fresh_within("26h", warn="24h")


def one(automation: Any, **more: Any) -> list[Any]:
    @hr.asset(automation=automation, **more)
    def orders() -> int: ...

    return [orders]


def launched(sim: Any, key: str = "orders") -> list[str]:
    return [f"{at:%d %H:%M}" + (f" {partition}" if partition else "") for at, partition in sim.launched(key)]


def test_what_is_late_is_made_and_again_when_it_is_late_again() -> None:
    sim = hr.simulate(one(hr.late(), freshness=DAY), start=MORNING)
    sim.advance("60h")
    assert launched(sim) == ["06 08:00", "07 10:00"]
    assert sim.late() == {}


def test_warnings_count_when_they_are_asked_for() -> None:
    sim = hr.simulate(one(hr.late("warn"), freshness=DAY), start=MORNING)
    sim.advance("50h")
    assert launched(sim) == ["06 06:00", "07 06:00"]


def test_what_fails_is_asked_for_once_and_stays_late() -> None:
    sim = hr.simulate(one(hr.late(), freshness=DAY), start=MORNING)
    sim.fail("orders")
    sim.advance("5d")
    assert launched(sim) == ["06 08:00"]
    assert sim.late() == {("orders", None): "late"}


def test_only_the_late_partitions_are_made() -> None:
    sim = hr.simulate(one(hr.late(), freshness=DAY, partitions=hr.static("de", "no")), start=MORNING)
    sim.advance("10h")
    sim.materialize("orders", partition="no")
    sim.advance("17h")
    assert launched(sim) == ["05 16:00 no", "06 08:00 de"]


def test_a_day_that_is_not_there_in_time() -> None:
    days = hr.daily("2026-01-01", tz="Europe/Oslo")
    sim = hr.simulate(
        one(hr.late(), freshness=hr.fresh_by("0 6 * * *", tz="Europe/Oslo"), partitions=days), start=MORNING
    )
    sim.advance("48h")
    assert launched(sim) == ["06 05:00 2026-01-05", "07 05:00 2026-01-06"]


def test_an_asset_downstream_can_ask_about_what_is_upstream() -> None:
    @hr.asset(freshness=hr.fresh_within("2h", warn="1h"))
    def orders() -> int: ...

    @hr.asset(automation=hr.any_dep(hr.late("warn")))
    def page(orders: int) -> int: ...

    sim = hr.simulate([orders, page], start=MORNING)
    sim.advance("5h")
    assert launched(sim, "page") == ["05 07:00"]
    sim.materialize("orders")
    sim.advance("5h")
    assert launched(sim, "page") == ["05 07:00", "05 12:00"]


def test_it_can_keep_something_from_being_made() -> None:
    @hr.asset(freshness=hr.fresh_within("2h"))
    def rates() -> int: ...

    @hr.asset(automation=hr.cron_tick("0 * * * *") & ~hr.any_dep(hr.late()))
    def report(rates: int) -> int: ...

    sim = hr.simulate([rates, report], start=MORNING)
    sim.advance("4h")
    assert launched(sim, "report") == ["05 07:00"]


def test_a_pause_holds_back_what_is_asked_for_and_not_the_clock() -> None:
    sim = hr.simulate(one(hr.late(), freshness=DAY), start=MORNING)
    sim.pause("asset", "orders")
    sim.advance("30h")
    assert launched(sim) == []
    assert sim.late() == {("orders", None): "late"}
    sim.resume("asset", "orders")
    assert launched(sim) == ["06 12:00"]
    assert sim.late() == {}


def test_nothing_is_late_without_a_policy() -> None:
    sim = hr.simulate(one(hr.late()), start=MORNING)
    sim.advance("5d")
    assert (launched(sim), sim.late()) == ([], {})


def test_dynamic_keys_are_late_as_long_as_they_are_there() -> None:
    customers = hr.dynamic("customers", dim="customer")
    sim = hr.simulate(one(None, freshness=DAY, partitions=customers), start=MORNING, materialized=False)
    sim.add_partitions("customers", "acme", "globex")
    for key in ("acme", "globex"):
        sim.materialize("orders", partition=key)
    sim.advance("30h")
    assert sim.late() == {("orders", "acme"): "late", ("orders", "globex"): "late"}
    sim.remove_partitions("customers", "acme")
    assert sim.late() == {("orders", "globex"): "late"}
    sim.add_partitions("customers", "acme", "initech")
    assert sim.late() == {("orders", "acme"): "late", ("orders", "globex"): "late"}
