"""hr.simulate: what is launched over time, as a team's unit test sees it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

import hedgerow as hr
from hedgerow.errors import DefinitionError, HedgerowError, RequestError
from hedgerow_scheduler.testing.foresight import foresee

OSLO_MORNING = "2026-01-05T07:00+01:00"  # a Monday


def chain(**more: Any) -> list[Any]:
    """`down`, which is eager, made from `up`."""

    @hr.asset
    def up() -> int: ...

    @hr.asset(automation=hr.eager(), **more)
    def down(up: int) -> int: ...

    return [up, down]


def days(automation: Any) -> list[Any]:
    """Daily `sales` made from daily `orders`, and a report of everything."""
    daily = hr.daily("2026-01-01", tz="Europe/Oslo")

    @hr.asset(partitions=daily)
    def orders() -> int: ...

    @hr.asset(partitions=daily, automation=automation)
    def sales(orders: int) -> int: ...

    return [orders, sales]


def names(launches: Any) -> list[str]:
    return [
        f"{key}@{part}" if part else key for each in launches for key, parts in each.assets.items() for part in parts
    ]


def test_what_is_made_from_an_asset_follows_it() -> None:
    sim = hr.simulate(chain(), start=OSLO_MORNING)
    assert names(sim.materialize("up")) == ["up", "down"]
    assert [each.by for each in sim.launches] == ["person", "condition"]
    assert [each.state for each in sim.launches] == ["succeeded", "succeeded"]
    assert sim.launched("down") == [(sim.now, None)]


def test_it_follows_when_the_upstream_step_has_ended_and_not_when_it_failed() -> None:
    sim = hr.simulate(chain(), start=OSLO_MORNING, durations={"up": "10m"})
    sim.materialize("up")
    assert (sim.status("up"), sim.launched("down")) == ("in progress", [])
    assert names(sim.advance("10m")) == ["down"]
    sim.fail("up", times=1)
    sim.materialize("up")
    assert sim.advance("1h") == []
    assert sim.launches[-1].state == "failed"


def test_a_failed_step_is_tried_again_as_its_retry_says() -> None:
    @hr.asset(retry=hr.Retry(2, delay="5m", backoff="constant", jitter=False))
    def flaky() -> int: ...

    sim = hr.simulate([flaky], start=OSLO_MORNING, materialized=False)
    sim.fail("flaky", times=2)
    sim.materialize("flaky")
    sim.advance("9m")
    assert sim.status("flaky") == "in progress"
    sim.advance("2m")
    assert sim.status("flaky") == "materialized"


def test_schedules_tick_by_the_clocks_of_their_zone_also_when_these_are_moved() -> None:
    definitions = [*chain(), hr.schedule("up", "30 2 * * *", tz="Europe/Oslo", name="nightly")]
    sim = hr.simulate(definitions, start="2026-03-27T12:00+01:00")
    sim.advance("72h")
    assert [at.isoformat() for at, _ in sim.launched("up")] == [
        "2026-03-28T02:30:00+01:00", "2026-03-29T02:00:00+01:00", "2026-03-30T01:30:00+01:00",
    ]  # fmt: skip
    assert {each.by for each in sim.launches} == {"schedule team/nightly", "condition"}


def test_a_month_of_days_is_made_one_day_after_the_other() -> None:
    sim = hr.simulate(
        [*days(hr.eager()), hr.schedule("orders", "15 0 * * *", tz="Europe/Oslo", name="ingest")],
        start="2026-02-01T00:00+01:00",
    )
    sim.advance_to("2026-03-01T00:00+01:00")
    assert [part for _, part in sim.launched("orders")] == [
        "2026-01-31",
        *(f"2026-02-{day:02}" for day in range(1, 28)),
    ]
    assert sim.launched("sales") == [(at, part) for at, part in sim.launched("orders")]


def test_a_day_that_is_made_again_refreshes_that_day_only() -> None:
    sim = hr.simulate(days(hr.eager(window="all")), start=OSLO_MORNING)
    assert names(sim.materialize("orders", partition="2026-01-02")) == ["orders@2026-01-02", "sales@2026-01-02"]


def test_on_cron_waits_for_everything_upstream() -> None:
    sim = hr.simulate(days(hr.on_cron("0 6 * * *", tz="Europe/Oslo")), start="2026-01-05T00:30+01:00")
    assert names(sim.advance_to("2026-01-05T08:00+01:00")) == []
    assert names(sim.materialize("orders", partition="2026-01-04")) == ["orders@2026-01-04", "sales@2026-01-04"]
    assert "upstream was updated" in sim.explain("sales")


def test_two_teams_are_simulated_together_and_an_external_asset_counts_as_made() -> None:
    raw = hr.external("raw/orders")

    @hr.asset(deps=["raw/orders"], automation=hr.eager())
    def cleaned() -> int: ...

    @hr.asset(automation=hr.eager())
    def report(cleaned: int) -> int: ...

    sim = hr.simulate({"ingest": [raw, cleaned], "analytics": [report]}, start=OSLO_MORNING)
    assert names(sim.materialize("raw/orders")) == ["cleaned", "report"]


def test_a_failing_blocking_check_holds_back_what_is_made_from_the_asset_until_it_passes() -> None:
    definitions = chain()

    @hr.check("up", blocking=True)
    def enough(up: int) -> bool: ...

    sim = hr.simulate([*definitions, enough], start=OSLO_MORNING)
    sim.fail_check("up", "enough")
    assert names(sim.materialize("up")) == ["up"]
    sim.fail_check("up", "enough", fails=False)
    assert names(sim.materialize("up")) == ["up", "down"]


def test_what_has_a_blocking_check_as_a_step_of_its_own_is_followed_once_that_has_passed() -> None:
    definitions = chain()

    @hr.check("up", blocking=True, own_step=True)
    def enough(up: int) -> bool: ...

    @hr.check("up")
    def usual(up: int) -> bool: ...

    sim = hr.simulate([*definitions, enough, usual], start=OSLO_MORNING, durations={"up": "10m"})
    sim.fail_check("up", "enough")
    sim.materialize("up")
    assert names(sim.advance("1h")) == []
    sim.fail_check("up", "enough", fails=False)
    sim.materialize("up")
    assert names(sim.advance("19m")) == []  # made, and not checked yet
    assert names(sim.advance("1m")) == ["down"]


def test_freshness_turns_to_a_warning_then_late_and_back() -> None:
    @hr.asset(freshness=hr.fresh_within("26h", warn="24h"))
    def up() -> int: ...

    sim = hr.simulate([up], start=OSLO_MORNING)
    sim.advance("24h")
    assert sim.late() == {("up", None): "warn"}
    sim.advance("2h")
    assert sim.late() == {("up", None): "late"}
    sim.materialize("up")
    assert sim.late() == {}


def test_what_a_pause_holds_back_is_launched_when_it_ends() -> None:
    definitions = [*chain(), hr.schedule("up", "0 8 * * *", name="daily")]
    sim = hr.simulate(definitions, start="2026-01-05T07:00+00:00")
    sim.pause("team", "team", reason="the warehouse moves")
    sim.advance("2h")
    assert [(each.schedule, "the warehouse moves" in each.why) for each in sim.missed] == [("team/daily", True)]
    assert names(sim.materialize("up")) == ["up"]
    assert names(sim.resume("team", "team")) == ["down"]


def test_other_code_comes_into_force_or_is_refused_with_the_reason() -> None:
    sim = hr.simulate({"raw": chain()[:1], "sales": chain()[1:]}, start=OSLO_MORNING)

    sim.deploy({"sales": []})
    assert names(sim.materialize("up")) == ["up"]
    with pytest.raises(RequestError, match="belongs to team 'raw'"):
        sim.deploy({"sales": chain()[:1]})


def test_a_condition_that_never_comes_to_rest_is_told() -> None:
    @hr.asset(automation=~hr.in_progress())
    def restless() -> int: ...

    with pytest.raises(RequestError, match="never comes to an end: restless"):
        hr.simulate([restless], start=OSLO_MORNING)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (lambda: hr.simulate([], start="soon"), "HR-D022"),
        (lambda: hr.simulate([], start="2026-01-01T00:00"), "HR-D022"),
        *(
            (lambda when=when: hr.simulate([], start=when), "HR-D022")
            for when in ("", None, 3, date(2024, 1, 1), float("nan"))
        ),
        *(
            (lambda when=when: hr.simulate([], start=when), "HR-Q380")
            for when in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", datetime.max.replace(tzinfo=UTC))
        ),
        *(
            (lambda span=span: hr.simulate(chain(), start=OSLO_MORNING).advance(span), code)
            for span, code in (("x", "HR-D022"), (5, "HR-D022"), ("1000000d", "HR-Q380"), (timedelta.max, "HR-Q380"))
        ),
        (lambda: hr.simulate(chain(), start=OSLO_MORNING, durations={"up": "long"}), "HR-D022"),
        (lambda: foresee([], datetime(2199, 12, 31, tzinfo=UTC), 48), "HR-Q380"),
        (lambda: foresee([], datetime.min.replace(tzinfo=UTC), 48), "HR-Q380"),
        (lambda: hr.simulate([3], start=OSLO_MORNING), "HR-D022"),
        (lambda: hr.simulate([*chain(), hr.schedule("up", "0 6 * * *")], start=OSLO_MORNING), "HR-D002"),
        (lambda: hr.simulate({"Sales Team": []}, start=OSLO_MORNING), "HR-D022"),
        (lambda: hr.simulate(chain(), start=OSLO_MORNING).advance_to("2025-01-01T00:00Z"), "HR-D022"),
        (lambda: hr.simulate(chain(), start=OSLO_MORNING).fail("upp"), "HR-Q001"),
        (lambda: hr.simulate(chain(), start=OSLO_MORNING).fail_check("up", "rows"), "HR-D022"),
        (lambda: hr.simulate(chain(), start=OSLO_MORNING).materialize("nothing"), "HR-Q001"),
        (lambda: hr.simulate(chain(), start=OSLO_MORNING).pause("team sales"), "HR-D022"),
        (lambda: hr.simulate(chain(), start=OSLO_MORNING).pause("team", "sails"), "HR-D022"),
        (lambda: hr.simulate(chain(), start=OSLO_MORNING).resume("schedule", "nightly"), "HR-D022"),
        (lambda: hr.simulate(chain(), start=OSLO_MORNING).answer("is_open", True), "HR-D022"),
        (lambda: hr.simulate(chain(freshness=3), start=OSLO_MORNING), "HR-D012"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: Any, code: str) -> None:
    with pytest.raises(HedgerowError) as caught:
        wrong()
    assert caught.value.problems[0].code == code
    assert isinstance(caught.value, RequestError | DefinitionError)


def test_keys_of_dynamic_partitions_come_and_go_in_a_simulation() -> None:
    customers = hr.dynamic("customers")

    @hr.asset(partitions=customers, automation=hr.on_missing())
    def invoices() -> int: ...

    sim = hr.simulate([invoices], start="2026-01-05T12:00Z")
    assert [each.assets for each in sim.add_partitions("customers", "acme", "globex")] == [
        {"invoices": ("acme", "globex")}
    ]
    assert sim.remove_partitions("team/customers", "acme") == []
    with pytest.raises(RequestError) as raised:
        sim.add_partitions("custmers", "hooli")
    assert raised.value.code == "HR-Q109"


def test_a_condition_of_the_teams_own_code_answers_as_it_is_told() -> None:
    @hr.condition
    def is_open() -> bool: ...

    @hr.asset(automation=hr.missing() & is_open)
    def orders() -> int: ...

    sim = hr.simulate([is_open, orders], start=OSLO_MORNING, materialized=False)
    sim.advance("1h")
    assert sim.launches == []
    assert names(sim.answer("is_open", True)) == ["orders"]
