"""Sensors as people meet them: commands against a real API over a real PostgreSQL."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Engine, text
from support import seeding
from support.processes import eventually
from support.served import served

from hedgerow.clock import uuid7
from hedgerow.manifest.model import Sensor
from hedgerow.settings.platform import read_platform
from hedgerow_scheduler.api.main import open_services
from hedgerow_scheduler.cli import pauses, sensors
from hedgerow_scheduler.metadata import tables_automation as t

pytestmark = pytest.mark.servers
COMMANDS: dict[str, Callable[[list[str]], int]] = {"sensor": sensors.main, "pause": pauses.pause_main}
FILES = Sensor("files", "group:default", 30_000, 10_000, description="\x1b[31mLooks into the inbox.")
PROBLEM = {"code": "HR-X231", "message": "The cursor 7 is no text.", "remedy": "Mend it.", "traceback": "in files.py"}


class Done(NamedTuple):
    status: int
    out: str
    err: str


class Desk:
    """A shell over a deployment with two sensors, of which the leader has recorded something."""

    def __init__(self, engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
        self.engine, self._capsys = engine, capsys

    def __call__(self, command: str, *arguments: str) -> Done:
        status = COMMANDS[command](list(arguments))
        return Done(status, *self._capsys.readouterr())

    def data(self, command: str, *arguments: str) -> Any:
        """The JSON of a command that succeeds."""
        done = self(command, *arguments, "--json")
        assert done.status == 0, done
        return json.loads(done.out)

    def execute(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """What the database answers."""
        with self.engine.begin() as connection:
            found = connection.execute(text(statement), parameters)
            return [tuple(row) for row in found] if found.returns_rows else []

    def evaluated(self, outcome: str, **more: Any) -> str:
        """The leader has recorded an evaluation of sales/files; its id."""
        id = uuid7()
        values = {"launched": 0, "deduped": 0, "run_ids": [], "reason": "", "log": "", "duration_ms": 120, **more}
        with self.engine.begin() as connection:
            now = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
            about = {"id": id, "team": "sales", "name": "files", "at": now, "ended_at": now, "outcome": outcome}
            seeding.add(connection, t.sensor_evaluations, **about, **values)
        return id


@pytest.fixture
def desk(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    environ = {
        "HEDGEROW_DATABASE": database_url,
        "HEDGEROW_STORAGE": str(tmp_path / "storage"),
        "HEDGEROW_BROKER": "redis://127.0.0.1:1/0",
    }
    services = open_services(read_platform(None, environ))
    monkeypatch.chdir(tmp_path)
    with served(services) as url:
        for name, value in {**environ, "HEDGEROW_API": url, "COLUMNS": "200"}.items():
            monkeypatch.setenv(name, value)
        with services.engine.begin() as connection:
            seeding.lead(connection)
            off = Sensor("idle", enabled=False)
            seeding.publish(connection, "sales", [seeding.asset("sales/orders")], sensors=[FILES, off])
            known = {"cursor": "b.csv", "number": 3, "failures": 1, "last_at": seeding.AT, "next_at": seeding.AT}
            seeding.add(connection, t.sensors, team="sales", location="sales", name="files", **known)
        yield Desk(services.engine, capsys)
    services.engine.dispose()


def test_sensors_are_listed_and_shown_with_their_cursor_and_what_became_of_their_evaluations(desk: Desk) -> None:
    desk.evaluated("launched", launched=7, deduped=2, run_ids=[uuid7()] * 7, cursor="b.csv")
    desk.evaluated("skipped", reason="nothing new")
    desk.evaluated("failed", error=PROBLEM, log="looking\x1b[31m\nfound 7\n")
    found = {one["sensor"]["name"]: one for one in desk.data("sensor", "list")["items"]}
    assert list(found) == ["files", "idle"]
    assert [(one["on"], one["served"], one["failures"]) for one in found.values()] == [
        (True, False, 1),
        (False, False, 0),
    ]
    assert found["files"]["last"]["outcome"] == "failed"
    listed = desk("sensor", "list", "--team", "sales").out
    assert "sales/files" in listed
    assert "failing" in listed
    shown = desk("sensor", "show", "files").out
    for told in (
        "evaluated every 30s, at most 10s long; launches group:default",
        "cursor: b.csv", "failed 1 times in a row", "no live worker serves location sales",
        "launched 7 (2 before)", "and 2 more", "nothing new", "HR-X231", "in files.py", "found 7",
    ):  # fmt: skip
        assert told in shown
    assert "\x1b[31m" not in shown
    assert desk.data("sensor", "show", "sales/files", "--count", "1")["evaluations"][0]["log"].startswith("looking")
    unknown = desk("sensor", "show", "sales/fiels")
    assert unknown.status == 2
    assert "HR-Q342" in unknown.err
    assert "sales/files" in unknown.err


def test_a_sensor_is_paused_and_resumed_by_its_name(desk: Desk) -> None:
    assert desk("sensor", "pause", "files", "--reason", "the inbox moves", "--author", "ann").status == 0
    assert desk.data("sensor", "show", "files")["sensor"]["pause"]["reason"] == "the inbox moves"
    assert "sensor sales/files is paused by ann: the inbox moves" in desk("sensor", "show", "files").out
    assert desk("sensor", "resume", "files").status == 0
    assert desk.data("sensor", "list")["items"][0]["pause"] is None
    assert desk("pause", "sensor", "sales/nothing", "--reason", "x").status == 2


def test_an_evaluation_is_asked_for_and_its_outcome_is_told(desk: Desk) -> None:
    request = desk.data("sensor", "evaluate", "idle", "--no-wait", "--author", "ann")["request"]
    ((kind, body, author),) = desk.execute("SELECT kind, body, author FROM commands WHERE id = :id", id=request)
    assert (kind, body, author) == ("evaluate_sensor", {"team": "sales", "name": "idle"}, "ann")
    assert desk.execute("SELECT action, subject FROM audit") == [("evaluate", "sensor sales/idle")]

    def answer(outcome: dict[str, Any]) -> None:
        newest = "SELECT max(id) FROM commands WHERE id > :id AND outcome IS NULL"
        ((command,),) = eventually(lambda: [row for row in desk.execute(newest, id=request) if row[0]], what="it asks")
        told = "UPDATE commands SET outcome = CAST(:outcome AS jsonb), applied_at = now() WHERE id = :id"
        desk.execute(told, id=command, outcome=json.dumps(outcome))

    failed = desk.evaluated("failed", error=PROBLEM)
    for outcome, status, told in (
        ({"evaluation": failed, "outcome": "failed"}, 1, "HR-X231"),
        ({"refused": "No live worker serves it."}, 2, "HR-Q346"),
    ):
        leader = threading.Thread(target=answer, args=(outcome,))
        leader.start()
        done = desk("sensor", "evaluate", "sales/files")
        leader.join()
        assert done.status == status
        assert told in done.out + done.err
