"""What the example's three teams declare about time and each other, played out on a virtual clock by the scheduler's own evaluator."""

from __future__ import annotations

from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import hedgerow as hr

EXAMPLE = Path(__file__).parents[2] / "deploy" / "example"
TEAMS = ("ingest", "analytics", "ml")
RAW, DAY = "flights/raw/flights", "2013-02-08"
BY_DAY = ("flights/analytics/carrier_delays", "flights/analytics/weather_at_departure", "flights/ml/features")


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The three teams together, on an afternoon in New York on which every day until then is there."""
    for team in TEAMS:
        monkeypatch.syspath_prepend(EXAMPLE / team)
    definitions = {team: import_module(f"flights_{team}.definitions") for team in TEAMS}
    return hr.simulate(definitions, start=datetime(2013, 3, 5, 14, tzinfo=ZoneInfo("America/New_York")))


def made(launches: Any) -> set[tuple[str, str | None]]:
    return {
        (key, partition) for each in launches for key, partitions in each.assets.items() for partition in partitions
    }


def test_a_day_that_is_made_again_refreshes_its_descendants_in_the_other_teams_and_no_other_day(sim: Any) -> None:
    assert made(sim.materialize(RAW, partition=DAY)) == {(RAW, DAY), *((key, DAY) for key in BY_DAY)}
    assert [each.by for each in sim.launches] == ["person", *["condition"] * (len(sim.launches) - 1)]
    assert made(sim.advance("10m")) == {("flights/analytics/route_statistics", None)}
    assert made(sim.advance("1h")) == {
        ("flights/ml/delay_model", None)
    }  # and no prediction: no held-out day has come yet


def test_each_night_brings_the_day_that_has_ended_also_when_the_clocks_are_changed(sim: Any) -> None:
    sim.advance_to("2013-03-12T12:00-04:00")
    assert [(at.strftime("%d %H:%M"), day) for at, day in sim.launched(RAW)] == [
        ("06 01:15", "2013-03-05"), ("07 01:15", "2013-03-06"), ("08 01:15", "2013-03-07"), ("09 01:15", "2013-03-08"),
        ("10 01:15", "2013-03-09"), ("11 01:15", "2013-03-10"), ("12 01:15", "2013-03-11"),
    ]  # fmt: skip
    assert [day for _, day in sim.launched("flights/ml/features")] == [day for _, day in sim.launched(RAW)]
    assert len(sim.launched("flights/ml/delay_model")) == 7


def test_a_late_ingest_turns_to_a_warning_then_late_and_is_well_when_the_day_is_there(sim: Any) -> None:
    sim.pause("schedule", "ingest/nightly", reason="the source is down")
    sim.advance_to("2013-03-06T05:59-05:00")
    assert sim.late() == {}
    sim.advance("1m")
    assert sim.late() == {(RAW, "2013-03-05"): "warn"}
    sim.advance("2h")
    assert sim.late() == {(RAW, "2013-03-05"): "late"}
    assert made(sim.materialize(RAW, partition="2013-03-05")) == {(key, "2013-03-05") for key in (RAW, *BY_DAY)}
    assert sim.late() == {}


def test_a_failing_blocking_check_holds_the_model_back_until_it_passes(sim: Any) -> None:
    sim.fail_check("flights/ml/features", "row_count")
    sim.materialize(RAW, partition=DAY)
    sim.advance("1d")
    assert sim.launched("flights/ml/delay_model") == []
    sim.fail_check("flights/ml/features", "row_count", fails=False)
    for day in (DAY, "2013-03-05"):  # the night has brought another one, which was held back as well
        sim.materialize("flights/ml/features", partition=day)
    assert made(sim.advance("61m")) == {("flights/ml/delay_model", None)}


def test_a_torn_day_stops_at_its_own_team(sim: Any) -> None:
    sim.fail_check(RAW, "has_a_days_worth")
    assert made(sim.materialize(RAW, partition=DAY)) == {(RAW, DAY)}
    assert sim.launches[-1].state == "failed"
