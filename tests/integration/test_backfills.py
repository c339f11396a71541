"""Backfills on real servers: over two teams, with real scheduler processes of which the leader is killed in between."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from support.crew import Crew, working
from support.processes import eventually, python, running
from support.scheduling import asset, manifest
from support.served import served

from hedgerow.conditions.constructors import eager
from hedgerow.manifest.model import Dependency
from hedgerow.partitions import daily, monthly
from hedgerow.settings.platform import read_platform
from hedgerow_scheduler.api.main import open_services
from hedgerow_scheduler.cli import backfills
from hedgerow_scheduler.metadata import teams

pytestmark = pytest.mark.servers

DAYS = daily("2024-01-01", end="2024-03-01")
RAW = manifest("raw", asset("raw/x", partitions=DAYS, max_partitions_per_run=7))
MADE = manifest(
    "sales",
    asset("clean", Dependency("raw/x"), partitions=DAYS),
    asset("months", Dependency("clean"), partitions=monthly("2024-01", end="2024-03")),
)
# Everything of it would follow by itself as well.
SALES = msgspec.structs.replace(
    MADE, assets=tuple(msgspec.structs.replace(each, automation=eager(window="all")) for each in MADE.assets)
)
TWICE = """
SELECT s.computation, s.partition, count(*) FROM steps s JOIN runs r ON r.id = s.run_id WHERE r.backfill_id = '{0}'
GROUP BY s.computation, s.partition HAVING count(*) > 1
"""
EARLY = """
SELECT below.computation, below.partition FROM steps below JOIN runs r ON r.id = below.run_id AND r.backfill_id = '{0}'
JOIN steps above ON starts_with(above.partition, below.partition) AND (above.computation, below.computation) IN (('raw/x', 'clean'), ('clean', 'months'))
JOIN runs a ON a.id = above.run_id AND a.backfill_id = '{0}'
WHERE r.created_at < above.ended_at
"""


class Desk:
    """A shell over a platform with two schedulers and the workers of two teams."""

    def __init__(self, engine: Any, crew: Crew, capsys: pytest.CaptureFixture[str]) -> None:
        self.engine, self.crew, self._capsys = engine, crew, capsys

    def __call__(self, *arguments: str, status: int = 0) -> Any:
        """The data of a command, or what is wrong when it is to end with another status."""
        self._capsys.readouterr()
        ended = backfills.main([*arguments, "--json"])
        said = self._capsys.readouterr()
        assert ended == status, said
        return json.loads(said.out)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the database answers."""
        with self.engine.begin() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    def start(self, *arguments: str) -> str:
        """The id of a new backfill of everything from `raw/x` on."""
        return str(self("start", "raw/x+", *arguments)["id"])

    def until(self, id: str, *states: str) -> dict[str, Any]:
        """The backfill once it has one of these states."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self("show", id)["backfill"]
            return found if found["state"] in states else None

        found = eventually(look, what=f"the backfill is {states}")
        assert found is not None
        return found

    def kill_the_leader(self) -> None:
        """Another one leads when this returns."""
        ((epoch, holder),) = self.rows("SELECT epoch, holder FROM leader")
        os.kill(int(holder.rpartition(":")[2]), signal.SIGKILL)
        eventually(lambda: self.rows("SELECT epoch FROM leader") == [(epoch + 1,)], what="another leads")

    def launched(self, id: str) -> int:
        """How many steps the backfill has."""
        return int(
            self.rows(f"SELECT count(*) FROM steps s JOIN runs r ON r.id = s.run_id WHERE backfill_id = '{id}'")[0][0]
        )


@pytest.fixture
def desk(
    database_url: str,
    broker_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Desk]:
    environ = {
        "HEDGEROW_NAME": "test", "HEDGEROW_DATABASE": database_url, "HEDGEROW_BROKER": broker_url,
        "HEDGEROW_STORAGE": str(tmp_path), "USER": "ann", "LOGNAME": "ann",
    }  # fmt: skip
    services = open_services(read_platform(None, environ))
    with services.engine.begin() as connection:
        teams.register(connection, ["raw", "sales"])
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:
        url = stack.enter_context(served(services))
        for name, value in {**environ, "HEDGEROW_API": url}.items():
            monkeypatch.setenv(name, value)
        for name in ("one", "two"):
            command = python("-m", "hedgerow.console", "scheduler")
            log = tmp_path / f"{name}.log"
            stack.enter_context(running(command, log=log, environ={**os.environ, **environ}, cwd=tmp_path))
        found = Desk(services.engine, stack.enter_context(working(broker_url, RAW, SALES)), capsys)
        in_force = "SELECT count(*) FROM locations WHERE manifest_hash IS NOT NULL"
        eventually(lambda: found.rows(in_force) == [(2,)], what="both manifests are in force")
        yield found
    services.engine.dispose()


def test_one_goes_over_two_teams_to_its_end_whoever_leads_and_another_is_cancelled(desk: Desk) -> None:
    planned = desk("preview", "raw/x+", "--all", "--canary", "3")
    assert [(track["team"], track["partitions"], track["runs"]) for track in planned["tracks"]] == [
        ("raw", 60, 9), ("sales", 60, 1), ("sales", 2, 1),
    ]  # fmt: skip
    assert [track["canary"] for track in planned["tracks"]] == [3, 3, 0]

    desk.crew.unlucky = {("clean", "2024-01-09")}
    first = desk.start("--all", "--canary", "3", "--max-runs", "2", "--max-partitions-per-run", "7", "--reason", "new")
    desk.until(first, "running", "failed")
    assert desk("pause", first)["state"] == "paused"
    desk.kill_the_leader()
    eventually(lambda: desk("show", first)["runs"].keys() <= {"succeeded", "failed"}, what="what was out has ended")
    held = desk.launched(first)
    assert 6 <= held < 122
    desk("rate", first, "6000/m", "--max-runs", "5")
    desk.crew.idle.set()
    desk("resume", first)
    eventually(lambda: desk.launched(first) > held, what="it goes on")
    desk.crew.idle.clear()

    ended = desk.until(first, "failed")
    assert ended["counts"] == {
        "to_do": 0, "launched": 0, "done": 120, "failed": 1, "upstream_failed": 1, "skipped": 0, "cancelled": 0,
    }  # fmt: skip
    found = desk("show", first)
    assert [(one["first"], one["last"]) for one in found["tracks"][1]["failed"]] == [("2024-01-09", "2024-01-09")]
    assert found["failure"]["error"]["code"] == "HR-X001"
    assert desk.rows(TWICE.format(first)) == []
    assert desk.rows(EARLY.format(first)) == []

    desk.crew.unlucky = set()
    desk("retry", first)
    assert desk.until(first, "succeeded")["counts"]["done"] == 122
    assert desk.rows(TWICE.format(first)) == [("clean", "2024-01-09", 2)]

    desk.crew.idle.set()
    second = desk.start("--range", "2024-01-01..2024-01-31")
    eventually(lambda: desk.launched(second) > 0, what="its runs wait")
    desk.crew.idle.clear()
    desk("cancel", second)
    counts = desk.until(second, "cancelled")["counts"]
    assert counts["launched"] == 0
    assert counts["cancelled"] > 0
    assert desk.rows(f"SELECT DISTINCT priority FROM runs WHERE backfill_id = '{second}'") == [(-10,)]
    actions = desk.rows("SELECT action, author FROM audit ORDER BY id")
    assert [action for action, _ in actions] == ["start", "pause", "pace", "resume", "retry", "start", "cancel"]


def test_too_much_that_fails_of_the_canary_ends_it(desk: Desk) -> None:
    desk.crew.unlucky = {("raw/x", "2024-01-02")}
    id = desk.start("--all", "--canary", "4")
    ended = desk.until(id, "aborted")
    assert ended["problem"]["code"] == "HR-Q367"
    assert ended["counts"]["done"] == 6
    assert desk("pause", id, status=2)["problems"][0]["code"] == "HR-Q364"
    desk.crew.unlucky = set()
    desk("retry", id)
    assert desk.until(id, "succeeded")["counts"]["done"] == 122
    # Conditions have left everything to it.
    assert desk.rows("SELECT count(*) FROM runs WHERE backfill_id IS NULL") == [(0,)]


def test_what_makes_no_sense_starts_nothing(desk: Desk) -> None:
    wrong = {
        "HR-Q103": ["start", "raw/x", "--range", "2024-02-01..2024-01-01"],
        "HR-Q321": ["start", "raw/x", "--range", ".."],
        "HR-Q101": ["start", "raw/x", "--partition", "2023-01-01"],
        "HR-Q001": ["start", "nope", "--all"],
        "HR-Q362": ["start", "raw/x", "--all", "--abort-threshold", "120%"],
        "HR-Q361": ["start", "raw/x", "--failed"],
        "HR-Q360": ["pause", "0190"],
    }
    for code, arguments in wrong.items():
        assert [each["code"] for each in desk(*arguments, status=2)["problems"]] == [code]
    for table in ("backfills", "backfill_tracks", "backfill_partitions", "commands", "audit", "runs"):
        assert desk.rows(f"SELECT count(*) FROM {table}") == [(0,)]
