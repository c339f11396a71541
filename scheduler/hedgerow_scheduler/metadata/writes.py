"""Writes of one transaction, gathered first and sent in one round trip."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import psycopg
from sqlalchemy import Connection

from hedgerow.errors import PlatformError

_encoder = msgspec.json.Encoder()


class StaleWriteError(PlatformError):
    """A guarded write met another state than the one the leader knew: the snapshot must be read again."""


class _Write(msgspec.Struct, frozen=True):
    statement: str
    parameters: dict[str, Any]
    expected: int | None
    what: str


class Writes:
    """Statements to run in order. Rows travel as one JSON document per statement, which `json_to_recordset` unpacks: encoding
    them takes a tenth of what arrays of parameters take.
    """

    def __init__(self) -> None:
        self._writes: list[_Write] = []

    def add(self, statement: str, expected: int | None = None, what: str = "rows", **parameters: Any) -> None:
        """Adds a statement; `expected` is the number of rows it must write."""
        self._writes.append(_Write(statement, parameters, expected, what))

    def rows(
        self, statement: str, rows: list[Any], guarded: bool = False, what: str = "rows", **parameters: Any
    ) -> None:
        """Adds a statement for rows (structs, as `%(rows)s`); nothing when there are none. `guarded`: it must write every one of them."""
        if rows:
            self.add(statement, len(rows) if guarded else None, what, rows=json_text(rows), **parameters)

    def flush(self, connection: Connection) -> None:
        """Runs everything. StaleWriteError when a statement did not write what it must: the transaction is then to be given up."""
        if not self._writes:
            return
        writes, self._writes = self._writes, []
        driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
        cursors = []
        with driver.pipeline():
            for write in writes:
                cursors.append(driver.cursor().execute(cast("Any", write.statement), write.parameters))
        for write, cursor in zip(writes, cursors, strict=True):
            if write.expected is not None and cursor.rowcount != write.expected:
                raise StaleWriteError.of(
                    "HR-P301",
                    f"{write.expected - cursor.rowcount} of {write.expected} {write.what} were not in the state the leader knew.",
                    "Nothing to do: the leader reads its state again by itself.",
                )


def json_text(value: object) -> str:
    """JSON without the one character that PostgreSQL can't store."""
    encoded = _encoder.encode(value).decode()
    return encoded.replace("\\u0000", "\\ufffd") if "\\u0000" in encoded else encoded
