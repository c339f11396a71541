"""Delays by carrier, statistics by route, and the weather at departure, computed by DuckDB from the raw tables."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa

import hedgerow as hr
from flights_analytics.sql import query

DAILY = hr.daily("2013-01-01", end="2014-01-01", tz="America/New_York")
OWNERS = ["team:analytics"]
VERSIONS = {"duckdb": duckdb.__version__, "pyarrow": pa.__version__}
LATE_MINUTES = 15
# A day's table follows whenever something that it is made from is made anew, whichever team does so, and whichever day it is.
FOLLOWS = hr.eager(window="all")


def counted(table: pa.Table, **metadata: Any) -> hr.Result[pa.Table]:
    """The table, with its number of rows and the versions that made it as metadata."""
    return hr.Result(table, metadata={"rows": table.num_rows, **VERSIONS, **metadata})


@hr.asset(
    key="flights/analytics/carrier_delays",
    partitions=DAILY,
    deps=["flights/raw/flights", "flights/raw/airlines"],
    group="delays",
    owners=OWNERS,
    kinds={"duckdb"},
    tags={"tier": "gold"},
    automation=FOLLOWS,
    columns=[
        hr.Column("date", "date"),
        hr.Column("carrier", "string", "two-letter code"),
        hr.Column("airline", "string"),
        hr.Column("flights", "int64", "scheduled departures"),
        hr.Column("cancelled", "int64", "departures that did not happen"),
        hr.Column("mean_delay_min", "double", "of the flights that left; early departures count as negative"),
        hr.Column("p90_delay_min", "double", "nine of ten flights left with less delay"),
        hr.Column("late_share", "double", "share of the flights that left over 15 minutes late"),
    ],
)
def carrier_delays(flights: pa.Table, airlines: pa.Table) -> hr.Result[pa.Table]:
    """One row per carrier and day: flights, cancellations, and how late those that left were."""
    return counted(
        query(
            f"""
            SELECT make_date(year, month, day) AS date, carrier, name AS airline, count(*) AS flights,
                   count(*) FILTER (dep_time IS NULL) AS cancelled, avg(dep_delay) AS mean_delay_min,
                   quantile_cont(dep_delay, 0.9) AS p90_delay_min,
                   avg((dep_delay > {LATE_MINUTES})::INT) AS late_share
            FROM flights LEFT JOIN airlines USING (carrier)
            GROUP BY ALL ORDER BY carrier
            """,
            flights=flights,
            airlines=airlines,
        )
    )


@hr.check("flights/analytics/carrier_delays", blocking=True)
def every_carrier_has_a_name(carrier_delays: pa.Table) -> hr.CheckResult:
    """No carrier is missing from the list of airlines, and none appears twice."""
    nameless = carrier_delays["airline"].null_count
    distinct = len(set(carrier_delays["carrier"].to_pylist()))
    return hr.CheckResult(nameless == 0 and distinct == carrier_delays.num_rows, metadata={"nameless": nameless})


@hr.asset(
    key="flights/analytics/route_statistics",
    deps=[hr.dep("flights/raw/flights", partitions=hr.mapping.all()), "flights/raw/airports"],
    group="routes",
    owners=OWNERS,
    kinds={"duckdb"},
    tags={"tier": "gold"},
    automation=FOLLOWS.debounce("10m"),  # it reads all days: once they have settled, not once for each
)
def route_statistics(flights: pa.Table, airports: pa.Table) -> hr.Result[pa.Table]:
    """One row per route over all days: flights, distance, time in the air, delays. Some Caribbean airports have no name."""
    return counted(
        query(
            f"""
            SELECT origin, dest, airports.name AS destination, count(*) AS flights, any_value(distance) AS distance_miles,
                   avg(air_time) AS mean_air_time_min, avg(arr_delay) AS mean_arrival_delay_min,
                   avg((dep_delay > {LATE_MINUTES})::INT) AS late_share, avg((dep_time IS NULL)::INT) AS cancelled_share
            FROM flights LEFT JOIN airports ON faa = dest
            GROUP BY origin, dest, airports.name ORDER BY flights DESC, origin, dest
            """,
            flights=flights,
            airports=airports,
        ),
        flights=flights.num_rows,
    )


@hr.check("flights/analytics/route_statistics", blocking=True)
def routes_are_distinct(route_statistics: pa.Table) -> hr.CheckResult:
    """No route appears twice, and each has a flight."""
    routes = list(zip(route_statistics["origin"].to_pylist(), route_statistics["dest"].to_pylist(), strict=True))
    empty = sum(count < 1 for count in route_statistics["flights"].to_pylist())
    return hr.CheckResult(len(set(routes)) == len(routes) and empty == 0, metadata={"routes": len(routes)})


@hr.asset(
    key="flights/analytics/weather_at_departure",
    partitions=DAILY,
    deps=["flights/raw/flights", "flights/raw/weather"],
    group="weather",
    owners=OWNERS,
    kinds={"duckdb"},
    tags={"tier": "silver"},
    automation=FOLLOWS,
)
def weather_at_departure(flights: pa.Table, weather: pa.Table) -> hr.Result[pa.Table]:
    """The day's flights with the weather at their airport in the scheduled hour; null where no weather was recorded."""
    joined = query(
        """
        SELECT flights.*, temp, dewp, humid, wind_dir, wind_speed, wind_gust, precip, pressure, visib
        FROM flights LEFT JOIN weather USING (origin, time_hour)
        ORDER BY sched_dep_time, carrier, flight
        """,
        flights=flights,
        weather=weather,
    )
    return counted(joined, flights=flights.num_rows)


@hr.check("flights/analytics/weather_at_departure", blocking=True)
def one_row_per_flight(weather_at_departure: pa.Table) -> hr.CheckResult:
    """The join neither lost nor doubled a flight."""
    keys = ["carrier", "flight", "origin", "dest", "sched_dep_time"]
    distinct = weather_at_departure.group_by(keys).aggregate([]).num_rows
    rows = weather_at_departure.num_rows
    return hr.CheckResult(rows > 0 and distinct == rows, metadata={"rows": rows, "distinct": distinct})


@hr.check("flights/analytics/weather_at_departure", severity="warn")
def weather_is_known(weather_at_departure: pa.Table) -> hr.CheckResult:
    """At most a twentieth of the flights lack weather. (31 December fails: the record ends the evening before. It warns only.)"""
    share = weather_at_departure["temp"].null_count / max(weather_at_departure.num_rows, 1)
    return hr.CheckResult(share <= 0.05, metadata={"unknown_share": round(share, 4)})


daily_reports = hr.job(
    "daily_reports", "team:analytics", description="Delays, routes and weather for the days that were asked for."
)
