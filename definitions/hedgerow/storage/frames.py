"""Tables of pandas, polars and pyarrow as parquet, whichever of them the environment has."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import io
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, get_origin

from hedgerow.errors import HedgerowError, StorageError
from hedgerow.manifest.model import Column

Kind: TypeAlias = Literal["pandas", "polars", "lazy", "arrow"]

_KINDS: dict[tuple[str, str], Kind] = {
    ("pandas", "DataFrame"): "pandas",
    ("polars", "DataFrame"): "polars",
    ("polars", "LazyFrame"): "lazy",
    ("pyarrow", "Table"): "arrow",
}
_MODULES: dict[Kind, str] = {"pandas": "pandas", "polars": "polars", "lazy": "polars", "arrow": "pyarrow"}
# A wider table's schema would not fit into an event.
MAX_COLUMNS = 1_000


def kind_of(type_: Any) -> Kind | None:
    """Which kind of table a class is (or derives from), known by its module's name so that nothing is imported; else None."""
    for base in getattr(get_origin(type_) or type_, "__mro__", ()):
        kind = _KINDS.get((base.__module__.partition(".")[0], base.__name__))
        if kind is not None:
            return kind
    return None


@functools.cache
def natural_kind() -> Kind:
    """The kind of table that a reader without annotation receives: the first of pandas, polars, pyarrow that can read parquet.

    Raises `StorageError` HR-S002 when the environment has none.
    """
    found = {name for name in ("pandas", "polars", "pyarrow") if importlib.util.find_spec(name) is not None}
    if {"pandas", "pyarrow"} <= found:
        return "pandas"
    if "polars" in found:
        return "polars"
    if "pyarrow" in found:
        return "arrow"
    raise StorageError.of(
        "HR-S002",
        "Reading a table needs a library that this environment lacks.",
        "Install polars, pyarrow, or pandas with pyarrow in the team's environment.",
    )


def writer(kind: Kind, frame: Any) -> Callable[[str], None]:
    """A function that writes `frame` as parquet to the local path it is given; it raises `StorageError` HR-S001 or HR-S002."""

    def fill(path: str) -> None:
        try:
            if kind == "pandas":
                _library("pyarrow", "pandas writes and reads parquet with it")
                with open(path, "wb") as file:
                    frame.to_parquet(file, engine="pyarrow")
            elif kind == "polars":
                frame.write_parquet(path)
            elif kind == "lazy":
                frame.sink_parquet(path)
            else:
                parquet = _library("pyarrow.parquet", "its tables need its parquet part")
                with open(path, "wb") as file:
                    parquet.write_table(frame, file)
        except (HedgerowError, OSError):
            raise
        except Exception as error:
            raise StorageError.of(
                "HR-S001",
                f"The {_MODULES[kind]} table can't be written as parquet: {type(error).__name__}: {error}.",
                "Give every column a name that is text and values of one type, or return something other than a table.",
            ) from error

    return fill


def columns_of(kind: Kind, frame: Any) -> tuple[Column, ...]:
    """Name and type (in the library's own words) of the first 1,000 columns."""
    if kind == "pandas":
        pairs = zip(frame.columns, frame.dtypes, strict=True)
    elif kind == "arrow":
        pairs = zip(frame.schema.names, frame.schema.types, strict=True)
    else:
        pairs = iter((frame.collect_schema() if kind == "lazy" else frame.schema).items())
    return tuple(Column(str(name), str(type_)) for (name, type_), _ in zip(pairs, range(MAX_COLUMNS), strict=False))


def rows_of(kind: Kind, frame: Any) -> int | None:
    """The number of rows; None for a lazy table, which knows it only when written."""
    if kind == "lazy":
        return None
    return int(frame.num_rows) if kind == "arrow" else len(frame)


def rows_in_file(path: str) -> int:
    """The number of rows of a parquet file, from its footer, read by polars."""
    polars = _library("polars", "")
    return int(polars.scan_parquet(path, glob=False, hive_partitioning=False).select(polars.len()).collect().item())


def read(kind: Kind, source: str | bytes, where: str) -> Any:
    """The table in a local parquet file or its bytes, as `kind`. `where` names it in errors (HR-S002, HR-S013).

    Paths are never searched for `key=value` parts: what is in the file is what is read.
    """
    try:
        if kind == "pandas":
            _library("pyarrow", "pandas writes and reads parquet with it")
            pandas = _library("pandas", "the parameter is annotated with its type")
            if isinstance(source, bytes):
                return pandas.read_parquet(io.BytesIO(source), engine="pyarrow")
            with open(source, "rb") as file:
                return pandas.read_parquet(file, engine="pyarrow")
        if kind == "arrow":
            parquet = _library("pyarrow.parquet", "the parameter is annotated with its type")
            with parquet.ParquetFile(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
                return file.read()
        polars = _library("polars", "the parameter is annotated with its type")
        if kind == "lazy" and isinstance(source, str):
            return polars.scan_parquet(source, glob=False, hive_partitioning=False)
        if isinstance(source, bytes):
            frame = polars.read_parquet(io.BytesIO(source))
        else:
            frame = polars.read_parquet(source, glob=False, hive_partitioning=False)
        return frame.lazy() if kind == "lazy" else frame
    except (HedgerowError, OSError):
        raise
    except Exception as error:
        raise StorageError.of(
            "HR-S013",
            f"{where} can't be read as parquet: {type(error).__name__}: {error}.",
            "Materialize the upstream asset again; if it is new, check that both environments' versions of the library agree.",
        ) from error


def concatenate(frames: Sequence[Any]) -> Any:
    """One table with the rows of all, in their order; columns that some lack are filled with nulls, types are widened.

    A pandas index is kept unless every part merely counts its rows. Raises `StorageError` HR-S008 when types contradict.
    """
    kind = kind_of(type(frames[0]))
    try:
        if len(frames) == 1:
            return frames[0]
        if kind == "pandas":
            pandas = importlib.import_module("pandas")
            return pandas.concat(frames, ignore_index=all(isinstance(part.index, pandas.RangeIndex) for part in frames))
        if kind == "arrow":
            return importlib.import_module("pyarrow").concat_tables(frames, promote_options="permissive")
        return importlib.import_module("polars").concat(frames, how="diagonal_relaxed")
    except Exception as error:
        raise StorageError.of(
            "HR-S008",
            f"The partitions' tables can't be put together: {type(error).__name__}: {error}.",
            "Annotate the parameter with dict[str, ...] to receive one table per partition, or make the columns' types agree.",
        ) from error


def _library(name: str, why: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise StorageError.of(
            "HR-S002",
            f"{package} is not installed in this environment: {why}.",
            f"Add {package} to the team's environment and restart its worker.",
        ) from error
