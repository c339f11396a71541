"""Materializations against a real PostgreSQL: the pointer only moves forward, and what a check holds back is not read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Engine
from support.recorded import rows

from hedgerow.manifest.model import Column
from hedgerow.protocol.references import Reference
from hedgerow_scheduler.lifecycle.changes import Changes
from hedgerow_scheduler.lifecycle.model import Materialization
from hedgerow_scheduler.lifecycle.states import MaterializationState
from hedgerow_scheduler.metadata import leadership
from hedgerow_scheduler.metadata.database import open_engine
from hedgerow_scheduler.metadata.inputs import read_stored
from hedgerow_scheduler.metadata.recording import record

pytestmark = pytest.mark.servers


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    found = open_engine(database_url)
    yield found
    found.dispose()


UUIDS = (f"00000000-0000-7000-8000-{number:012}" for number in count(1))


def output(dispatch_seq: int, state: MaterializationState = MaterializationState.CURRENT, **more: Any) -> Changes:
    attempt_id, run_id = next(UUIDS), next(UUIDS)
    reference = Reference(f"file:///{dispatch_seq}", "json")
    changes = Changes()
    changes.outputs[attempt_id, "a"] = Materialization(
        attempt_id, "a", more.get("partition", ""), run_id, 0, dispatch_seq, state, more.get("reference", reference),
        "d", "c", {}, (Column("n", "int"),),
    )  # fmt: skip
    return changes


def kept(engine: Engine) -> dict[int, str]:
    return dict(rows(engine, "SELECT dispatch_seq, state FROM materializations"))


def current(engine: Engine, partition: str = "") -> str | None:
    with engine.begin() as connection:
        found = read_stored(connection, [("a", partition)]).current.get(("a", partition))
        return found.uri if found else None


def write(engine: Engine, *several: Changes) -> None:
    for changes in several:
        with engine.begin() as connection:
            record(connection, changes, leadership.read_time(connection))


def test_a_later_materialization_supersedes_the_current_one(engine: Engine) -> None:
    write(engine, output(1), output(2))
    assert current(engine) == "file:///2"
    assert kept(engine) == {1: "superseded", 2: "current"}


def test_an_earlier_one_that_comes_late_does_not_move_the_pointer_back(engine: Engine) -> None:
    write(engine, output(2), output(1))
    assert current(engine) == "file:///2"
    assert kept(engine) == {1: "superseded", 2: "current"}


def test_of_several_in_one_transaction_the_last_dispatched_is_current(engine: Engine) -> None:
    together = Changes()
    for changes in (output(2), output(3), output(1)):
        together.outputs |= changes.outputs
    write(engine, together)
    assert current(engine) == "file:///3"
    assert kept(engine) == {1: "superseded", 2: "superseded", 3: "current"}


def test_partitions_have_pointers_of_their_own(engine: Engine) -> None:
    write(engine, output(1, partition="p1"), output(2, partition="p2"))
    assert (current(engine, "p1"), current(engine, "p2"), current(engine)) == ("file:///1", "file:///2", None)


@pytest.mark.parametrize("state", [MaterializationState.CANDIDATE, MaterializationState.REJECTED])
def test_what_a_check_holds_back_is_not_read_and_is_known_to_be_there(
    engine: Engine, state: MaterializationState
) -> None:
    write(engine, output(1, state))
    with engine.begin() as connection:
        stored = read_stored(connection, [("a", ""), ("never", "")])
    assert (stored.current, stored.held_back) == ({}, frozenset({("a", "")}))


def test_a_rejected_one_leaves_the_current_one_in_place(engine: Engine) -> None:
    write(engine, output(1), output(2, MaterializationState.REJECTED))
    assert current(engine) == "file:///1"
    assert kept(engine) == {1: "current", 2: "rejected"}
