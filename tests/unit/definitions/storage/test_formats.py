"""Every type of value is stored in its format and comes back as each type that a reader may ask for."""

from __future__ import annotations

import math
import pickle
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from hedgerow.errors import StorageError
from hedgerow.io import Target
from hedgerow.storage import Reader, Written, load, location, write
from hedgerow.storage import frames as frames_module

OWN = Reader("a", same_team=True)


def target(root: Path, partition: str | None = None, attempt: str = "0190", asset: str = "a") -> Target:
    return Target(asset, partition, attempt, "run", location(str(root), asset, partition, attempt))


def written(value: object, root: Path, **place: Any) -> Written:
    result = write(value, target(root, **place))
    assert result is not None
    return result


@pytest.mark.parametrize(
    ("value", "format_", "suffix"),
    [
        ({"a": [1, 2.5, None, True, "x"]}, "json", "json"),
        ([], "json", "json"),
        (3, "json", "json"),
        (2.5, "json", "json"),
        (False, "json", "json"),
        ("héllo\n", "text", "txt"),
        (b"\x00\xff", "bytes", "bin"),
        ({1: "a"}, "pickle", "pkl"),
        ({"when": math.inf}, "pickle", "pkl"),
        (("a", "b"), "pickle", "pkl"),
        ([("a", 1)], "pickle", "pkl"),
        ({"s": {1, 2}}, "pickle", "pkl"),
        ("\ud800", "pickle", "pkl"),
        (2**100, "json", "json"),
    ],
)
def test_a_plain_value_comes_back_equal(value: object, format_: str, suffix: str, tmp_path: Path) -> None:
    reference = written(value, tmp_path).reference
    assert (reference.format, reference.uri) == (format_, f"{tmp_path}/a/0190.{suffix}")
    loaded = load([reference], None, OWN)
    assert loaded == value
    assert type(loaded) is type(value)


def test_a_number_of_numpy_is_stored_as_json(tmp_path: Path) -> None:
    assert written(numpy.float64(0.5), tmp_path).reference.format == "json"


def test_none_stores_nothing(tmp_path: Path) -> None:
    assert write(None, target(tmp_path)) is None
    assert list(tmp_path.iterdir()) == []


TABLES = {
    pd.DataFrame: pd.DataFrame({"n": [1, 2], "s": ["x", None]}),
    pl.DataFrame: pl.DataFrame({"n": [1, 2], "s": ["x", None]}),
    pl.LazyFrame: pl.LazyFrame({"n": [1, 2], "s": ["x", None]}),
    pa.Table: pa.table({"n": [1, 2], "s": ["x", None]}),
}


@pytest.mark.parametrize("source", TABLES, ids=lambda t: f"{t.__module__.split('.')[0]}.{t.__name__}")
@pytest.mark.parametrize("wanted", TABLES, ids=lambda t: f"{t.__module__.split('.')[0]}.{t.__name__}")
def test_a_table_of_one_library_is_read_by_another(source: type, wanted: type, tmp_path: Path) -> None:
    result = written(TABLES[source], tmp_path)
    assert result.rows == 2
    assert [column.name for column in result.columns] == ["n", "s"]
    assert all(column.type for column in result.columns)
    frame = load([result.reference], wanted, Reader("a"))
    assert isinstance(frame, wanted)
    as_polars = frame.collect() if isinstance(frame, pl.LazyFrame) else pl.DataFrame(frame)
    assert as_polars.to_dict(as_series=False) == {"n": [1, 2], "s": ["x", None]}


@pytest.mark.parametrize("type_", TABLES, ids=lambda t: f"{t.__module__.split('.')[0]}.{t.__name__}")
def test_a_partition_key_may_hold_anything_without_confusing_a_library(type_: type, tmp_path: Path) -> None:
    root = tmp_path / "year=2024" / "a*b [c] ~ü"
    reference = written(TABLES[type_], root, partition="k=v|*? %7C/ü").reference
    frame = load([reference], type_, OWN)
    frame = frame.collect() if isinstance(frame, pl.LazyFrame) else pl.DataFrame(frame)
    assert frame.columns == ["n", "s"]


def test_annotations_with_more_to_them_are_understood(tmp_path: Path) -> None:
    reference = written(TABLES[pl.DataFrame], tmp_path).reference
    assert isinstance(load([reference], Annotated[pl.DataFrame, "checked"], OWN), pl.DataFrame)


