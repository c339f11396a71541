"""The ready-made check of changed columns, in process, and the comparison that it rests on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hedgerow as hr
from hedgerow.errors import DefinitionError
from hedgerow.manifest.model import Column
from hedgerow.quality.schemas import Schemas, compare
from hedgerow.testing.outcome import CheckOutcome, InProcessResult

KINDS: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "pandas": pd.DataFrame, "polars": pl.DataFrame, "lazy": pl.LazyFrame, "arrow": pa.table,
}  # fmt: skip
OLD = {"id": [1], "amount": [1.5]}
names = st.dictionaries(st.sampled_from("abcde"), st.sampled_from(["", "int", "text"]))


def made(value: Any, check: Any, former: InProcessResult | None = None, **run: Any) -> InProcessResult:
    @hr.asset(key="sales/orders", partitions=hr.static("mon", "it's tue"))
    def orders() -> Any:
        return value

    run = {"partition": "mon", "raise_on_error": False} | run
    return hr.materialize([orders, check], former=former, **run)


def verdict(old: Any, new: Any, check: Any, **run: Any) -> CheckOutcome:
    (found,) = made(new, check, made(old, check), **run).checks
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_columns_are_compared_without_their_order_whichever_library_made_the_table(kind: str) -> None:
    table, check = KINDS[kind], hr.expect.same_schema("sales/orders", blocking=True)
    (first,) = made(table(OLD), check).checks
    assert (first.passed, first.description) == (True, "Nothing was accepted before it that it could be compared with.")
    same = verdict(table(OLD), table({"amount": [2.5], "id": [7]}), check)
    assert (same.passed, same.description, same.metadata) == (True, "", {})
    other = verdict(table(OLD), table({"id": ["x"], "note": [1]}), check)
    assert not other.passed
    assert (list(other.metadata["added"]), list(other.metadata["removed"])) == (["note"], ["amount"])
    (before, now) = other.metadata["retyped"]["id"]
    told = other.description
    assert told.startswith("Added: note (")
    assert f"retyped: id ({before} → {now}). If that is meant, accept it once: `hedgerow " in told


def test_a_run_with_the_tag_accepts_what_there_is_and_the_next_is_compared_with_that() -> None:
    check = hr.expect.same_schema("sales/orders", blocking=True)
    changed = {"id": [1], "amount": [1.5], "note": ["a"]}
    first = made(pl.DataFrame(OLD), check)
    refused = made(pl.DataFrame(changed), check, first, partition="it's tue")
    assert refused.failures
    assert refused.checks[0].description.endswith(
        "hedgerow materialize sales/orders --partition 'it'\"'\"'s tue' --checks-only --tag accept-schema=sales/orders`."
    )
    for tag in ("sales/orders", "sales/*", "*"):
        accepted = made(pl.DataFrame(changed), check, first, run_tags={"accept-schema": tag})
        assert (accepted.success, accepted.checks[0].description) == (
            True,
            "Accepted by the run: added: note (String).",
        )
        assert made(pl.DataFrame(changed), check, accepted).checks[0].metadata == {}
    assert not made(pl.DataFrame(changed), check, first, run_tags={"accept-schema": "sales/customers"}).success


def test_new_columns_or_other_types_may_be_allowed() -> None:
    check = hr.expect.same_schema("sales/orders", allow_new_columns=True)
    wider = verdict(pl.DataFrame(OLD), pl.DataFrame({**OLD, "note": ["a"]}), check)
    assert (wider.passed, wider.description, wider.metadata) == (
        True,
        "Added: note (String).",
        {"added": {"note": "String"}},
    )
    assert not verdict(pl.DataFrame({**OLD, "note": ["a"]}), pl.DataFrame(OLD), check).passed
    untyped = hr.expect.same_schema("sales/orders", types=False)
    assert verdict(pl.DataFrame(OLD), pl.DataFrame({"id": ["x"], "amount": [True]}), untyped).passed
    assert not verdict(pl.DataFrame(OLD), pl.DataFrame({"id": [1]}), untyped).passed


def test_columns_that_the_function_names_count_and_what_has_none_is_told_what_to_do() -> None:
    check = hr.expect.same_schema("sales/orders")
    old, new = hr.Result([], columns={"id": "int"}), hr.Result([], columns={"id": "", "note": "text"})
    assert verdict(old, new, check).metadata == {"added": {"note": "text"}}
    for value in ([{"id": 1}], None):
        refused = verdict(pl.DataFrame(OLD), value, check)
        assert (refused.passed, "hr.Result(value, columns={...})" in refused.description) == (False, True)
    with pytest.raises(TypeError, match="former="):
        check(pl.DataFrame(OLD))


def test_a_wide_change_is_told_in_few_words() -> None:
    wide = [Column(f"column_{number:04}", "int") for number in range(1_000)]
    change = compare((), wide)
    assert change.text().endswith("column_0009 (int), 990 more")
    assert len(change.metadata()["added"]) == 50
    long, longer = ("Struct(" + "x" * size for size in (9_999, 20_000))
    change = compare([Column("n" * 500, long), Column("a")], [Column("n" * 500, longer), Column("b" * 500, long)])
    assert len(change.text()) < 800
    assert len(str(change.metadata())) < 800


def test_wrong_use_is_refused_where_it_is_declared() -> None:
    with pytest.raises(DefinitionError, match="external asset 'sales/orders'"):
        hr.materialize([hr.external("sales/orders"), hr.expect.same_schema("sales/orders")])

    @hr.asset
    def nothing() -> None: ...

    with pytest.raises(DefinitionError, match="stores none"):
        hr.materialize([nothing, hr.expect.same_schema("nothing")])
    wrong = hr.expect.same_schema("a", allow_new_columns="yes", types=0, own_step=True)  # type: ignore[arg-type]
    assert [problem.code for problem in wrong.problems] == ["HR-D012"] * 3


@given(names, names)
def test_a_change_undone_is_the_change_the_other_way_round(before: dict[str, str], now: dict[str, str]) -> None:
    old, new = [Column(*pair) for pair in before.items()], [Column(*pair) for pair in now.items()]
    there, back = compare(old, new), compare(new, old)
    assert (there.added, there.removed) == (back.removed, back.added)
    assert {name: types[::-1] for name, types in there.retyped.items()} == back.retyped
    unlike = [name for name in before.keys() & now.keys() if before[name] != now[name] and before[name] and now[name]]
    assert bool(there) == (before.keys() != now.keys() or bool(unlike))
    assert not compare(old, reversed(old))


def test_only_the_keys_of_the_tag_are_accepted() -> None:
    asked = {"sales/orders": "sales/o*", "raw/orders": "*/orders", "a": "b", "b": ""}
    found = [key for key, tag in asked.items() if Schemas(key, None, (), run_tags={"accept-schema": tag}).is_accepted()]
    assert found == ["sales/orders", "raw/orders"]
