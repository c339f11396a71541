"""The leader's statements reach their rows by key, however small the tables were when the statements were planned."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from hedgerow_scheduler.metadata import statements
from hedgerow_scheduler.metadata.database import open_engine

pytestmark = pytest.mark.servers
UPDATING = (
    "UPDATE_STEPS", "UPDATE_ATTEMPTS", "UPDATE_RUNS", "MOVE_POINTERS", "DELETE_WORKERS", "APPLY_COMMANDS", "INSERT_ATTEMPTS_AFTER",
)  # fmt: skip


@pytest.fixture
def leading(database_url: str) -> Iterator[Engine]:
    found = open_engine(database_url, leader=True)
    yield found
    found.dispose()


@pytest.mark.parametrize("name", UPDATING)
def test_a_statement_of_recording_reads_no_table_as_a_whole(leading: Engine, name: str) -> None:
    plan = plan_of(leading, name)
    assert "Seq Scan" not in plan
    assert "Hash Join" not in plan
    assert "Merge Join" not in plan


def test_what_an_attempt_comes_after_is_looked_up_by_its_key(leading: Engine) -> None:
    plan = plan_of(leading, "INSERT_ATTEMPTS_AFTER")
    assert (
        "Join Filter" not in plan
    )  # more would be read than is looked for, of a partition that was made often most of all
    assert "dispatch_seq = c.dispatch_seq" in plan


def plan_of(leading: Engine, name: str) -> str:
    parameters = {"rows": "[]", "now": "2024-01-01T00:00:00Z"}
    with leading.begin() as connection:
        explained = connection.exec_driver_sql(f"EXPLAIN {getattr(statements, name)}", parameters)
        return "\n".join(row[0] for row in explained)