def test_without_annotation_a_table_is_what_the_environment_has_first(tmp_path: Path) -> None:
    reference = written(TABLES[pl.DataFrame], tmp_path).reference
    assert isinstance(load([reference], None, OWN), pd.DataFrame)
    assert isinstance(load([reference], pl.DataFrame | None, OWN), pl.DataFrame)


def test_a_wide_table_keeps_the_first_thousand_columns_of_its_schema(tmp_path: Path) -> None:
    wide = pl.DataFrame({f"c{i}": [i] for i in range(1_500)})
    assert len(written(wide, tmp_path).columns) == 1_000


def test_a_returned_file_is_stored_with_its_suffix(tmp_path: Path) -> None:
    source = tmp_path / "model.onnx"
    source.write_bytes(b"weights")
    reference = written(source, tmp_path / "out").reference
    assert (reference.format, reference.uri.rsplit(".", 1)[1], reference.size_bytes) == ("bytes", "onnx", 7)
    assert load([reference], Path, OWN).read_bytes() == b"weights"
    assert load([reference], bytes, OWN) == b"weights"


def test_a_returned_parquet_file_is_a_table_to_its_readers(tmp_path: Path) -> None:
    TABLES[pl.DataFrame].write_parquet(tmp_path / "x.parquet")
    reference = written(tmp_path / "x.parquet", tmp_path / "out").reference
    assert load([reference], pl.DataFrame, OWN).equals(TABLES[pl.DataFrame])


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_returned_folder_or_missing_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        write(tmp_path / name, target(tmp_path / "out"))
    assert caught.value.code == "HR-S009"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format_value", [{"a": 1}, "text", b"bytes"])
def test_any_file_can_be_read_as_bytes_or_path(format_value: object, tmp_path: Path) -> None:
    reference = written(format_value, tmp_path).reference
    raw = Path(reference.uri).read_bytes()
    assert load([reference], bytes, OWN) == raw
    assert load([reference], Path, OWN) == Path(reference.uri)


class Point(msgspec.Struct):
    x: int
    y: int


def test_json_becomes_the_struct_that_the_reader_asks_for(tmp_path: Path) -> None:
    reference = written({"x": 1, "y": 2}, tmp_path).reference
    assert load([reference], Point, OWN) == Point(1, 2)
    assert load([reference], dict[str, int], OWN) == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("value", "wanted"), [({"a": 1}, pd.DataFrame), ({"a": 1}, list), ("x", dict), (b"x", pa.Table), (1.5, int)]
)
def test_a_type_that_the_format_does_not_give_is_refused(value: object, wanted: type, tmp_path: Path) -> None:
    reference = written(value, tmp_path).reference
    with pytest.raises(StorageError) as caught:
        load([reference], wanted, OWN)
    assert caught.value.code == "HR-S005"


def test_an_unpicklable_output_names_asset_and_type_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"'a' returned a builtins\.generator") as caught:
        write((i for i in range(3)), target(tmp_path))
    assert caught.value.code == "HR-S003"
    assert list(tmp_path.iterdir()) == []


def test_a_pickle_of_another_team_is_refused_whatever_it_is_asked_for_as(tmp_path: Path) -> None:
    reference = written({1, 2}, tmp_path).reference
    for wanted in (None, set, bytes, Path):
        with pytest.raises(StorageError) as caught:
            load([reference], wanted, Reader("a", same_team=False))
        assert caught.value.code == "HR-S004"


def test_a_pickle_whose_class_is_gone_says_so(tmp_path: Path) -> None:
    reference = written({1}, tmp_path).reference
    Path(reference.uri).write_bytes(pickle.dumps(Point(1, 2)).replace(b"Point", b"Pxint"))
    with pytest.raises(StorageError) as caught:
        load([reference], None, OWN)
    assert caught.value.code == "HR-S013"


def test_a_table_that_parquet_cannot_hold_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        write(pd.DataFrame({"mixed": [1, {"a": object()}]}), target(tmp_path))
    assert caught.value.code == "HR-S001"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_pandas_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(StorageError, match="Add pyarrow to the team's environment") as caught:
        write(TABLES[pd.DataFrame], target(tmp_path))
    assert caught.value.code == "HR-S002"


def test_a_kind_of_table_is_known_without_importing_its_library() -> None:
    class Sub(pd.DataFrame):
        pass

    assert frames_module.kind_of(Sub) == "pandas"
    assert frames_module.kind_of(pl.Series) is None
    assert frames_module.kind_of(dict[str, int]) is None
