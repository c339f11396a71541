"""Sensors from end to end: real schedulers, a real worker, and a team's own code that looks, hangs, raises and dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine, text
from support.locations import write_location
from support.processes import eventually, python, running
from support.worker_bench import DEPLOYMENT, running_worker

from hedgerow_scheduler.metadata import commands, teams
from hedgerow_scheduler.metadata.database import open_engine

pytestmark = [pytest.mark.servers, pytest.mark.processes]

CODE = """
    import os, pathlib, time
    import hedgerow as hr

    HERE = pathlib.Path(__file__).parent

    @hr.asset
    def orders() -> None: ...

    @hr.sensor(every="1s", target=orders)
    def new_files(ctx: hr.SensorContext):
        names = sorted(path.name for path in (HERE / "inbox").iterdir())
        ctx.log.info("found %s", names)
        yield from [hr.RunRequest(dedupe_key=name) for name in names]
        if names:
            ctx.update_cursor(names[-1])

    @hr.sensor(every="1s", timeout="2s")
    def hangs():
        with (HERE / "hanging").open("a") as file:
            print(os.getpid(), file=file)
        time.sleep(600)

    @hr.sensor(enabled=False)
    def nonsense():
        return 42

    feed = hr.external("raw/feed", observe=lambda: (HERE / "version").read_text(), every="1s")

    @hr.asset(deps=[feed], automation=hr.eager())
    def follows() -> None: ...

    @hr.asset(partitions=hr.dynamic("customers"))
    def invoices() -> None: ...

    @hr.sensor(enabled=False, target=invoices)
    def new_customers(ctx: hr.SensorContext):
        ctx.add_partitions("customers", ["acme"])
        return hr.RunRequest(partition="acme", dedupe_key="acme")

    @hr.sensor(enabled=False)
    def raises():
        raise ValueError("the bucket is gone")

    @hr.sensor(enabled=False)
    def dies():
        print("last words", flush=True)
        os._exit(3)

    @hr.sensor(enabled=False, target=orders)
    def unknown():
        return hr.SensorResult([hr.RunRequest(), hr.RunRequest(assets=["ordres"])], cursor="moved")
"""


class Place:
    """The team's location, and what the database holds."""

    def __init__(self, root: Path, engine: Engine) -> None:
        self.root, self.engine = root, engine

    def rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with self.engine.begin() as connection:
            return [tuple(row) for row in connection.execute(text(statement), parameters)]

    def keys(self) -> list[str]:
        """The dedupe keys of the runs of new_files, one for each run."""
        found = self.rows("SELECT tags ->> 'dedupe_key' FROM runs WHERE tags ->> 'sensor' = 'sales/new_files'")
        return sorted(key for (key,) in found)

    def evaluations(self, name: str, outcome: str = "%") -> int:
        asked = "SELECT count(*) FROM sensor_evaluations WHERE name = :name AND outcome LIKE :outcome"
        ((found,),) = self.rows(asked, name=name, outcome=outcome)
        return int(found)

    def evaluate(self, name: str) -> tuple[Any, ...]:
        """Asks for an evaluation: its outcome, error, log and cursor."""
        with self.engine.begin() as connection:
            id = commands.write(connection, "evaluate_sensor", {"team": "sales", "name": name}, "ann")
        asked = "SELECT outcome ->> 'evaluation' FROM commands WHERE id = :id AND applied_at IS NOT NULL"
        ((evaluation,),) = eventually(lambda: self.rows(asked, id=id), within=30, what=f"{name} is evaluated")
        told = "SELECT outcome, error, log, cursor FROM sensor_evaluations WHERE id = :id"
        return self.rows(told, id=evaluation)[0]

    def leader(self, other_than: int = 0) -> int:
        """The pid of the leader, as soon as it is another."""

        def look() -> int:
            ((holder,),) = self.rows("SELECT holder FROM leader") or [("",)]
            pid = int(holder.rpartition(":")[2]) if holder else 0
            return pid if pid != other_than else 0

        return eventually(look, what="a scheduler leads")


