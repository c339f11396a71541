"""The raw tables as assets: four small ones, and the flights by local day of departure."""

from __future__ import annotations

import pandas as pd

import hedgerow as hr
from flights_ingest.source import FlightFiles

DAILY = hr.daily("2013-01-01", end="2014-01-01", tz="America/New_York")
OWNERS = ["team:ingest"]
VERSIONS = {"pandas": pd.__version__}
FILES = FlightFiles()


class Torn(hr.Config):
    """What is left of a day, to see what becomes of one that came in torn: all of it, unless someone asks for less."""

    kept: float = 1.0


def counted(frame: pd.DataFrame) -> hr.Result[pd.DataFrame]:
    """The frame, with its number of rows and the versions that made it as metadata."""
    return hr.Result(frame, metadata={"rows": len(frame), **VERSIONS})


@hr.asset(key="flights/raw/airlines", group="reference", owners=OWNERS, kinds={"pandas"}, tags={"tier": "raw"})
def airlines(files: FlightFiles) -> hr.Result[pd.DataFrame]:
    """The carriers' two-letter codes and names."""
    return counted(files.table("airlines"))


@hr.asset(key="flights/raw/airports", group="reference", owners=OWNERS, kinds={"pandas"}, tags={"tier": "raw"})
def airports(files: FlightFiles) -> hr.Result[pd.DataFrame]:
    """Airports of the United States by FAA code, with position and time zone."""
    return counted(files.table("airports"))


@hr.asset(key="flights/raw/planes", group="reference", owners=OWNERS, kinds={"pandas"}, tags={"tier": "raw"})
def planes(files: FlightFiles) -> hr.Result[pd.DataFrame]:
    """Aircraft by tail number, with the year they were built, maker, model and seats."""
    return counted(files.table("planes"))


@hr.asset(key="flights/raw/weather", group="weather", owners=OWNERS, kinds={"pandas"}, tags={"tier": "raw"})
def weather(files: FlightFiles) -> hr.Result[pd.DataFrame]:
    """Hourly weather at EWR, JFK and LGA. The year's last hours are missing: the series ends on the evening of 30 December."""
    frame = files.table("weather")
    return counted(frame.assign(time_hour=pd.to_datetime(frame["time_hour"])))


@hr.asset(
    key="flights/raw/flights",
    partitions=DAILY,
    group="flights",
    owners=OWNERS,
    kinds={"pandas"},
    tags={"tier": "raw"},
    columns=[
        hr.Column("year", "int16"),
        hr.Column("month", "int8"),
        hr.Column("day", "int8", "local date of departure, with year and month"),
        hr.Column("dep_time", "int16", "local, as hhmm; missing when the flight was cancelled"),
        hr.Column("sched_dep_time", "int16", "local, as hhmm"),
        hr.Column("dep_delay", "int16", "minutes; negative when early"),
        hr.Column("arr_time", "int16", "local, as hhmm"),
        hr.Column("sched_arr_time", "int16", "local, as hhmm"),
        hr.Column("arr_delay", "int16", "minutes; negative when early"),
        hr.Column("carrier", "string", "two-letter code, see flights/raw/airlines"),
        hr.Column("flight", "int32", "the flight's number"),
        hr.Column("tailnum", "string", "the aircraft, see flights/raw/planes"),
        hr.Column("origin", "string", "EWR, JFK or LGA"),
        hr.Column("dest", "string", "FAA code, see flights/raw/airports"),
        hr.Column("air_time", "int16", "minutes"),
        hr.Column("distance", "int32", "miles"),
        hr.Column("hour", "int8", "of the scheduled departure"),
        hr.Column("minute", "int8", "of the scheduled departure"),
        hr.Column("time_hour", "timestamp[UTC]", "the scheduled hour, for joining with flights/raw/weather"),
    ],
    retry=hr.Retry(2, delay="1s"),
    # A day is to be there eight hours after it is over in New York; two hours before that someone may want to know.
    freshness=hr.fresh_within("8h", warn="6h"),
    backfill=hr.Backfill(max_partitions_per_run=31),
)
def flights(ctx: hr.Context, files: FlightFiles, torn: Torn) -> hr.Result[pd.DataFrame]:
    """Every scheduled departure from EWR, JFK and LGA on one local day, cancelled flights included."""
    day = files.day(ctx.partition_key)
    return counted(day.head(round(len(day) * torn.kept)))


names_are_there = hr.expect.not_null("flights/raw/flights", "carrier", "origin", "dest", "time_hour", blocking=True)


@hr.check("flights/raw/flights", blocking=True)
def has_a_days_worth(flights: pd.DataFrame) -> hr.CheckResult:
    """Between 500 and 1,100 departures were scheduled: on any less or more the day is torn or doubled."""
    return hr.CheckResult(500 <= len(flights) <= 1100, metadata={"rows": len(flights)})


@hr.check("flights/raw/flights", blocking=True)
def leaves_on_its_day(ctx: hr.Context, flights: pd.DataFrame) -> hr.CheckResult:
    """Every row belongs to the partition's local day, and none is there twice."""
    dates = pd.to_datetime(flights[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
    strays = int((dates != ctx.partition_key).sum())
    doubles = int(flights.duplicated(["carrier", "flight", "origin", "dest", "sched_dep_time"]).sum())
    return hr.CheckResult(strays == 0 and doubles == 0, metadata={"strays": strays, "doubles": doubles})


@hr.check("flights/raw/flights", severity="warn")
def cancellations_are_rare(flights: pd.DataFrame) -> hr.CheckResult:
    """At most a tenth of the day's flights were cancelled. (Storms fail this check: it warns, it does not block.)"""
    share = float(flights["dep_time"].isna().mean())
    return hr.CheckResult(share <= 0.10, metadata={"cancelled_share": round(share, 4)})


@hr.check("flights/raw/weather", blocking=True)
def covers_three_airports(weather: pd.DataFrame) -> hr.CheckResult:
    """Each of the three airports has at least 95 % of the year's 8,760 hours, each hour once."""
    hours = weather.groupby("origin")["time_hour"].nunique()
    once = not weather.duplicated(["origin", "time_hour"]).any()
    complete = set(hours.index) == {"EWR", "JFK", "LGA"} and bool((hours >= 0.95 * 8760).all())
    return hr.CheckResult(once and complete, metadata={str(origin): int(count) for origin, count in hours.items()})


ingest_all = hr.job("ingest_all", "team:ingest", description="All raw tables, and the flights of the chosen days.")

# The day that has just ended, each night; twice on no night and left out on none, also when the clocks are changed.
nightly = hr.schedule("flights/raw/flights", "15 1 * * *", tz="America/New_York", description="The day that has ended.")


@hr.on_event("asset_late", "run_failed", assets="flights/raw/flights")
def tell_the_night_shift(event: hr.Event) -> None:
    """What a pager would be told; here it is in the log of the delivery (`hedgerow reaction show`)."""
    print(f"{event.severity}: {event.kind} {event.asset} {event.partition} {event.message}")
