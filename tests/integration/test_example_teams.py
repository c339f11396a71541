"""The example's three teams, each in this process with a few rows of the real data."""

from __future__ import annotations

import io
import zipfile
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import hedgerow as hr
from hedgerow.errors import ExecutionError
from hedgerow.settings.location import LOCATION_FILE

EXAMPLE = Path(__file__).parents[2] / "deploy" / "example"
NAMES = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,dest,"
    "air_time,distance,hour,minute,time_hour"
)
NEW_YEAR = """
2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z
2013,1,1,533,529,4,850,830,20,UA,1714,N24211,LGA,IAH,227,1416,5,29,2013-01-01T10:00:00Z
2013,1,1,542,540,2,923,850,33,AA,1141,N619AA,JFK,MIA,160,1089,5,40,2013-01-01T10:00:00Z
2013,1,1,NA,1630,NA,NA,1815,NA,EV,4308,N18120,EWR,RDU,NA,416,16,30,2013-01-01T21:00:00Z
"""
DAY_AFTER = "2013,1,2,42,2359,43,518,442,36,B6,707,N580JB,JFK,SJU,189,1598,23,59,2013-01-03T04:00:00Z\n"
TABLES = {
    "airlines": "carrier,name\nAA,American Airlines Inc.\nEV,ExpressJet Airlines Inc.\nUA,United Air Lines Inc.\n",
    "airports": "faa,name,lat,lon,alt,tz,dst,tzone\n"
    "IAH,George Bush Intercontinental,29.984433,-95.341442,97,-6,A,America/Chicago\n"
    "MIA,Miami Intl,25.79325,-80.290556,8,-5,A,America/New_York\n",
    "planes": "tailnum,year,type,manufacturer,model,engines,seats,speed,engine\n"
    "N14228,1999,Fixed wing multi engine,BOEING,737-824,2,149,NA,Turbo-fan\n"
    "N619AA,1990,Fixed wing multi engine,BOEING,757-223,2,178,NA,Turbo-fan\n",
    "weather": "origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,pressure,visib,time_hour\n"
    "EWR,2013,1,1,5,39.02,28.04,64.43,260,12.66,NA,0,1011.9,10,2013-01-01T10:00:00Z\n"
    "LGA,2013,1,1,5,39.92,24.98,54.81,250,14.96,21.86,0,1011.4,10,2013-01-01T10:00:00Z\n",
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the data files of the package, in small."""
    for name, text in TABLES.items():
        (tmp_path / f"{name}.csv").write_text(text)
    with zipfile.ZipFile(tmp_path / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", NAMES + NEW_YEAR + DAY_AFTER)
    return tmp_path


def definitions(team: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of a team's definitions."""
    monkeypatch.syspath_prepend(EXAMPLE / team)
    return import_module(f"flights_{team}.definitions")


def frame(text: str) -> pd.DataFrame:
    """A table of the package as pandas reads it, with its times as times."""
    table = pd.read_csv(io.StringIO(text))
    return table.assign(time_hour=pd.to_datetime(table["time_hour"])) if "time_hour" in table else table


def raw_tables() -> dict[str, Any]:
    """What team ingest publishes, as team analytics reads it."""
    small = {f"flights/raw/{name}": pa.Table.from_pandas(frame(text)) for name, text in TABLES.items()}
    return {**small, "flights/raw/flights": pa.Table.from_pandas(frame(NAMES + NEW_YEAR))}


@pytest.mark.parametrize("team", ["ingest", "analytics", "ml"])
def test_every_asset_of_a_team_says_what_it_is_and_who_owns_it(team: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = definitions(team, monkeypatch)
    assert (EXAMPLE / team / LOCATION_FILE).is_file()
    assets = [one for one in vars(module).values() if hasattr(one, "specs")]
    assert assets
    for asset in assets:
        assert asset.function.__doc__
        assert asset.specs[0].owners == (f"team:{team}",)
        assert asset.specs[0].group != "default"


def test_ingest_slices_one_local_day_out_of_the_year(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = definitions("ingest", monkeypatch)
    ran = hr.materialize(
        module.flights,
        partition="2013-01-01",
        definitions=[module.leaves_on_its_day],
        resources=[module.FlightFiles(files)],
    )
    flights = ran.value("flights/raw/flights")
    assert list(flights["flight"]) == [1545, 1714, 1141, 4308]
    assert flights["dep_delay"].isna().sum() == 1
    assert ran.metadata("flights/raw/flights") == {"rows": 4, "pandas": pd.__version__}
    assert all(check.passed for check in ran.checks)


def test_a_torn_day_never_becomes_current(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = definitions("ingest", monkeypatch)
    with pytest.raises(ExecutionError, match="has_a_days_worth"):
        hr.materialize(
            module.flights, partition="2013-01-01", definitions=module, resources=[module.FlightFiles(files)]
        )


def test_analytics_counts_cancelled_flights_apart_from_late_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    module = definitions("analytics", monkeypatch)
    ran = hr.materialize(module.carrier_delays, partition="2013-01-01", definitions=module, inputs=raw_tables())
    rows = {row["carrier"]: row for row in ran.value("flights/analytics/carrier_delays").to_pylist()}
    assert rows["UA"]["flights"] == 2
    assert rows["UA"]["mean_delay_min"] == 3.0
    assert (rows["EV"]["cancelled"], rows["EV"]["mean_delay_min"]) == (1, None)
    assert all(check.passed for check in ran.checks)


def test_analytics_keeps_flights_without_weather(monkeypatch: pytest.MonkeyPatch) -> None:
    module = definitions("analytics", monkeypatch)
    ran = hr.materialize(module.weather_at_departure, partition="2013-01-01", definitions=module, inputs=raw_tables())
    rows = ran.value("flights/analytics/weather_at_departure").to_pylist()
    assert [(row["origin"], row["temp"]) for row in rows] == [
        ("EWR", 39.02),
        ("LGA", 39.92),
        ("JFK", None),
        ("EWR", None),
    ]
    assert {check.check: check.passed for check in ran.checks} == {
        "one_row_per_flight": True,
        "weather_is_known": False,
    }


def test_ml_learns_nothing_from_the_days_it_is_judged_on(monkeypatch: pytest.MonkeyPatch) -> None:
    definitions("ml", monkeypatch)
    model = import_module("flights_ml.model")
    days = pd.concat(
        [frame(NAMES + NEW_YEAR + DAY_AFTER).assign(month=month, flight=range(number, number + 5))
         for number, month in enumerate([1, 2, 3, 11, 12] * 20)]
    )  # fmt: skip
    flights = days.merge(frame(TABLES["weather"]).drop(columns=["year", "month", "day", "hour"]), how="left")
    features = model.features_of(flights, frame(TABLES["planes"]))
    turned = features.assign(
        late=features["late"].where(features["date"] < pd.Timestamp("2013-10-01"), 1 - features["late"])
    )
    honest, blind = (model.fit(one, trained_until="2013-10-01", rounds=5) for one in (features, turned))
    assert honest.metrics["train_flights"] == 3 * 20 * 4
    assert honest.metrics["test_flights"] == 2 * 20 * 4
    assert list(honest.probability(features)) == list(blind.probability(features))
    assert honest.metrics["brier"] != blind.metrics["brier"]
