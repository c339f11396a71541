"""SQL over Arrow tables, in a DuckDB that lives for one query."""

from __future__ import annotations

import duckdb
import pyarrow as pa


def query(statement: str, **tables: pa.Table) -> pa.Table:
    """The result of `statement`, in which each of `tables` can be read by its name."""
    with duckdb.connect() as connection:
        # The steps of one worker already use every core between them.
        connection.execute("SET threads = 1")
        for name, table in tables.items():
            connection.register(name, table)
        return connection.sql(statement).to_arrow_table()
