"""Leadership against a real PostgreSQL: one leads, and who was deposed commits nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import Connection, Engine
from support.processes import eventually
from support.recorded import SALES, Recorded, rows, tamper
from support.scheduling import (
    chunks,
)

from hedgerow.errors import HedgerowError
from hedgerow_scheduler.lifecycle.changes import AcceptedEvent, Changes
from hedgerow_scheduler.metadata import leadership, postgres_store
from hedgerow_scheduler.metadata.database import open_engine
from hedgerow_scheduler.metadata.leadership import DeposedError, Leadership
from hedgerow_scheduler.metadata.postgres_store import PostgresStore
from hedgerow_scheduler.metadata.writes import Writes
from hedgerow_scheduler.service.leading import OUTAGES

pytestmark = pytest.mark.servers


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    found = open_engine(database_url)
    yield found
    found.dispose()


@pytest.fixture
def world(engine: Engine) -> Recorded:
    found = Recorded(engine)
    found.send("sales", *chunks(SALES))
    found.beat("sales", slots=9)
    found.cycle_recorded()
    return found


def lead(engine: Engine, holder: str) -> Leadership | None:
    with engine.begin() as connection:
        return leadership.try_to_lead(connection, holder)


def age(engine: Engine, seconds: float) -> None:
    tamper(engine, f"UPDATE leader SET renewed_at = renewed_at - interval '{seconds} s'")


def test_one_leads_and_another_only_after_three_silent_seconds(engine: Engine) -> None:
    first = lead(engine, "one")
    assert first is not None
    assert lead(engine, "two") is None
    age(engine, 2)
    assert lead(engine, "two") is None
    age(engine, 1.1)
    second = lead(engine, "two")
    assert second is not None
    assert second.epoch == first.epoch + 1


def test_who_renews_goes_on_leading(engine: Engine) -> None:
    first = lead(engine, "one")
    assert first is not None
    age(engine, 60)
    with engine.begin() as connection:
        leadership.guard(connection, first)
    assert lead(engine, "two") is None


def test_who_resigns_is_followed_at_once_and_a_deposed_leader_can_not_resign_for_its_successor(engine: Engine) -> None:
    first = lead(engine, "one")
    assert first is not None
    with engine.begin() as connection:
        leadership.resign(connection, first)
    second = lead(engine, "two")
    assert second is not None
    with engine.begin() as connection:
        leadership.resign(connection, first)
    assert lead(engine, "three") is None


def in_two_steps(connection: Connection, first: Leadership) -> None:
    leadership.guard(connection, first)


def with_the_writes(connection: Connection, first: Leadership) -> None:
    writes = Writes()
    leadership.add_guard(writes, first)
    writes.flush(connection)


@pytest.mark.parametrize("guard", [in_two_steps, with_the_writes])
def test_a_deposed_leader_commits_nothing(world: Recorded, guard: Callable[[Connection, Leadership], None]) -> None:
    first = lead(world.engine, "one")
    assert first is not None
    world.request("a")
    (attempt,) = world.orders
    world.begin(attempt)
    world.finish(attempt)
    age(world.engine, 4)
    assert lead(world.engine, "two") is not None
    with pytest.raises(HedgerowError), world.engine.begin() as connection:  # noqa: PT012
        world.record(connection)
        guard(connection, first)
    assert rows(world.engine, "SELECT state FROM steps") == [("dispatched",)]
    assert rows(world.engine, "SELECT count(*) FROM materializations") == [(0,)]


def test_a_leader_frozen_within_a_transaction_keeps_no_one_from_leading_and_wakes_up_without_it(
    world: Recorded, database_url: str
) -> None:
    leading = open_engine(database_url, leader=True)
    first = lead(leading, "one")
    assert first is not None
    world.request("a")
    (attempt,) = world.orders
    world.begin(attempt)
    world.finish(attempt)

    def work_until_frozen_for_long() -> None:
        with leading.connect() as connection, connection.begin():
            world.record(connection)
            leadership.guard(connection, first)  # it holds the leader's row now, and is stopped
            second = eventually(lambda: lead(world.engine, "two"), within=15, what="another leads")
            assert second.epoch == first.epoch + 1

    with pytest.raises(OUTAGES):
        work_until_frozen_for_long()
    leading.dispose()
    assert rows(world.engine, "SELECT holder FROM leader") == [("two",)]
    assert rows(world.engine, "SELECT state FROM steps") == [("dispatched",)]


def test_a_leader_amid_something_long_keeps_its_lead_and_its_session(
    engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leading = open_engine(database_url, leader=True, name="leader-at-work")
    first = lead(leading, "one")
    assert first is not None
    asked = (
        "SELECT state_change FROM pg_stat_activity WHERE application_name = 'leader-at-work' AND xact_start IS NOT NULL"
    )
    with PostgresStore(leading, first).transaction() as transaction:
        age(engine, 60)
        before = rows(engine, asked)
        transaction.stay()  # it was just begun
        assert rows(engine, asked) == before
        monkeypatch.setattr(postgres_store, "STAY_S", 0.0)
        transaction.stay()
        assert rows(engine, asked) != before  # idle since then only
        assert lead(engine, "two") is None
    leading.dispose()


def record_event(engine: Engine, lead: Leadership) -> None:
    """What a leader records of an event, as every leader that reads the stream does."""
    with PostgresStore(engine, lead).transaction() as transaction:
        changes = Changes()
        changes.events.append(AcceptedEvent("sales", "w1", 7, b"{}"))
        transaction.write(changes, transaction.now())


def test_a_deposed_leader_that_meets_the_events_of_its_successor_was_deposed_and_has_no_defect(engine: Engine) -> None:
    first = lead(engine, "one")
    assert first is not None
    age(engine, 4)
    second = lead(engine, "two")
    assert second is not None
    record_event(engine, second)
    with pytest.raises(DeposedError):
        record_event(engine, first)
    with pytest.raises(psycopg.IntegrityError):
        record_event(engine, second)  # who leads and meets them has one
