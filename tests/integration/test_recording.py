"""Recording against a real PostgreSQL: what was decided comes back as it was, and nothing over a stale state."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, select
from support.recorded import SALES, Recorded, rows, tamper
from support.scheduling import (
    LEASE,
    asset,
    chunks,
    manifest,
    picture,
    planned,
    published,
    success,
    token_of,
)

from hedgerow.errors import RequestError
from hedgerow.partitions.constructors import dynamic
from hedgerow.protocol import events as ev
from hedgerow_scheduler.lifecycle.states import AttemptState, MaterializationState, RunState, StepState
from hedgerow_scheduler.metadata import catalogs, commands, migrate, runs
from hedgerow_scheduler.metadata import tables as t
from hedgerow_scheduler.metadata.database import open_engine
from hedgerow_scheduler.metadata.key_sets import read_keys
from hedgerow_scheduler.metadata.postgres_store import PostgresTransaction, read_cursors
from hedgerow_scheduler.metadata.writes import StaleWriteError, Writes
from hedgerow_scheduler.partitions.key_sets import KeySets
from hedgerow_scheduler.planning.key_changes import change_keys
from hedgerow_scheduler.planning.request import PartitionRange, RunRequest
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.recovery.leases import Contact, lose, reap
from hedgerow_scheduler.service.requests import take_requested_runs

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


def alike(here: Snapshot, there: Snapshot) -> None:
    """Both say the same, but for what a takeover changes on purpose: leases, and queues of what has ended."""

    def comparable(snapshot: Snapshot) -> dict[str, Any]:
        found = picture(snapshot)
        for run in snapshot.runs.values():
            state, steps, counts = found["runs"][run.id]
            # `waiting_on` is only kept right while a step waits; `cancelling` is taken from the run.
            found["runs"][run.id] = (
                state,
                [(*step[:11], step[11] if step[9] is StepState.WAITING else 0, *step[12:-1]) for step in steps],
                counts,
            )
        found["attempts"] = {
            key: (state, worker, token, outputs)
            for key, (state, worker, token, _, outputs) in found["attempts"].items()
        }
        return found

    assert comparable(there) == comparable(here)
    assert there.dispatch_seq == here.dispatch_seq
    assert set(there.workers) == set(here.workers)
    assert {key: (w.slots, w.queues, w.state, w.manifest_hash) for key, w in there.workers.items()} == {
        key: (w.slots, w.queues, w.state, w.manifest_hash) for key, w in here.workers.items()
    }


def test_what_was_recorded_is_what_the_next_leader_reads(world: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "STEPS_AT_ONCE", 2)
    world.request("a b p x", config={"p": {"n": 1}})
    alike(world.snapshot, world.read_again())
    by_name = {attempt.step.computation: attempt for attempt in world.orders}
    world.begin(by_name["a"], by_name["x"])
    world.send("sales", ev.AssetMaterialized(by_name["x"].id, "x", token_of(by_name["x"]), metadata={"rows": 3}))
    world.send("sales", ev.CheckEvaluated(by_name["x"].id, "x", "rows", False, token_of(by_name["x"]), blocking=True))
    world.cycle_recorded()
    alike(world.snapshot, world.read_again())
    again = world.read_again().attempts[by_name["x"].id]
    assert again.rejected == {"x"}
    assert again.outputs["x"].metadata == {"rows": 3}
    world.fail(by_name["a"])
    world.cycle_recorded()
    there = world.read_again()
    alike(world.snapshot, there)
    assert there.next_timer() == world.now + timedelta(seconds=60)
    assert next(iter(there.runs.values())).config == {"p": {"n": 1}}


def test_a_lost_attempt_is_still_known_to_the_next_leader_and_its_outcome_counts(world: Recorded) -> None:
    run = world.request("a")
    (attempt,) = world.orders
    world.begin(attempt)
    world.cycle_recorded()
    lose(world.snapshot, attempt, world.now)
    with world.engine.begin() as connection:
        world.record(connection)
    world.snapshot = world.read_again()
    world.fold.snapshot = world.fold.outcomes.snapshot = world.snapshot
    again = world.snapshot.attempts[attempt.id]
    assert (again.state, again.token) == (AttemptState.LOST, token_of(attempt))
    world.finish(again)
    with world.engine.begin() as connection:
        world.record(connection)
    assert rows(world.engine, "SELECT state FROM runs") == [("succeeded",)]
    assert world.snapshot.runs.get(run.id) is None


def test_orders_that_may_never_have_been_published_are_taken_back_by_the_next_leader(world: Recorded) -> None:
    world.request("a x")
    first, second = world.orders
    world.begin(first)
    world.cycle_recorded()
    there = world.read_again()
    assert there.effects.revoke == []  # not before the stream was read to its end: it may have been started
    world.after(seconds=1)
    reap(there, {second.step.team: Contact(world.now, world.now)}, world.now, LEASE, LEASE)
    assert [attempt.id for attempt in there.effects.revoke] == [second.id]
    assert there.attempts[first.id].lease_until == world.now - timedelta(seconds=1) + 2 * LEASE


def test_a_cancellation_goes_on_under_the_next_leader(world: Recorded) -> None:
    run = world.request("a b")
    (attempt,) = world.orders
    world.begin(attempt)
    world.cycle_recorded()
    world.command("cancel_run", run)
    there = world.read_again()
    (again,) = there.runs.values()
    assert [step.state.value for step in again.steps] == ["running", "cancelled"]
    assert again.cancel_requested
    assert again.steps[0].cancelling


def test_an_ended_run_is_not_read_again_but_can_be_retried(world: Recorded) -> None:
    run = world.request("p q")
    first, second = world.orders
    world.begin(first, second)
    world.finish(first)
    world.fail(second)
    world.cycle_recorded()
    assert world.read_again().runs == {}
    assert rows(world.engine, "SELECT state, steps, ended_at IS NOT NULL FROM runs") == [("failed", 2, True)]
    world.command("retry_run", run)
    (again,) = world.snapshot.runs.values()
    assert sorted(step.state.value for step in again.steps) == ["dispatched", "succeeded"]
    assert rows(world.engine, "SELECT state, ended_at FROM runs") == [("running", None)]
    assert rows(world.engine, "SELECT outcome FROM commands") == [({"retried": 1},)]
    alike(world.snapshot, world.read_again())


def test_a_retry_right_after_a_cancellation_takes_up_the_run_as_it_is_then(world: Recorded) -> None:
    world.beat("sales", state="draining")
    run = world.request("a b")
    with world.engine.begin() as connection:
        commands.write(connection, "cancel_run", {"run_id": run.id}, "")
        commands.write(connection, "retry_run", {"run_id": run.id}, "")
    world.cycle_recorded()
    assert rows(world.engine, "SELECT outcome FROM commands ORDER BY id") == [({"cancelled": 2},), ({"retried": 2},)]
    alike(world.snapshot, world.read_again())
    assert [step.state.value for step in world.snapshot.runs[run.id].steps] == ["ready", "waiting"]


def test_a_command_for_a_run_that_is_not_planned_yet_waits_for_it(world: Recorded) -> None:
    with world.engine.begin() as connection:
        ids = [runs.request_run(connection, RunRequest(("a",)), {}, "")[0] for _ in range(25)]
        commands.write(connection, "cancel_run", {"run_id": ids[-1]}, "")
    world.cycle_recorded()
    assert rows(world.engine, "SELECT applied_at FROM commands") == [(None,)]
    world.cycle_recorded()
    assert rows(world.engine, "SELECT outcome FROM commands") == [({"cancelled": 1},)]
    assert rows(world.engine, f"SELECT state FROM runs WHERE id = '{ids[-1]}'") == [("cancelled",)]


def test_a_command_for_no_run_is_answered(world: Recorded) -> None:
    run = world.request("a")
    run_id = run.id
    run.id = "00000000-0000-7000-8000-000000000000"
    world.command("cancel_run", run)
    run.id = run_id
    ((outcome,),) = rows(world.engine, "SELECT outcome FROM commands")
    assert "no run" in outcome["refused"]


def test_a_request_that_can_not_be_planned_fails_with_its_reason_and_the_others_go_on(world: Recorded) -> None:
    with world.engine.begin() as connection:
        bad, _ = runs.request_run(connection, RunRequest(("nothing",)), {}, "")
        good, _ = runs.request_run(connection, RunRequest(("a",)), {}, "")
    world.cycle_recorded()
    assert set(world.snapshot.runs) == {good}
    ((state, error),) = rows(world.engine, f"SELECT state, error FROM runs WHERE id = '{bad}'")
    assert (state, error["code"]) == ("failed", "HR-Q001")


def test_the_catalog_ownership_and_accepted_manifests_come_back(world: Recorded) -> None:
    second = manifest("sales", asset("a"), asset("new"))
    thief = manifest("ml", asset("a"), asset("mine"))
    world.send("sales", *chunks(second), worker="w2")
    world.beat("sales", "w2", slots=1)
    world.send("ml", *chunks(thief))
    world.cycle_recorded()
    there = world.read_again()
    alike(world.snapshot, there)
    assert list(there.accepted) == [published(SALES).hash, published(second).hash]
    in_force = there.accepted[published(second).hash]
    assert in_force is there.catalog.published["sales", "sales"]  # and not kept twice
    assert there.owners["a"] == ("sales", "sales")
    assert "mine" not in there.owners
    assert there.broken == {("ml", "ml")}
    with world.engine.begin() as connection:
        assert set(catalogs.read_catalog(connection, KeySets()).assets) == {"a", "new"}


def test_the_keys_of_dynamic_partitions_come_back_with_their_numbers(world: Recorded) -> None:
    world.send("sales", *chunks(manifest("sales", asset("a", partitions=dynamic("customers")))), worker="w2")
    world.cycle_recorded()
    for added, removed in ((("acme", "globex", "initech"), ("acme",)), (("hooli", "acme"), ("globex",))):
        change_keys(world.snapshot, "sales", "customers", world.now, added=added, removed=removed, author="ann")
        world.cycle_recorded()
    there = world.read_again()
    keys = there.key_sets.of("sales", "customers")
    assert (keys.keys(), keys.number("hooli"), keys.number("globex")) == (("acme", "initech", "hooli"), 3, 1)
    assert there.key_sets.seq == world.snapshot.key_sets.seq
    assert [step.partition for step in planned(there.catalog, "a", all_partitions=True)] == ["acme", "initech", "hooli"]
    with world.engine.begin() as connection:
        assert [each.key for each in read_keys(connection, since=5)] == ["acme", "globex"]


def test_cursors_come_back_with_their_epochs(world: Recorded) -> None:
    world.snapshot.changes.cursors["sales"] = ("17-3", "epoch-1")
    world.cycle_recorded()
    world.snapshot.changes.cursors["sales"] = ("18-0", "epoch-1")
    world.cycle_recorded()
    with world.engine.begin() as connection:
        assert read_cursors(connection) == {"sales": ("18-0", "epoch-1")}


# -- guards ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE steps SET state = 'cancelled'",
        "UPDATE steps SET attempt = 7",
        "UPDATE attempts SET state = 'superseded'",
    ],
)
def test_a_write_over_another_state_than_the_known_one_is_refused_and_nothing_of_it_is_kept(
    world: Recorded, statement: str
) -> None:
    world.request("a")
    (attempt,) = world.orders
    tamper(world.engine, statement)
    world.begin(attempt)
    world.finish(attempt)
    with pytest.raises(StaleWriteError), world.engine.begin() as connection:
        world.record(connection)
    assert rows(world.engine, "SELECT count(*) FROM materializations") == [(0,)]
    assert rows(world.engine, "SELECT count(*) FROM events WHERE convert_from(body, 'UTF8') LIKE '%\"attempt%'") == [
        (0,)
    ]
    assert rows(world.engine, "SELECT state FROM runs") == [("running",)]


def test_a_run_that_someone_else_planned_meanwhile_is_not_planned_again(world: Recorded) -> None:
    with world.engine.begin() as connection:
        runs.request_run(connection, RunRequest(("a",)), {}, "")
        take_requested_runs(PostgresTransaction(connection, Writes()), world.snapshot, world.now)
    tamper(world.engine, "UPDATE runs SET state = 'running'")
    with pytest.raises(StaleWriteError), world.engine.begin() as connection:
        world.record(connection)
    assert rows(world.engine, "SELECT count(*) FROM steps") == [(0,)]


# -- requests ----------------------------------------------------------------------------------------------------------


def ask(
    engine: Engine, key: str | None, *selection: str, tags: dict[str, str] | None = None, **more: Any
) -> tuple[str, bool]:
    with engine.begin() as connection:
        return runs.request_run(connection, RunRequest(selection, **more), tags or {}, "ann", key)


def test_the_same_idempotency_key_gives_the_same_run(engine: Engine) -> None:
    days = PartitionRange("2024-01-01", "2024-01-02")
    first, new = ask(engine, "k1", "a", partition_range=days, config={"a": {"n": [1]}}, tags={"t": "1"})
    assert new
    assert ask(engine, "k1", "a", partition_range=days, config={"a": {"n": [1]}}, tags={"t": "1"}) == (first, False)
    other, new = ask(engine, "k2", "a")
    assert (new, other == first) == (True, False)
    assert ask(engine, None, "a")[1]
    assert ask(engine, None, "a")[1]


@pytest.mark.parametrize(("selection", "tags"), [("b", {}), ("a", {"t": "1"})])
def test_an_idempotency_key_is_good_for_one_request_only(engine: Engine, selection: str, tags: dict[str, str]) -> None:
    ask(engine, "k1", "a")
    with pytest.raises(RequestError) as caught:
        ask(engine, "k1", selection, tags=tags)
    assert caught.value.code == "HR-Q030"
    assert rows(engine, "SELECT count(*) FROM runs") == [(1,)]


def test_a_request_comes_back_as_it_was_asked(engine: Engine) -> None:
    request = RunRequest(("a", "b+"), ("p",), PartitionRange("x", "y"), True, {"a": {"n": None}})
    with engine.begin() as connection:
        runs.request_run(connection, request, {"t": "1"}, "ann")
        (found,) = runs.read_requested(connection)
    assert found.request == request
    assert (found.run.state, found.run.author, found.run.tags, found.run.config) == (
        RunState.REQUESTED, "ann", {"t": "1"}, {"a": {"n": None}},
    )  # fmt: skip


# -- the schema --------------------------------------------------------------------------------------------------------


def test_the_migrations_make_exactly_the_tables_that_the_code_declares(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, t.metadata) == []


def test_migrating_again_changes_nothing(database_url: str) -> None:
    assert migrate.upgrade(database_url) == migrate.head(database_url) == migrate.current(database_url)


def test_an_empty_database_has_no_revision(postgres_url: str) -> None:
    assert migrate.current(postgres_url) is None


def test_every_state_that_is_written_is_one_of_the_table(world: Recorded) -> None:
    world.request("a b x")
    for attempt in list(world.orders):
        world.begin(attempt)
        world.send("sales", *success(attempt))
    world.cycle_recorded()
    with world.engine.begin() as connection:
        for column, kind in (
            (t.steps.c.state, StepState), (t.attempts.c.state, AttemptState), (t.runs.c.state, RunState),
            (t.materializations.c.state, MaterializationState),
        ):  # fmt: skip
            assert {kind(value) for value in connection.execute(select(column)).scalars()}


def test_times_come_back_with_their_zone(world: Recorded) -> None:
    world.request("a")
    (found,) = world.read_again().runs.values()
    assert isinstance(found.started_at, datetime)
    assert found.started_at == world.now
    assert found.started_at.utcoffset() is not None