@pytest.fixture
def place(database_url: str, broker_url: str, tmp_path: Path) -> Iterator[Place]:
    root = write_location(tmp_path / "sales", "sales", CODE)
    (root / "inbox").mkdir()
    (root / "version").write_text("v1")
    engine = open_engine(database_url)
    with engine.begin() as connection:
        teams.register(connection, ["sales"])
    urls = {"HEDGEROW_NAME": DEPLOYMENT, "HEDGEROW_DATABASE": database_url, "HEDGEROW_BROKER": broker_url}
    environ = {**os.environ, **urls, "HEDGEROW_STORAGE": str(tmp_path), "HEDGEROW_AUTOMATION_ENABLED": "true"}
    with ExitStack() as stack:
        for name in ("one", "two"):
            command = python("-m", "hedgerow.console", "scheduler")
            stack.enter_context(running(command, log=tmp_path / f"{name}.log", environ=environ, cwd=tmp_path))
        stack.enter_context(running_worker(root, broker_url))
        yield Place(root, engine)
    engine.dispose()


def test_each_thing_found_is_launched_once_whoever_leads_and_a_sensor_that_hangs_delays_no_other(place: Place) -> None:
    (place.root / "inbox" / "a.csv").touch()
    eventually(lambda: place.keys() == ["a.csv"], within=60, what="the first file is launched")
    leader = place.leader()
    (place.root / "inbox" / "b.csv").touch()
    os.kill(leader, signal.SIGKILL)
    eventually(lambda: place.keys() == ["a.csv", "b.csv"], within=30, what="the next leader launches the second")
    assert place.leader(other_than=leader)
    (place.root / "inbox" / "c.csv").touch()
    eventually(lambda: place.keys() == ["a.csv", "b.csv", "c.csv"], within=30, what="it is found again")
    assert place.rows("SELECT cursor FROM sensors WHERE name = 'new_files'") == [("c.csv",)]
    before = place.evaluations("new_files", "skipped")
    eventually(lambda: place.evaluations("new_files", "skipped") >= before + 2, within=30, what="it is seen again")
    assert place.keys() == ["a.csv", "b.csv", "c.csv"]
    ((deduped, reason),) = place.rows(
        "SELECT deduped, reason FROM sensor_evaluations WHERE name = 'new_files' ORDER BY ended_at DESC LIMIT 1"
    )
    assert (deduped, reason) == (3, "every request was launched before")
    eventually(lambda: place.evaluations("hangs", "timed_out") >= 1, within=30, what="the one that hangs is ended")
    pid = int((place.root / "hanging").read_text().split()[0])
    eventually(lambda: not psutil.pid_exists(pid), what="its process is gone")

    made = "SELECT count(*) FROM runs WHERE author = 'automation'"
    eventually(lambda: place.evaluations("observe-raw-feed") >= 2, what="the feed is observed")
    ((before,),) = place.rows(made)
    (place.root / "version").write_text("v2")
    eventually(lambda: place.rows(made) == [(before + 1,)], what="what is made from the feed follows it")
    assert place.evaluate("new_customers")[:2] == ("launched", None)
    ended = "SELECT state FROM runs WHERE tags ->> 'sensor' = 'sales/new_customers'"
    eventually(lambda: place.rows(ended) == [("succeeded",)], what="a partition that is new is made")
    outcome, error, log, cursor = place.evaluate("nonsense")
    assert (outcome, error["code"], cursor) == ("failed", "HR-X230", None)
    assert "returned 42" in error["message"]
    outcome, error, log, _ = place.evaluate("raises")
    assert (outcome, error["code"]) == ("failed", "HR-X001")
    assert "the bucket is gone" in error["traceback"]
    outcome, error, log, _ = place.evaluate("dies")
    assert (outcome, error["code"], log) == ("failed", "HR-X107", "last words")
    outcome, error, _, cursor = place.evaluate("unknown")
    assert (outcome, error["code"], cursor) == ("failed", "HR-Q001", None)
    assert error["message"].startswith("Run request 2: ")
    assert place.rows("SELECT cursor, failures FROM sensors WHERE name = 'unknown'") == [(None, 1)]
    assert place.rows("SELECT count(*) FROM runs WHERE tags ->> 'sensor' = 'sales/unknown'") == [(0,)]
    ((log,),) = place.rows("SELECT log FROM sensor_evaluations WHERE name = 'new_files' ORDER BY ended_at DESC LIMIT 1")
    assert "found ['a.csv', 'b.csv', 'c.csv']" in log
