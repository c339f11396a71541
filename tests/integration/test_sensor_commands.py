"""Sensors as people meet them: commands against a real API over a real PostgreSQL."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from support import seeding
from support.processes import eventually
from support.shell import Shell, shell_over

from hedgerow.clock import uuid7
from hedgerow.manifest.model import Sensor
from hedgerow_scheduler.metadata import tables_automation as t

pytestmark = pytest.mark.servers
FILES = Sensor("files", "group:default", 30_000, 10_000, description="\x1b[31mLooks into the inbox.")
PROBLEM = {"code": "HR-X231", "message": "The cursor 7 is no text.", "remedy": "Mend it.", "traceback": "in files.py"}


def evaluated(desk: Shell, outcome: str, **more: Any) -> str:
    """The leader has recorded an evaluation of sales/files; its id."""
    id = uuid7()
    values = {"launched": 0, "deduped": 0, "run_ids": [], "reason": "", "log": "", "duration_ms": 120, **more}
    with desk.engine.begin() as connection:
        now = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        about = {"id": id, "team": "sales", "name": "files", "at": now, "ended_at": now, "outcome": outcome}
        seeding.add(connection, t.sensor_evaluations, **about, **values)
    return id


@pytest.fixture
def desk(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    with shell_over(database_url, tmp_path, monkeypatch, capsys) as shell:
        with shell.engine.begin() as connection:
            seeding.lead(connection)
            off = Sensor("idle", enabled=False)
            seeding.publish(connection, "sales", [seeding.asset("sales/orders")], sensors=[FILES, off])
            known = {"cursor": "b.csv", "number": 3, "failures": 1, "last_at": seeding.AT, "next_at": seeding.AT}
            seeding.add(connection, t.sensors, team="sales", location="sales", name="files", **known)
        yield shell


def test_sensors_are_listed_and_shown_with_their_cursor_and_what_became_of_their_evaluations(desk: Shell) -> None:
    evaluated(desk, "launched", launched=7, deduped=2, run_ids=[uuid7()] * 7, cursor="b.csv")
    evaluated(desk, "skipped", reason="nothing new")
    evaluated(desk, "failed", error=PROBLEM, log="looking\x1b[31m\nfound 7\n")
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


def test_a_sensor_is_paused_and_resumed_by_its_name(desk: Shell) -> None:
    assert desk("sensor", "pause", "files", "--reason", "the inbox moves", "--author", "ann").status == 0
    assert desk.data("sensor", "show", "files")["sensor"]["pause"]["reason"] == "the inbox moves"
    assert "sensor sales/files is paused by ann: the inbox moves" in desk("sensor", "show", "files").out
    assert desk("sensor", "resume", "files").status == 0
    assert desk.data("sensor", "list")["items"][0]["pause"] is None
    assert desk("pause", "sensor", "sales/nothing", "--reason", "x").status == 2


def test_an_evaluation_is_asked_for_and_its_outcome_is_told(desk: Shell) -> None:
    request = desk.data("sensor", "evaluate", "idle", "--no-wait", "--author", "ann")["request"]
    ((kind, body, author),) = desk.rows("SELECT kind, body, author FROM commands WHERE id = :id", id=request)
    assert (kind, body, author) == ("evaluate_sensor", {"team": "sales", "name": "idle"}, "ann")
    assert desk.rows("SELECT action, subject FROM audit") == [("evaluate", "sensor sales/idle")]

    def answer(outcome: dict[str, Any]) -> None:
        newest = "SELECT max(id) FROM commands WHERE id > :id AND outcome IS NULL"
        ((command,),) = eventually(lambda: [row for row in desk.rows(newest, id=request) if row[0]], what="it asks")
        told = "UPDATE commands SET outcome = CAST(:outcome AS jsonb), applied_at = now() WHERE id = :id"
        desk.rows(told, id=command, outcome=json.dumps(outcome))

    failed = evaluated(desk, "failed", error=PROBLEM)
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
