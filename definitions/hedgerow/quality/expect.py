"""Ready-made checks: `rows = hr.expect.row_count("sales/orders", min=1, blocking=True)`, bound to a name in a module like any other check.

They take the value as it is: a table of pandas, polars or pyarrow, or a list of dicts; but `same_schema`, which takes what is recorded of its
columns. A column that there is not is a bad verdict.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias, Unpack

from hedgerow.arguments import Arguments
from hedgerow.assets import AssetDefinition
from hedgerow.checks import CheckDefinition, CheckOptions, check
from hedgerow.quality.schemas import Schemas, compare
from hedgerow.quality.tables import Table, table_of
from hedgerow.result import CheckResult
from hedgerow.site import of_caller

__all__ = ["between", "not_null", "row_count", "same_schema", "schema", "unique"]

Asset: TypeAlias = str | AssetDefinition[..., Any]
Check: TypeAlias = CheckDefinition[[Any], CheckResult]
Judge: TypeAlias = Callable[[Any], CheckResult]
MAX_NAME = 63
_PLAIN = inspect.Signature([inspect.Parameter("value", inspect.Parameter.POSITIONAL_OR_KEYWORD)])


class Expectation:
    """What a ready-made check does with the asset's value."""

    def __init__(self, name: str, description: str, judge: Judge, prepare: Callable[[Any], Any] = table_of) -> None:
        self.__name__, self.__doc__ = name, description
        self.__signature__ = _PLAIN  # without annotation: the value is taken as it is
        self._judge, self._prepare = judge, prepare

    def __call__(self, value: Any) -> CheckResult:
        try:
            return self._judge(self._prepare(value))
        except KeyError as error:
            return CheckResult(False, description=f"There is no column {error.args[0]!r}.")


def row_count(
    asset: Asset, *, min: int | None = None, max: int | None = None, **options: Unpack[CheckOptions]
) -> Check:
    """The table has at least `min` and at most `max` rows (default: at least one).

    >>> row_count("sales/orders", min=2)([{"id": 1}]).passed
    False
    """
    arguments = _arguments("row_count")
    least = 1 if min is None and max is None else min
    low = None if least is None else arguments.whole("min", least, 0, least=0)
    high = None if max is None else arguments.whole("max", max, 0, least=0)
    if low is not None and high is not None and low > high:
        arguments.wrong("max", max, "Give at least as many as min.")

    def judge(table: Table) -> CheckResult:
        rows = table.rows()
        fits = (low is None or rows >= low) and (high is None or rows <= high)
        return CheckResult(fits, {"rows": rows}, f"{rows:,} rows; {_bounds(low, high)} are expected.")

    return _declare(asset, "row_count", f"It has {_bounds(low, high)} rows.", judge, arguments, options)


def not_null(asset: Asset, *columns: str, max_share: float = 0.0, **options: Unpack[CheckOptions]) -> Check:
    """In each of these columns at most the share `max_share` of the values is missing (default: none).

    >>> not_null("sales/orders", "id")([{"id": 1}, {"id": None}]).metadata
    {'rows': 2, 'missing': {'id': 1}}
    """
    arguments = _arguments("not_null")
    named = _columns(columns, arguments)
    if isinstance(max_share, bool) or not isinstance(max_share, int | float) or not 0 <= max_share < 1:
        arguments.wrong("max_share", max_share, "Give a share from 0 to below 1, such as 0.01.")
        max_share = 0.0

    def judge(table: Table) -> CheckResult:
        rows = table.rows()
        missing = {column: table.nulls(column) for column in named}
        bad = [column for column, count in missing.items() if count > max_share * rows]
        told = ", ".join(f"{column}: {missing[column]:,} of {rows:,}" for column in bad)
        return CheckResult(not bad, {"rows": rows, "missing": missing}, f"Missing: {told}." if bad else "")

    told = (
        f"{', '.join(named)}: {'no value' if not max_share else f'at most {max_share:.3%} of the values'} is missing."
    )
    return _declare(asset, _name("not_null", named), told, judge, arguments, options)


