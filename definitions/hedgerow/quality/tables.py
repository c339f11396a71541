"""What ready-made checks ask of a table, whichever library made it: pandas, polars, pyarrow, or a list of mappings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hedgerow.storage.frames import columns_of, kind_of

EXAMPLES = 5


class Table(Protocol):
    """A table. A column that there is not raises KeyError with its name."""

    def rows(self) -> int:
        """The number of rows."""

    def columns(self) -> dict[str, str]:
        """The columns with their types, in the library's own words; "" where values have none in common."""

    def nulls(self, column: str) -> int:
        """How many values are missing (null, None, NaN)."""

    def doubles(self, columns: Sequence[str]) -> int:
        """How many rows have the values of an earlier row in these columns."""

    def outside(self, column: str, least: Any, most: Any) -> tuple[int, list[Any]]:
        """How many values lie below `least` or above `most` (None: without bound), and some of them. Missing ones do not count."""


def table_of(value: Any) -> Table:
    """The table that a value is; TypeError when it is none."""
    kind = kind_of(type(value))
    if kind == "lazy":
        value, kind = value.collect(), "polars"
    if kind == "pandas":
        return _Pandas(value)
    if kind == "polars":
        return _Polars(value)
    if kind == "arrow":
        return _Arrow(value)
    if (
        isinstance(value, Sequence)
        and not isinstance(value, str | bytes)
        and all(isinstance(r, Mapping) for r in value)
    ):
        return _Records(value)
    raise TypeError(
        f"a {type(value).__name__} is no table: these checks know tables of pandas, polars and pyarrow, and lists of dicts"
    )


class _Frame:
    def __init__(self, frame: Any) -> None:
        self.frame = frame

    def columns(self) -> dict[str, str]:
        kind = kind_of(type(self.frame))
        assert kind is not None
        return {column.name: column.type for column in columns_of(kind, self.frame)}

    def _known(self, column: str) -> str:
        if column not in self.columns():
            raise KeyError(column)
        return column


class _Pandas(_Frame):
    def rows(self) -> int:
        return len(self.frame)

    def nulls(self, column: str) -> int:
        return int(self.frame[self._known(column)].isna().sum())

    def doubles(self, columns: Sequence[str]) -> int:
        return int(self.frame.duplicated(subset=[self._known(each) for each in columns]).sum())

    def outside(self, column: str, least: Any, most: Any) -> tuple[int, list[Any]]:
        values = self.frame[self._known(column)].dropna()
        if least is not None and most is not None:
            wrong = values[(values < least) | (values > most)]
        else:
            wrong = values[values < least] if most is None else values[values > most]
        return len(wrong), wrong.head(EXAMPLES).tolist()


class _Polars(_Frame):
    def rows(self) -> int:
        return int(self.frame.height)

    def nulls(self, column: str) -> int:
        values = self.frame[self._known(column)]
        found = int(values.null_count())
        return found + (int(values.is_nan().sum() or 0) if values.dtype.is_float() else 0)

    def doubles(self, columns: Sequence[str]) -> int:
        chosen = self.frame.select([self._known(each) for each in columns])
        return int(chosen.height - chosen.n_unique()) if chosen.height else 0

    def outside(self, column: str, least: Any, most: Any) -> tuple[int, list[Any]]:
        values = self.frame[self._known(column)].drop_nulls()
        if values.dtype.is_float():
            values = values.drop_nans()
        if not len(values):  # of no type that can be compared, maybe
            return 0, []
        wrong = values.clear()
        if least is not None:
            wrong = values.filter(values < least)
        if most is not None:
            wrong = wrong.append(values.filter(values > most))
        return len(wrong), wrong.head(EXAMPLES).to_list()


class _Arrow(_Frame):
    def rows(self) -> int:
        return int(self.frame.num_rows)

    def nulls(self, column: str) -> int:
        values = self.frame.column(self._known(column))
        return int(self._compute().sum(self._compute().is_null(values, nan_is_null=True)).as_py() or 0)

    def doubles(self, columns: Sequence[str]) -> int:
        known = [self._known(each) for each in columns]
        return int(self.frame.num_rows - self.frame.group_by(known).aggregate([]).num_rows)

    def outside(self, column: str, least: Any, most: Any) -> tuple[int, list[Any]]:
        compute, values = self._compute(), self.frame.column(self._known(column)).drop_null()
        found: list[Any] = []
        count = 0
        for bound, below in ((least, compute.less), (most, compute.greater)):
            if bound is not None:
                wrong = values.filter(below(values, bound))
                count += len(wrong)
                found += wrong.slice(0, EXAMPLES).to_pylist()
        return count, found[:EXAMPLES]

    @staticmethod
    def _compute() -> Any:
        import pyarrow.compute

        return pyarrow.compute


class _Records:
    def __init__(self, records: Sequence[Mapping[str, Any]]) -> None:
        self.records = records

    def rows(self) -> int:
        return len(self.records)

    def columns(self) -> dict[str, str]:
        types: dict[str, set[str]] = {}
        for record in self.records:
            for name, value in record.items():
                types.setdefault(str(name), set()).update({type(value).__name__} - {"NoneType"})
        return {name: next(iter(found)) if len(found) == 1 else "" for name, found in types.items()}

    def nulls(self, column: str) -> int:
        return sum(value is None or value != value for value in self._values(column))  # NaN is not itself

    def doubles(self, columns: Sequence[str]) -> int:
        rows = Counter(zip(*(map(repr, self._values(each)) for each in columns), strict=True))
        return self.rows() - len(rows)

    def outside(self, column: str, least: Any, most: Any) -> tuple[int, list[Any]]:
        values = [each for each in self._values(column) if each is not None and each == each]
        wrong = [each for each in values if (least is not None and each < least) or (most is not None and each > most)]
        return len(wrong), wrong[:EXAMPLES]

    def _values(self, column: str) -> list[Any]:
        if self.records and not any(column in record for record in self.records):
            raise KeyError(column)
        return [record.get(column) for record in self.records]
