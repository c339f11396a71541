"""What materializations are made from, against a real PostgreSQL: recorded at dispatch, and read back to tell what is stale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine
from support.recorded import Recorded, rows
from support.scheduling import asset, manifest, published

from hedgerow.manifest import model
from hedgerow.manifest.model import Dependency
from hedgerow.partitions.model import All, StaticPartitions
from hedgerow.protocol import events as ev
from hedgerow.protocol.references import Reference
from hedgerow_scheduler.lifecycle.model import Attempt
from hedgerow_scheduler.lifecycle.states import AttemptState
from hedgerow_scheduler.metadata import runs
from hedgerow_scheduler.metadata.database import open_engine
from hedgerow_scheduler.metadata.inputs import Stored, read_stored
from hedgerow_scheduler.metadata.postgres_store import PostgresTransaction
from hedgerow_scheduler.metadata.read_versions import read_made, read_statuses
from hedgerow_scheduler.metadata.writes import Writes
from hedgerow_scheduler.planning.limiting import use_catalog
from hedgerow_scheduler.planning.request import RunRequest
from hedgerow_scheduler.planning.staleness import Status
from hedgerow_scheduler.planning.versions import FOLLOWED, LISTED, digest
from hedgerow_scheduler.service.requests import take_requested_runs

pytestmark = pytest.mark.servers
FEW = StaticPartitions(("no", "se"), "country")
SOME = StaticPartitions(tuple(f"{number:03}" for number in range(LISTED + 1)), "number")
TOO_MANY = StaticPartitions(tuple(f"{number:04}" for number in range(FOLLOWED + 1)), "number")


class Town(Recorded):
    """A world whose steps are dispatched with what the database has, and end at once."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.ran: list[str] = []

    def deploy(self, *parts: Any) -> None:
        """A team's code comes into force."""
        one = manifest("a", *parts)
        self.snapshot.accepted[published(one).hash] = published(one)
        use_catalog(self.snapshot, self.snapshot.catalog.replacing(published(one)), self.now)

    def cycle_recorded(self) -> list[Attempt]:
        """A cycle that reads what is stored as the loop does: once what has changed is recorded, in the same transaction."""
        with self.engine.begin() as connection:
            take_requested_runs(PostgresTransaction(connection, Writes()), self.snapshot, self.now)

            def stored(pairs: list[tuple[str, str]]) -> Stored:
                self.record(connection)
                return read_stored(connection, pairs)

            grants = self.admission.grant(self.snapshot, self.now)
            remember = PostgresTransaction(connection, Writes()).earlier
            self.dispatcher.dispatch(self.snapshot, grants, self.now, stored, remember)
            fresh = list(self.snapshot.changes.new_attempts)
            self.record(connection)
        return fresh

    def make(self, *selection: str, version: str = "", **request: Any) -> None:
        """A run from its request to its end, recorded cycle by cycle."""
        self.beat("a", slots=2_000)
        with self.engine.begin() as connection:
            runs.request_run(connection, RunRequest(selection, **request), {}, "ann")
        self.cycle_recorded()
        while self.snapshot.runs:
            for attempt in [one for one in self.snapshot.attempts.values() if one.state is AttemptState.DISPATCHED]:
                self.ran.append(attempt.step.computation)
                self.begin(attempt)
                declared = self.snapshot.catalog.computations[attempt.step.computation]
                self.send("a", *_outputs(attempt, version, declared.code_version))
            self.cycle_recorded()

    def inputs(self, asset: str, partition: str = "") -> Any:
        """What the current materialization of a partition was made from."""
        with self.engine.begin() as connection:
            return read_made(connection, [(asset, partition)])[asset, partition].inputs

    def status(self, asset: str, partition: str = "") -> Status:
        """What a partition is."""
        with self.engine.begin() as connection:
            pair = (asset, partition)
            return read_statuses(connection, self.snapshot.catalog, [pair], self.now)[pair]


def _outputs(attempt: Attempt, version: str, code_version: str) -> list[ev.Event]:
    token, made, partition = attempt.token, [], attempt.step.partition
    for key in attempt.step.assets:
        reference = Reference(f"file:///{attempt.id}", "json", partition)
        made.append(ev.AssetMaterialized(attempt.id, key, token, partition, reference, version, code_version))
    return [*made, ev.AttemptSucceeded(attempt.id, token, 1.0)]