def unique(asset: Asset, *columns: str, **options: Unpack[CheckOptions]) -> Check:
    """No two rows have the same values in these columns together.

    >>> unique("sales/orders", "id")([{"id": 1}, {"id": 1}]).metadata
    {'rows': 2, 'doubles': 1}
    """
    arguments = _arguments("unique")
    named = _columns(columns, arguments)

    def judge(table: Table) -> CheckResult:
        doubles = table.doubles(named)
        told = f"{doubles:,} rows have the {', '.join(named)} of another row." if doubles else ""
        return CheckResult(not doubles, {"rows": table.rows(), "doubles": doubles}, told)

    return _declare(
        asset, _name("unique", named), f"No two rows have the same {', '.join(named)}.", judge, arguments, options
    )


def between(asset: Asset, column: str, *, min: Any = None, max: Any = None, **options: Unpack[CheckOptions]) -> Check:
    """Every value of the column is at least `min` and at most `max` (one of them may be left out); missing values do not count.

    >>> between("sales/orders", "amount", min=0)([{"amount": -5}]).metadata
    {'rows': 1, 'outside': 1, 'examples': [-5]}
    """
    arguments = _arguments("between")
    (named,) = _columns((column,), arguments) or ("",)
    if min is None and max is None:
        arguments.wrong("min", None, "Give min, max or both.")
    for label, bound in (("min", min), ("max", max)):
        if bound is not None and not isinstance(bound, int | float | str | date | datetime | Decimal):
            arguments.wrong(label, bound, "Give a number, a text, a date or a time.")
    try:
        if min is not None and max is not None and min > max:
            arguments.wrong("max", max, "Give at least min.")
    except TypeError:
        arguments.wrong("max", max, "Give two bounds of one type.")

    def judge(table: Table) -> CheckResult:
        count, examples = table.outside(named, min, max)
        told = f"{count:,} values of {named} are not {_bounds(min, max)}, such as {examples[0]}." if count else ""
        shown = [each if isinstance(each, int | float) else str(each) for each in examples]
        metadata = {"rows": table.rows(), "outside": count} | ({"examples": shown} if count else {})
        return CheckResult(not count, metadata, told)

    return _declare(asset, _name("between", (named,)), f"{named} is {_bounds(min, max)}.", judge, arguments, options)


def schema(asset: Asset, columns: Mapping[str, str], *, exact: bool = False, **options: Unpack[CheckOptions]) -> Check:
    """The table has these columns with these types, in the words of its library ("": any); with `exact`, no others.

    >>> schema("sales/orders", {"id": "int", "amount": ""})([{"id": "7"}]).description
    'amount is missing; id is str, not int.'
    """
    arguments = _arguments("schema")
    wanted = arguments.text_map("columns", columns)
    if not wanted:
        arguments.wrong("columns", columns, 'Give at least one, such as {"id": "int64"}.')
    only = arguments.flag("exact", exact, False)

    def judge(table: Table) -> CheckResult:
        found = table.columns()
        wrong = [f"{name} is missing" for name in wanted if name not in found]
        wrong += [
            f"{name} is {found[name] or 'of several types'}, not {type_}"
            for name, type_ in wanted.items()
            if name in found and type_ and found[name] != type_
        ]
        wrong += [f"{name} is not expected" for name in found if only and name not in wanted]
        return CheckResult(not wrong, {"columns": found}, "; ".join(wrong) + "." if wrong else "")

    return _declare(asset, "schema", f"It has the columns {', '.join(wanted)}.", judge, arguments, options)


