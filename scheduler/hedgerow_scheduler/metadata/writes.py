"""Writes of one transaction, gathered first and sent in one round trip."""

from __future__ import annotations

import re
import sys
from typing import Any, cast

import msgspec
import psycopg
from sqlalchemy import Connection

from hedgerow.errors import PlatformError

_encoder = msgspec.json.Encoder()
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


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
        self._sent: list[tuple[_Write, psycopg.Cursor[Any]]] = []
        self._pipeline: Any = None
        self._driver: Any = None

    def add(self, statement: str, expected: int | None = None, what: str = "rows", **parameters: Any) -> None:
        """Adds a statement; `expected` is the number of rows it must write."""
        self._writes.append(_Write(statement, parameters, expected, what))

    def rows(
        self, statement: str, rows: list[Any], guarded: bool = False, what: str = "rows", **parameters: Any
    ) -> None:
        """Adds a statement for rows (structs, as `%(rows)s`); nothing when there are none. `guarded`: it must write every one of them."""
        if rows:
            self.add(statement, len(rows) if guarded else None, what, rows=json_text(rows), **parameters)

    def send(self, connection: Connection) -> None:
        """Has PostgreSQL begin with what there is, without waiting for it: it works while the next writes are being made up.
        The connection takes no other statement before `flush`.
        """
        if self._pipeline is None:
            driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
            self._driver, self._pipeline = driver, driver.pipeline()
            self._pipeline.__enter__()
        writes, self._writes = self._writes, []
        for write in writes:
            cursor = self._driver.cursor().execute(cast("Any", write.statement), write.parameters)
            self._sent.append((write, cursor))

    def flush(self, connection: Connection) -> None:
        """Runs everything. StaleWriteError when a statement did not write what it must: the transaction is then to be given up."""
        if not self._writes and self._pipeline is None:
            return
        try:
            self.send(connection)
        finally:
            pipeline, self._pipeline = self._pipeline, None
            if pipeline is not None:
                pipeline.__exit__(*sys.exc_info())
        sent, self._sent = self._sent, []
        for write, cursor in sent:
            if write.expected is not None and cursor.rowcount != write.expected:
                raise StaleWriteError.of(
                    "HR-P301",
                    f"{write.expected - cursor.rowcount} of {write.expected} {write.what} were not in the state the leader knew.",
                    "Nothing to do: the leader reads its state again by itself.",
                )

    def __enter__(self) -> Writes:
        return self

    def __exit__(self, *_: object) -> None:
        """Where the transaction is given up, what was sent is waited for, so that the connection can be used again."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            try:
                pipeline.__exit__(None, None, None)
            except psycopg.Error:
                pass  # what ended the transaction is being told already


def json_text(value: object) -> str:
    r"""JSON without the one character that PostgreSQL can't store; a text that spells it out is left alone.

    >>> print(json_text(["a\0", r"a\u0000"]))
    ["a\ufffd","a\\u0000"]
    """
    encoded = _encoder.encode(value).decode()
    return _NUL.sub(r"\1\\ufffd", encoded) if "\\u0000" in encoded else encoded