@pytest.fixture
def town(database_url: str) -> Iterator[Town]:
    engine = open_engine(database_url)
    yield Town(engine)
    engine.dispose()


def value(key: str, **more: Any) -> Dependency:
    return Dependency(key, parameter=key, **more)


@pytest.mark.parametrize("dependency", [value("raw"), Dependency("raw")], ids=["read", "for order only"])
def test_the_version_of_what_a_step_is_made_from_is_recorded(town: Town, dependency: model.Dependency) -> None:
    town.deploy(asset("raw"), asset("x", dependency))
    town.make("raw", "x", version="v1")
    assert (town.inputs("raw"), town.inputs("x")) == ({}, {"raw": {"": "v1"}})
    assert town.status("x").kind == "fresh"
    town.make("raw", version="v1")
    assert town.status("x").kind == "fresh"
    town.make("raw", version="v2")
    assert [cause.text("x") for cause in town.status("x").causes] == ["upstream 'raw' has new data"]
    assert (town.status("x").causes[0].before, town.status("x").causes[0].after) == ("v1", "v2")
    town.make("x")
    assert town.status("x").kind == "fresh"


def test_what_has_no_data_version_is_known_by_its_dispatch_number(town: Town) -> None:
    town.deploy(asset("raw"), asset("x", "raw"), asset("y", value("raw")))
    town.make("raw", "x", "y")
    assert town.inputs("x") == town.inputs("y") == {"raw": {"": "#1"}}


@pytest.mark.parametrize("dependency", [value("raw"), Dependency("raw")], ids=["read", "for order only"])
def test_postgresql_and_the_scheduler_keep_many_versions_in_the_same_way(
    town: Town, dependency: model.Dependency
) -> None:
    town.deploy(asset("raw", partitions=SOME), asset("x", dependency))
    town.make("raw", "x", all_partitions=True, version="v=1\n")
    assert town.inputs("x") == {"raw": digest(dict.fromkeys(SOME.keys, "v=1\n"))}
    assert town.status("x").kind == "fresh"
    town.make("raw", partitions=("007",), version="v2")
    assert [cause.text("x") for cause in town.status("x").causes] == ["upstream 'raw' has new data (007)"]


def test_partitions_that_are_not_there_are_not_recorded_and_count_once_they_come(town: Town) -> None:
    town.deploy(asset("raw", partitions=FEW), asset("x", Dependency("raw", mapping=All())))
    town.make("raw", partitions=("no",), version="v")
    town.make("x")
    assert town.inputs("x") == {"raw": {"no": "v"}}
    assert town.status("x").kind == "fresh"
    town.make("raw", partitions=("se",), version="v")
    assert [cause.text("x") for cause in town.status("x").causes] == ["upstream 'raw' has new data (se)"]


def test_of_too_many_partitions_nothing_is_kept_and_the_order_of_dispatch_tells(town: Town) -> None:
    town.deploy(asset("raw", partitions=TOO_MANY), asset("x", Dependency("raw", mapping=All())))
    town.make("raw", partitions=("0001",))
    town.make("x")
    assert town.inputs("x") == {"raw": None}
    assert town.status("x").kind == "fresh"
    town.make("raw", partitions=("0001",))
    assert town.status("x").kind == "stale"


def test_of_materializations_before_inputs_were_recorded_the_order_of_dispatch_tells(town: Town) -> None:
    town.deploy(asset("raw"), asset("x", "raw"))
    town.make("raw", "x")
    rows_before = rows(town.engine, "UPDATE attempts SET inputs = NULL RETURNING 1")
    assert (len(rows_before), town.status("x").kind) == (2, "fresh")
    town.make("raw")
    assert town.status("x").kind == "stale"