def same_schema(
    asset: Asset, *, allow_new_columns: bool = False, types: bool = True, **options: Unpack[CheckOptions]
) -> Check:
    """The table has the columns that it had when it was accepted last, whichever partition that was; their order does not count.

    The first one passes. `allow_new_columns` looks at those alone that were there before, `types=False` at names alone. What is compared are the columns
    that Hedgerow records of a table, or those of `hr.Result(columns=...)`. A run with the tag `accept-schema=KEY` (or a glob of keys)
    passes whatever there is, and what comes after it is compared with that: so an intended change is let through once.
    It has no step of its own.

    >>> import hedgerow as hr
    >>> @hr.asset
    ... def orders(ctx: hr.Context) -> hr.Result[list]:
    ...     columns = {"id": "int"} if "old" in ctx.run_tags else {"id": "str", "note": "str"}
    ...     return hr.Result([], columns=columns)
    >>> first = hr.materialize([orders, same_schema("orders")], run_tags={"old": ""})
    >>> second = hr.materialize([orders, same_schema("orders")], former=first)
    >>> first.checks[0].passed, second.checks[0].passed, second.checks[0].metadata
    (True, False, {'added': {'note': 'str'}, 'retyped': {'id': ['int', 'str']}})
    """
    arguments = _arguments("same_schema")
    new_allowed = arguments.flag("allow_new_columns", allow_new_columns, False)
    typed = arguments.flag("types", types, True)
    if options.get("own_step"):
        arguments.wrong("own_step", True, "It looks at no data: leave it in the step of the asset.")

    def judge(schemas: Schemas) -> CheckResult:
        if not schemas.columns:
            told = "The output has no columns. Return a table of pandas, polars or pyarrow, or hr.Result(value, columns={...})."
            return CheckResult(False, description=told)
        if schemas.former is None:
            return CheckResult(True, description="Nothing was accepted before it that it could be compared with.")
        change = compare(schemas.former, schemas.columns)
        if not typed:
            change = replace(change, retyped={})
        told = change.text()
        passed = not (change.removed or change.retyped or (change.added and not new_allowed))
        if not passed and schemas.is_accepted():
            return CheckResult(True, change.metadata(), f"Accepted by the run: {told}.")
        told = f"{told[:1].upper()}{told[1:]}." if told else ""
        if not passed and options.get("blocking"):
            told += f" If that is meant, accept it once: `{schemas.way_out()}`."
        return CheckResult(passed, change.metadata(), told)

    words = "columns" if typed else "names of columns"
    only = ", and maybe others" if new_allowed else ""
    found = _declare(
        asset,
        "same_schema",
        f"It has the {words} of what was accepted last{only}.",
        judge,
        arguments,
        options,
        _schemas,
    )
    found.former_columns = True
    return found


def _schemas(value: Any) -> Schemas:
    if not isinstance(value, Schemas):
        raise TypeError(
            "same_schema compares with what was accepted before: let hr.materialize([asset, check], former=...) call it"
        )
    return value


def _declare(
    asset: Asset,
    name: str,
    description: str,
    judge: Judge,
    arguments: Arguments,
    options: CheckOptions,
    prepare: Callable[[Any], Any] = table_of,
) -> Check:
    found = check(asset, **options)(Expectation(str(options.get("name", name)), description, judge, prepare))
    found.problems = (*arguments.problems, *found.problems)
    return found


def _arguments(what: str) -> Arguments:
    return Arguments(f"hr.expect.{what}", of_caller())


def _columns(columns: tuple[object, ...], arguments: Arguments) -> tuple[str, ...]:
    named = tuple(column for column in columns if isinstance(column, str) and column)
    if not columns or len(named) < len(columns):
        arguments.wrong("columns", columns, 'Give the names of columns: "id", "customer".')
    return named


def _name(what: str, columns: tuple[str, ...]) -> str:
    """A name that tells several checks of an asset apart."""
    return re.sub("[^a-z0-9_-]+", "_", "_".join((what, *columns)).lower())[:MAX_NAME]


def _bounds(least: Any, most: Any) -> str:
    if least is not None and most is not None:
        return f"{least} to {most}"
    return f"at least {least}" if least is not None else f"at most {most}"
