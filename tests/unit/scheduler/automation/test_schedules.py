"""Schedules: what comes due, what becomes of ticks that were missed, and what a tick asks for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from support.scheduling import asset, manifest, published

from hedgerow.cron import Cron
from hedgerow.errors import RequestError
from hedgerow.manifest.model import Job, Schedule
from hedgerow.partitions import daily, hourly, static
from hedgerow_scheduler.automation.schedules import (
    MOST_AT_ONCE,
    MOST_COUNTED,
    CatchUp,
    Due,
    Missed,
    Place,
    Standing,
    author_of,
    due,
    passed,
    reconcile,
    request_of,
    tags_of,
)
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.request import RunRequest
from hedgerow_scheduler.planning.steps import plan_steps

OSLO, NEW_YORK, LORD_HOWE = "Europe/Oslo", "America/New_York", "Australia/Lord_Howe"
HOURLY = Cron("0 * * * *")
PLACE = Place("sales", "main", "nightly")


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-{text}+00:00")


def hours(*texts: str) -> tuple[datetime, ...]:
    return tuple(at(f"26T{text}") for text in texts)


@pytest.mark.parametrize(
    ("catch_up", "now", "launched", "missed"),
    [
        ("skip", "06:59:59", (), 0),
        ("skip", "07:00:00", ("07:00",), 0),
        ("skip", "07:00:59", ("07:00",), 0),
        ("skip", "07:01:00", (), 1),
        ("skip", "09:00:30", ("09:00",), 2),
        ("skip", "09:30:00", (), 3),
        ("last", "06:59:59", (), 0),
        ("last", "07:00:00", ("07:00",), 0),
        ("last", "07:45:00", ("07:00",), 0),
        ("last", "09:00:30", ("09:00",), 2),
        ("last", "09:30:00", ("09:00",), 2),
        ("all", "06:59:59", (), 0),
        ("all", "07:00:00", ("07:00",), 0),
        ("all", "09:30:00", ("07:00", "08:00", "09:00"), 0),
    ],
)
def test_what_is_launched_of_the_ticks_since_six(
    catch_up: CatchUp, now: str, launched: tuple[str, ...], missed: int
) -> None:
    found = due(HOURLY, catch_up, at("26T06:00"), at(f"26T{now}"))
    if not launched and not missed:
        assert found is None
        return
    assert found is not None
    assert found.launch == hours(*launched)
    assert (found.missed.count if found.missed else 0) == missed
    assert found.last == hours(now[:2] + ":00")[0]


def test_what_was_missed_says_from_when_to_when() -> None:
    found = due(HOURLY, "last", at("26T06:00"), at("26T09:30"))
    assert found == Due(hours("09:00"), Missed(*hours("07:00", "08:00"), 2), hours("09:00")[0])
    assert str(found.missed) == "2 ticks since 2026-11-26 07:00 UTC"


def test_after_a_long_outage_not_every_tick_is_counted() -> None:
    minutely, last, now = Cron("* * * * *"), at("01T00:00"), at("26T00:00:30")
    found = due(minutely, "last", last, now)
    assert found is not None
    assert found.launch == (at("26T00:00"),)
    assert found.missed == Missed(at("01T00:01"), at("25T23:59"), MOST_COUNTED)
    assert str(found.missed) == "100 or more ticks since 2026-11-01 00:01 UTC"


def test_all_ticks_of_a_long_outage_are_launched_in_portions_oldest_first() -> None:
    last, launched = at("25T00:30"), []
    while found := due(HOURLY, "all", last, at("26T06:30")):
        assert len(found.launch) <= MOST_AT_ONCE
        launched += found.launch
        last = found.last
    assert launched == [at("25T01:00") + timedelta(hours=count) for count in range(30)]


def test_while_a_schedule_is_paused_all_its_ticks_are_missed() -> None:
    assert passed(HOURLY, at("26T06:00"), at("26T06:59")) is None
    assert passed(HOURLY, at("26T06:00"), at("26T08:00:01")) == Due(
        (), Missed(*hours("07:00", "08:00"), 2), hours("08:00")[0]
    )


@pytest.mark.parametrize(
    ("expression", "tz", "start", "end", "expected"),
    [
        ("30 2 * * *", OSLO, "2026-03-28", "2026-03-31", ["28T02:30+01:00", "29T03:00+02:00", "30T02:30+02:00"]),
        ("30 2 * * *", OSLO, "2026-10-24", "2026-10-27", ["24T02:30+02:00", "25T02:30+02:00", "26T02:30+01:00"]),
        ("0 2 * * *", NEW_YORK, "2026-03-07", "2026-03-10", ["07T02:00-05:00", "08T03:00-04:00", "09T02:00-04:00"]),
        ("30 1 * * *", NEW_YORK, "2026-10-31", "2026-11-03", ["31T01:30-04:00", "01T01:30-04:00", "02T01:30-05:00"]),
        ("15 2 * * *", LORD_HOWE, "2026-10-03", "2026-10-06", ["03T02:15+10:30", "04T02:30+11:00", "05T02:15+11:00"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-04", "2026-04-07", ["04T01:45+11:00", "05T01:45+11:00", "06T01:45+10:30"]),
        ("0 0 29 2 *", "UTC", "2028-02-28", "2028-03-02", ["29T00:00+00:00"]),
        ("0 0 29 2 *", "UTC", "2027-02-28", "2027-03-02", []),
        ("0 0 L * *", OSLO, "2026-02-27", "2026-03-02", ["28T00:00+01:00"]),
        ("0 0 31 * *", OSLO, "2026-04-29", "2026-05-02", []),
        ("0 12 31 * *", OSLO, "2026-05-30", "2026-06-02", ["31T12:00+02:00"]),
    ],
)
@pytest.mark.parametrize("catch_up", ["skip", "last", "all"])
def test_a_scheduler_that_looks_every_twenty_seconds_launches_each_tick_once(
    expression: str, tz: str, start: str, end: str, expected: list[str], catch_up: CatchUp
) -> None:
    zone, times, launched = ZoneInfo(tz), Cron(expression, tz), []
    now = last = datetime.fromisoformat(start).replace(tzinfo=zone).astimezone(UTC)
    until = datetime.fromisoformat(end).replace(tzinfo=zone).astimezone(UTC)
    step = timedelta(minutes=7) if catch_up != "skip" else timedelta(seconds=59)
    while now < until:
        now += step
        if found := due(times, catch_up, last, now):
            assert found.missed is None
            launched += found.launch
            last = found.last
    assert [tick.astimezone(zone).strftime("%dT%H:%M%z") for tick in launched] == [
        text[:-3] + text[-2:] for text in expected
    ]


# -- what is declared and what is recorded ---------------------------------------------------------------------------------

NIGHTLY = Schedule("nightly", "group:sales", "0 2 * * *", "Europe/Oslo")
NOW = at("26T12:00")
KEPT = Standing(*PLACE, NIGHTLY.cron, NIGHTLY.tz, at("26T01:00"))


@pytest.mark.parametrize(
    ("standing", "schedule", "enabled", "expected"),
    [
        (None, NIGHTLY, True, NOW),
        (None, NIGHTLY, False, None),
        (KEPT, NIGHTLY, True, "kept"),
        (KEPT, NIGHTLY, False, None),
        (KEPT, Schedule("nightly", "x", "0 2 * * *", "Europe/Oslo", enabled=False), True, None),
        (KEPT, Schedule("nightly", "other", "0 2 * * *", "Europe/Oslo"), True, "kept"),
        (KEPT, Schedule("nightly", "group:sales", "0 3 * * *", "Europe/Oslo"), True, NOW),
        (KEPT, Schedule("nightly", "group:sales", "0 2 * * *"), True, NOW),
        (Standing(*PLACE, NIGHTLY.cron, NIGHTLY.tz, None), NIGHTLY, True, NOW),
        (Standing(*PLACE, NIGHTLY.cron, NIGHTLY.tz, None), NIGHTLY, False, "kept"),
    ],
)
def test_what_is_new_or_was_switched_on_begins_with_the_next_tick(
    standing: Standing | None, schedule: Schedule, enabled: bool, expected: datetime | str | None
) -> None:
    known = {PLACE: standing} if standing is not None else {}
    found = list(reconcile(known, {PLACE: schedule}, NOW, enabled))
    assert found == (
        [] if expected == "kept" else [Standing(*PLACE, schedule.cron, schedule.tz, expected)]  # type: ignore[arg-type]
    )


# -- what a tick asks for --------------------------------------------------------------------------------------------------

CATALOG = Catalog(
    published(one)
    for one in (
        manifest("ml", asset("model"), jobs=(Job("nightly", "model"),)),
        manifest(
            "sales",
            asset("raw", partitions=hourly("2026-01-01T00")),
            asset("orders", "raw", partitions=daily("2026-01-01", tz=OSLO) * static("no", "se", dim="country")),
            asset("totals", config_schema={"type": "object"}),
            asset("later", partitions=daily("2030-01-01")),
            jobs=(Job("nightly", "totals", tags={"tier": "gold", "a": "job"}),),
        ),
    )
)
TICK = at("26T01:00")


def planned(*selection: str, at: datetime = TICK) -> list[tuple[str, str | None]]:
    steps = plan_steps(CATALOG, RunRequest(selection, latest_at=at), NOW)
    return [(step.computation, step.partition) for step in steps]


def test_a_tick_makes_the_last_windows_that_are_complete_and_all_keys_of_other_dimensions() -> None:
    assert planned("raw", "orders", "totals") == [
        ("raw", "2026-11-26T00"),
        ("totals", None),
        ("orders", "2026-11-25|no"),
        ("orders", "2026-11-25|se"),
    ]


def test_a_window_that_ends_with_the_tick_is_complete_and_one_that_ends_later_is_not() -> None:
    midnight = at("25T23:00")  # in Oslo
    assert planned("orders", at=midnight)[0] == ("orders", "2026-11-25|no")
    assert planned("orders", at=midnight - timedelta(seconds=1))[0] == ("orders", "2026-11-24|no")


def test_what_has_no_complete_window_yet_is_left_out_and_refused_alone() -> None:
    assert planned("later", "totals") == [("totals", None)]
    with pytest.raises(RequestError) as raised:
        planned("later")
    assert raised.value.code == "HR-Q101"
    assert "'later' has no complete partition" in raised.value.problems[0].message


def test_the_latest_and_given_partitions_are_not_to_be_had_together() -> None:
    with pytest.raises(RequestError) as raised:
        plan_steps(CATALOG, RunRequest(("raw",), partitions=("2026-11-26T00",), latest_at=TICK), NOW)
    assert raised.value.code == "HR-Q105"


def test_a_tick_asks_for_the_own_teams_job_with_its_tags_and_says_what_it_is() -> None:
    schedule = Schedule("nightly", "job:nightly", "0 2 * * *", tags={"a": "schedule"}, config={"totals": {"x": 1}})
    request = request_of(PLACE, schedule, TICK, CATALOG.jobs)
    assert request == RunRequest(("job:sales/nightly",), config={"totals": {"x": 1}}, latest_at=TICK)
    assert [step.computation for step in plan_steps(CATALOG, request, NOW)] == ["totals"]
    assert tags_of(PLACE, schedule, TICK, CATALOG.jobs) == {
        "tier": "gold",
        "a": "schedule",
        "schedule": "sales/nightly",
        "tick": "2026-11-26T01:00:00Z",
    }
    assert author_of(PLACE) == "schedule sales/nightly"


def test_a_schedule_of_checks_only_asks_for_these() -> None:
    schedule = Schedule("mornings", "orders", "0 6 * * *", checks_only=True)
    assert request_of(PLACE, schedule, TICK, {}) == RunRequest(("orders",), latest_at=TICK, checks_only=True)


@pytest.mark.parametrize("selection", ["group:sales", "job:nightly totals", "job:unknown", "job:ml/nightly"])
def test_other_selections_are_asked_for_as_they_are(selection: str) -> None:
    request = request_of(PLACE, Schedule("nightly", selection, "0 2 * * *", partitions=None), TICK, CATALOG.jobs)
    assert request == RunRequest((selection,))


def test_ticks_of_a_schedule_are_a_minute_apart_so_that_at_most_one_is_not_missed() -> None:
    found = due(Cron("* * * * *"), "skip", at("26T06:00"), at("26T06:10:59"))
    assert found is not None
    assert found.launch == (at("26T06:10"),)
    assert found.missed is not None
    assert found.missed.count == 9