def test_a_run_of_only_what_is_stale_plans_nothing_else(town: Town) -> None:
    town.deploy(asset("raw"), asset("x", "raw"), asset("y", "x"), asset("other"))
    town.make("*")
    town.make("raw")
    with town.engine.begin() as connection:
        found = PostgresTransaction(connection, Writes()).statuses(town.snapshot.catalog, [("y", "")], town.now)
    assert {pair: status.kind for pair, status in found.items()} == {
        ("raw", ""): "fresh", ("x", ""): "stale", ("y", ""): "stale",
    }  # fmt: skip
    before = rows(town.engine, "SELECT count(*) FROM steps")
    town.make("*", only_stale=True)
    made = rows(town.engine, f"SELECT computation FROM steps ORDER BY run_id, number OFFSET {before[0][0]}")
    assert made == [("x",), ("y",)]


def test_a_run_in_which_nothing_is_stale_succeeds_without_a_step(town: Town) -> None:
    town.deploy(asset("raw"))
    town.make("raw")
    town.make("raw", only_stale=True)
    ended = rows(town.engine, "SELECT state, steps FROM runs ORDER BY id DESC LIMIT 1")
    assert ended == [("succeeded", 0)]


def spared(key: str, *deps: Any, code_version: str = "c1", **more: Any) -> Any:
    return asset(key, *deps, code_version=code_version, skip_unchanged=True, **more)


def steps_of_last_run(town: Town) -> list[tuple[Any, ...]]:
    return rows(
        town.engine,
        "SELECT computation, state, attempt, error->>'code' FROM steps"
        " WHERE run_id = (SELECT id FROM runs ORDER BY id DESC LIMIT 1) ORDER BY number",
    )


@pytest.mark.parametrize("dependency", [value("raw"), Dependency("raw")], ids=["read", "for order only"])
def test_a_step_whose_inputs_and_code_are_the_same_does_not_run_and_what_comes_after_it_goes_on(
    town: Town, dependency: model.Dependency
) -> None:
    town.deploy(asset("raw"), spared("x", dependency), asset("y", "x"))
    town.make("*", version="v1")
    before = rows(town.engine, "SELECT attempt_id FROM current_materializations WHERE asset = 'x'")
    town.ran.clear()
    town.make("*", version="v1")
    assert town.ran == ["raw", "y"]
    assert steps_of_last_run(town) == [
        ("raw", "succeeded", 1, None),
        ("x", "succeeded", 0, "HR-Q026"),
        ("y", "succeeded", 1, None),
    ]
    assert rows(town.engine, "SELECT attempt_id FROM current_materializations WHERE asset = 'x'") == before
    assert not town.snapshot.locks
    assert not any(limit.used for limit in town.snapshot.limits)


def test_other_data_other_code_or_another_config_make_it_run(town: Town) -> None:
    town.deploy(asset("raw"), spared("x", "raw", config_schema={"type": "object"}))
    town.make("raw", "x", version="v1")
    town.ran.clear()
    town.make("x", config={"x": {"limit": 1}})
    town.make("x", config={"x": {"limit": 1}})
    assert town.ran == ["x"]
    town.make("x")
    assert town.ran == ["x", "x"]
    town.deploy(asset("raw"), spared("x", "raw", code_version="c2", config_schema={"type": "object"}))
    town.make("x")
    town.make("x")
    assert town.ran == ["x", "x", "x"]
    town.make("raw", "x", version="v2")
    assert town.ran == ["x", "x", "x", "raw", "x"]


def test_a_chain_of_unchanged_steps_ends_without_a_worker(town: Town) -> None:
    town.deploy(spared("x0"), *(spared(f"x{number}", value(f"x{number - 1}")) for number in range(1, 6)))
    town.make("*", version="v1")
    town.ran.clear()
    town.make("*")
    assert town.ran == []
    assert {(state, code) for _, state, _, code in steps_of_last_run(town)} == {("succeeded", "HR-Q026")}


def test_each_partition_is_compared_with_its_own_past(town: Town) -> None:
    town.deploy(asset("raw", partitions=FEW), spared("x", "raw", partitions=FEW))
    town.make("*", all_partitions=True, version="v1")
    town.make("raw", partitions=("se",), version="v2")
    town.ran.clear()
    town.make("x", all_partitions=True)
    assert town.ran == ["x"]
    assert [row[2:] for row in steps_of_last_run(town)] == [(0, "HR-Q026"), (1, None)]
