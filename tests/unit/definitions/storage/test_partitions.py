"""A reader of several partitions receives one table, a list, or a dict by partition."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from hedgerow.errors import StorageError
from hedgerow.io import Target
from hedgerow.protocol.references import Reference
from hedgerow.storage import Reader, load, location, write

DAYS = ("2024-01-01", "2024-01-02", "2024-01-03")


def stored(values: list[object], root: Path) -> list[Reference]:
    references = []
    for day, value in zip(DAYS, values, strict=False):
        written = write(value, Target("a", day, f"at-{day}", "run", location(str(root), "a", day, f"at-{day}")))
        assert written is not None
        references.append(written.reference)
    return references


@pytest.mark.parametrize("wanted", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.Table, None])
def test_a_table_annotation_receives_all_rows_in_partition_order(wanted: type | None, tmp_path: Path) -> None:
    references = stored([pl.DataFrame({"n": [3, 1]}), pl.DataFrame({"n": [2]}), pl.DataFrame({"n": [9]})], tmp_path)
    frame = load(references, wanted, Reader("a"), several=True)
    frame = frame.collect() if isinstance(frame, pl.LazyFrame) else pl.DataFrame(frame)
    assert frame["n"].to_list() == [3, 1, 2, 9]


@pytest.mark.parametrize("wanted", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.Table])
def test_a_column_that_came_later_is_null_before_and_types_widen(wanted: type, tmp_path: Path) -> None:
    references = stored([pl.DataFrame({"n": [1]}), pl.DataFrame({"n": [2.5], "late": ["x"]})], tmp_path)
    frame = load(references, wanted, Reader("a"), several=True)
    frame = frame.collect() if isinstance(frame, pl.LazyFrame) else pl.DataFrame(frame)
    assert frame["n"].to_list() == [1.0, 2.5]
    assert frame["late"].to_list() == [None, "x"]


def test_pandas_rows_are_numbered_anew_but_a_real_index_is_kept(tmp_path: Path) -> None:
    counted = load(stored([pd.DataFrame({"n": [1]})] * 2, tmp_path / "x"), pd.DataFrame, Reader("a"), several=True)
    assert list(counted.index) == [0, 1]
    named = load(
        stored([pd.DataFrame({"n": [1]}, index=["k"])] * 2, tmp_path / "y"), pd.DataFrame, Reader("a"), several=True
    )
    assert list(named.index) == ["k", "k"]


def test_a_dict_annotation_receives_one_value_per_partition(tmp_path: Path) -> None:
    references = stored([pl.DataFrame({"n": [1]}), pl.DataFrame({"n": [2]})], tmp_path)
    by_day = load(references, dict[str, pl.DataFrame], Reader("a"), several=True)
    assert {day: frame["n"].to_list() for day, frame in by_day.items()} == {DAYS[0]: [1], DAYS[1]: [2]}


def test_a_dict_of_tables_is_by_partition_even_for_one(tmp_path: Path) -> None:
    assert list(load(stored([pl.DataFrame({"n": [1]})], tmp_path), dict[str, pl.DataFrame], Reader("a"))) == [DAYS[0]]


def test_plain_values_come_as_a_list(tmp_path: Path) -> None:
    references = stored(["one", "two"], tmp_path)
    for wanted in (None, list, list[str]):
        assert load(references, wanted, Reader("a"), several=True) == ["one", "two"]
    assert load(references, dict, Reader("a"), several=True) == {DAYS[0]: "one", DAYS[1]: "two"}
    assert [path.suffix for path in load(references, list[Path], Reader("a"), several=True)] == [".txt", ".txt"]


def test_a_mapping_that_selects_several_gives_the_same_shape_for_one_and_none(tmp_path: Path) -> None:
    references = stored(["one"], tmp_path)
    assert load(references, list[str], Reader("a"), several=True) == ["one"]
    assert load([], list[str], Reader("a"), several=True) == []
    assert load([], dict[str, str], Reader("a"), several=True) == {}
    assert load([], pl.DataFrame, Reader("a"), several=True) is None
    assert load([], pl.DataFrame, Reader("a")) is None


def test_several_texts_as_one_text_are_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"list\[str\]") as caught:
        load(stored(["one", "two"], tmp_path), str, Reader("a"), several=True)
    assert caught.value.code == "HR-S008"


def test_tables_whose_types_contradict_are_refused(tmp_path: Path) -> None:
    references = stored([pl.DataFrame({"n": [1]}), pl.DataFrame({"n": [[1, 2]]})], tmp_path)
    with pytest.raises(StorageError) as caught:
        load(references, pa.Table, Reader("a"), several=True)
    assert caught.value.code == "HR-S008"
