"""Ready-made checks, on every kind of table that a team may use."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import hedgerow as hr
from hedgerow.checks import CheckDefinition
from hedgerow.errors import ExecutionError

ROWS: list[dict[str, Any]] = [
    {"id": 1, "amount": 5.0, "name": "a", "day": date(2026, 1, 1)},
    {"id": 2, "amount": None, "name": "b", "day": date(2026, 1, 2)},
    {"id": 2, "amount": -3.5, "name": None, "day": date(2026, 1, 3)},
]
COLUMNS: dict[str, list[Any]] = {name: [row[name] for row in ROWS] for name in ROWS[0]}
KINDS: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "polars": lambda: pl.DataFrame(COLUMNS),
    "lazy": lambda: pl.LazyFrame(COLUMNS),
    "arrow": lambda: pa.table(COLUMNS),
    "records": lambda: ROWS,
}
EMPTY: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame({"id": [], "amount": []}),
    "polars": lambda: pl.DataFrame({"id": [], "amount": []}),
    "arrow": lambda: pa.table({"id": pa.array([], pa.int64()), "amount": pa.array([], pa.float64())}),
    "records": list,
}
ON_EACH = pytest.mark.parametrize("kind", KINDS)


@ON_EACH
@pytest.mark.parametrize(
    ("check", "passed", "metadata"),
    [
        (hr.expect.row_count("a"), True, {"rows": 3}),
        (hr.expect.row_count("a", min=4), False, {"rows": 3}),
        (hr.expect.row_count("a", max=2), False, {"rows": 3}),
        (hr.expect.row_count("a", min=3, max=3), True, {"rows": 3}),
        (hr.expect.not_null("a", "id"), True, {"missing": {"id": 0}}),
        (hr.expect.not_null("a", "id", "amount", "name"), False, {"missing": {"id": 0, "amount": 1, "name": 1}}),
        (hr.expect.not_null("a", "amount", max_share=0.5), True, {"missing": {"amount": 1}}),
        (hr.expect.unique("a", "id"), False, {"doubles": 1}),
        (hr.expect.unique("a", "id", "day"), True, {"doubles": 0}),
        (hr.expect.between("a", "amount", min=0), False, {"outside": 1, "examples": [-3.5]}),
        (hr.expect.between("a", "amount", min=-10, max=4), False, {"outside": 1, "examples": [5.0]}),
        (hr.expect.between("a", "amount", max=5), True, {"outside": 0}),
        (hr.expect.between("a", "id", min=1, max=2), True, {"outside": 0}),
    ],
)
def test_the_verdict_is_the_same_whichever_library_made_the_table(
    kind: str, check: CheckDefinition[..., Any], passed: bool, metadata: dict[str, Any]
) -> None:
    verdict = check(KINDS[kind]())
    assert verdict.passed is passed
    assert metadata.items() <= dict(verdict.metadata).items()
    assert passed or verdict.description


@ON_EACH
def test_dates_are_compared_and_shown(kind: str) -> None:
    check = hr.expect.between("a", "day", min=date(2026, 1, 2))
    verdict = check(KINDS[kind]())
    assert (verdict.passed, verdict.metadata["outside"]) == (False, 1)
    assert "2026-01-01" in verdict.metadata["examples"][0]


@pytest.mark.parametrize("kind", EMPTY)
def test_an_empty_table_has_nothing_wrong_but_that(kind: str) -> None:
    table = EMPTY[kind]()
    assert not hr.expect.row_count("a")(table).passed
    for check in (hr.expect.not_null("a", "id"), hr.expect.unique("a", "id"), hr.expect.between("a", "amount", min=0)):
        assert check(table).passed


@ON_EACH
@pytest.mark.parametrize(
    "check", [hr.expect.not_null("a", "ID"), hr.expect.unique("a", "id", "ID"), hr.expect.between("a", "ID", min=0)]
)
def test_a_column_that_there_is_not_is_a_bad_verdict_that_names_it(kind: str, check: CheckDefinition[..., Any]) -> None:
    verdict = check(KINDS[kind]())
    assert (verdict.passed, verdict.description) == (False, "There is no column 'ID'.")


@pytest.mark.parametrize(
    ("kind", "types"),
    [
        ("pandas", ("int64", "float64")),
        ("polars", ("Int64", "Float64")),
        ("arrow", ("int64", "double")),
        ("records", ("int", "float")),
    ],
)
def test_a_schema_is_compared_in_the_words_of_the_library(kind: str, types: tuple[str, str]) -> None:
    table = KINDS[kind]()
    assert hr.expect.schema("a", {"id": types[0], "amount": types[1], "name": ""})(table).passed
    verdict = hr.expect.schema("a", {"id": "text", "gone": ""}, exact=True)(table)
    assert not verdict.passed
    for part in ("gone is missing", f"id is {types[0]}, not text", "amount is not expected"):
        assert part in verdict.description


def test_nan_counts_as_missing() -> None:
    values = {"x": [1.0, float("nan"), None]}
    tables: list[Any] = [pd.DataFrame(values), pl.DataFrame(values), pa.table(values)]
    tables.append([{"x": value} for value in values["x"]])
    assert [hr.expect.not_null("a", "x")(table).metadata["missing"] for table in tables] == [{"x": 2}] * 4
    assert all(hr.expect.between("a", "x", min=0, max=2)(table).passed for table in tables)


def test_in_a_step_they_judge_what_it_made_and_block_it() -> None:
    @hr.asset
    def orders() -> list[dict[str, int]]:
        return [{"id": 1}, {"id": 1}]

    rows, ids = hr.expect.row_count(orders, min=2), hr.expect.unique(orders, "id", blocking=True)
    with pytest.raises(ExecutionError, match="unique_id"):
        hr.materialize([orders, rows, ids])
    run = hr.materialize([orders, rows])
    assert [(check.check, check.passed) for check in run.checks] == [("row_count", True)]


def test_what_is_no_table_fails_the_check_with_what_it_is() -> None:
    with pytest.raises(TypeError, match="a int is no table"):
        hr.expect.row_count("a")(3)


@pytest.mark.parametrize(
    ("check", "says"),
    [
        (hr.expect.row_count("a", min=-1), "min=-1"),
        (hr.expect.row_count("a", min=5, max=2), "max=2"),
        (hr.expect.not_null("a"), "columns=()"),
        (hr.expect.not_null("a", "x", max_share=1.5), "max_share=1.5"),
        (hr.expect.unique("a", ""), "columns"),
        (hr.expect.between("a", "x"), "min=None"),
        (hr.expect.between("a", "x", min=3, max=1), "max=1"),
        (hr.expect.between("a", "x", min=3, max="z"), "max='z'"),
        (hr.expect.between("a", "x", min=[1]), "min=[1]"),
        (hr.expect.schema("a", {}), "columns"),
        (hr.expect.schema("a", {"x": "int"}, severity="warn", blocking=True), "severity='warn'"),
    ],
)
def test_bad_arguments_are_told_where_the_check_is_declared(check: CheckDefinition[..., Any], says: str) -> None:
    (problem,) = check.problems
    assert problem.code == "HR-D012"
    assert says in problem.message
    assert str(problem.file).endswith("test_expect.py")


def test_several_of_one_kind_have_names_of_their_own() -> None:
    assert hr.expect.not_null("a", "Order ID", "Ort/Straße").name == "not_null_order_id_ort_stra_e"
    assert hr.expect.unique("a", "x" * 100).name == "unique_" + "x" * 56
    assert hr.expect.unique("a", "x", name="ids", description="Ids.", severity="warn").name == "ids"
