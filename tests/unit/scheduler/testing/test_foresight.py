"""What would be launched in the hours to come, and what a deploy would make different."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

import hedgerow as hr
from hedgerow.errors import RequestError
from hedgerow.testing.simulating import manifest_of
from hedgerow_scheduler.testing.foresight import Update, foresee, plan_deploy

START = datetime.fromisoformat("2026-03-28T12:00+01:00")
DAYS = hr.daily("2026-01-01", tz="Europe/Oslo")


def raw(version: str = "1", cron: str = "15 2 * * *") -> Any:
    @hr.asset(key="raw/orders", partitions=DAYS, code_version=version)
    def orders() -> int: ...

    return manifest_of("raw", [orders, hr.schedule("raw/orders", cron, tz="Europe/Oslo", name="ingest")])


def sales(automation: Any = None) -> Any:
    @hr.asset(key="sales/clean", deps=["raw/orders"], partitions=DAYS, automation=automation)
    def clean() -> int: ...

    @hr.asset(key="sales/report", deps=["sales/clean", "fx/rates"])
    def report() -> int: ...

    return manifest_of("sales", [clean, report, hr.external("fx/rates")])


def test_what_follows_a_schedule_is_foreseen_in_every_team_over_a_change_of_clocks() -> None:
    found = foresee([raw(), sales(hr.eager())], START, 48)
    assert [(each.at.isoformat(), each.by, each.asset, each.partitions, each.count) for each in found.launches] == [
        ("2026-03-29T02:00:00+01:00", "schedule raw/ingest", "raw/orders", ("2026-03-28",), 1),
        ("2026-03-29T02:00:00+01:00", "condition", "sales/clean", ("2026-03-28",), 1),
        ("2026-03-30T01:15:00+01:00", "schedule raw/ingest", "raw/orders", ("2026-03-29",), 1),
        ("2026-03-30T01:15:00+01:00", "condition", "sales/clean", ("2026-03-29",), 1),
    ]


def test_what_someone_else_makes_is_told_and_is_no_launch_itself() -> None:
    update = Update("raw/orders", "2026-03-27", datetime.fromisoformat("2026-03-28T20:00+01:00"))
    found = foresee([raw(), sales(hr.eager())], START, 12, [update])
    assert [(each.asset, each.partitions) for each in found.launches] == [("sales/clean", ("2026-03-27",))]


@pytest.mark.parametrize("hours", [0, -1, 24 * 367, float("nan")])
def test_hours_that_make_no_sense_are_refused(hours: float) -> None:
    with pytest.raises(RequestError, match="can't be foreseen"):
        foresee([raw()], START, hours)


def test_an_update_outside_of_the_hours_is_refused() -> None:
    with pytest.raises(RequestError, match="is not from"):
        foresee([raw()], START, 1, [Update("raw/orders", None, datetime.fromisoformat("2026-04-01T00:00Z"))])


def test_a_deploy_that_changes_nothing_has_nothing_to_tell() -> None:
    assert not plan_deploy([raw(), sales()], raw(), START, 24).changes_something


def test_code_that_changes_makes_stale_what_it_makes_and_all_that_is_made_from_it() -> None:
    plan = plan_deploy([raw(), sales()], raw("2"), START, 24)
    assert [(each.asset, each.team, each.because) for each in plan.stale] == [
        ("raw/orders", "raw", "its code is another"),
        ("sales/clean", "sales", "it is made from raw/orders"),
        ("sales/report", "sales", "it is made from sales/clean"),
    ]
    assert (plan.only_now, plan.only_then) == ((), ())


def test_another_schedule_and_another_condition_are_told_by_the_launches_that_they_move() -> None:
    moved = plan_deploy([raw(), sales(hr.eager())], raw(cron="0 4 * * *"), START, 24)
    assert [(each.at.astimezone(UTC).hour, each.asset) for each in moved.only_now] == [
        (1, "raw/orders"),
        (1, "sales/clean"),
    ]
    assert [(each.at.astimezone(UTC).hour, each.asset) for each in moved.only_then] == [
        (2, "raw/orders"),
        (2, "sales/clean"),
    ]
    new = plan_deploy([raw(), sales()], sales(hr.eager()), START, 24)
    assert [(each.by, each.asset) for each in new.only_then] == [("condition", "sales/clean")]
    assert new.only_now == ()


def test_a_deploy_that_would_be_refused_says_why_and_foresees_nothing() -> None:
    @hr.asset(key="raw/orders")
    def mine() -> int: ...

    plan = plan_deploy([raw()], manifest_of("thief", [mine]), START, 24)
    assert [problem.code for problem in plan.problems] == ["HR-Q010"]
    assert (plan.is_new, plan.stale, plan.only_then) == (True, (), ())


def test_a_cycle_over_two_teams_is_refused() -> None:
    @hr.asset(key="raw/orders", deps=["sales/report"])
    def circular() -> int: ...

    assert [p.code for p in plan_deploy([raw(), sales()], manifest_of("raw", [circular]), START, 24).problems] == [
        "HR-Q011"
    ]


def test_what_a_deploy_takes_from_other_teams_is_told_until_it_is_there_already() -> None:
    @hr.asset(key="raw/sold")
    def renamed() -> int: ...

    after = manifest_of("raw", [renamed])
    plan = plan_deploy([raw(), sales()], after, START, 24)
    assert [(each.computation, each.team, each.upstream) for each in plan.broken] == [
        ("sales/clean", "sales", "raw/orders")
    ]
    assert not plan_deploy([after, sales()], after, START, 24).broken

    @hr.asset(key="raw/orders", partitions=hr.static("a", "b"))
    def otherwise() -> int: ...

    moved = plan_deploy([raw(), sales()], manifest_of("raw", [otherwise]), START, 24)
    assert [(each.computation, each.problem.code) for each in moved.broken] == [("sales/clean", "HR-D107")]


def test_a_condition_of_a_teams_own_code_is_answered_or_told_to_be_unasked() -> None:
    @hr.condition
    def is_open() -> bool: ...

    @hr.asset(key="shop/till", automation=hr.cron_tick("0 13 * * *", "Europe/Oslo") & is_open)
    def till() -> int: ...

    shop = manifest_of("shop", [is_open, till])
    waiting = foresee([shop], START, 12)
    assert (waiting.launches, [each.asset for each in waiting.unasked]) == ((), ["shop/till"])
    answered = foresee([shop], START, 12, answers={"is_open": True})
    assert ([each.asset for each in answered.launches], answered.unasked) == (["shop/till"], ())
