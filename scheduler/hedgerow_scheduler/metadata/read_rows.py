"""Rows of a query as frozen structs, for everything that people read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Select
from sqlalchemy.sql import Executable

T = TypeVar("T")
FETCHED = 20  # rows at once, each of which may have a megabyte
PAGE_BYTES = 4 * 1024 * 1024


def all_rows(
    connection: Connection, statement: Executable, kind: type[T], parameters: Mapping[str, Any] | None = None
) -> tuple[T, ...]:
    """Every row of `statement`, its columns as the fields of `kind` by name; columns that it has no field for are left out."""
    found = connection.execute(statement, parameters or {}).mappings()
    return tuple(msgspec.convert(_plain(row), kind) for row in found)


def page_rows(connection: Connection, statement: Select[Any], kind: type[T], limit: int) -> tuple[tuple[T, ...], bool]:
    """The first rows of `statement`, and whether there are more: at most `limit`, and fewer where they are large. Whoever puts much into
    each row costs a reader pages, and no process its memory.
    """
    rows: list[T] = []
    size = 0
    with connection.execute(statement.limit(limit + 1), execution_options={"yield_per": FETCHED}) as found:
        for row in found.mappings():
            if len(rows) == limit or size > PAGE_BYTES:
                return tuple(rows), True
            rows.append(msgspec.convert(_plain(row), kind))
            size += len(msgspec.json.encode(rows[-1]))
    return tuple(rows), False


def one_row(
    connection: Connection, statement: Executable, kind: type[T], parameters: Mapping[str, Any] | None = None
) -> T | None:
    """The first row of `statement` as `kind`; None when there is none."""
    row = connection.execute(statement, parameters or {}).mappings().first()
    return None if row is None else msgspec.convert(_plain(row), kind)


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    # SQLAlchemy's names of columns may be a subclass of str, which msgspec refuses as a key.
    return {str(name): value for name, value in row.items()}


def id_bounds(prefix: str) -> tuple[str, str] | None:
    """The least and the greatest UUID that begin with `prefix`; None when no UUID does.

    >>> id_bounds("017f22e2-79")
    ('017f22e2-7900-0000-0000-000000000000', '017f22e2-79ff-ffff-ffff-ffffffffffff')
    >>> id_bounds("later")
    """
    digits = prefix.lower().replace("-", "")
    if not 0 < len(digits) <= 32 or any(digit not in "0123456789abcdef" for digit in digits):
        return None
    least, greatest = (
        f"{full[:8]}-{full[8:12]}-{full[12:16]}-{full[16:20]}-{full[20:]}"
        for full in (digits.ljust(32, "0"), digits.ljust(32, "f"))
    )
    return (least, greatest) if least.startswith(prefix.lower()) else None
