"""A condition of a team's own code, from end to end: a real worker answers, raises, and explain tells it."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text
from support.locations import write_location
from support.processes import eventually, python, running
from support.served import served
from support.worker_bench import DEPLOYMENT, running_worker

from hedgerow.settings.platform import read_platform
from hedgerow_scheduler.api.main import open_services
from hedgerow_scheduler.cli import explain
from hedgerow_scheduler.metadata import teams
from hedgerow_scheduler.metadata.database import open_engine

pytestmark = [pytest.mark.servers, pytest.mark.processes]

CODE = """
    import pathlib, time
    import hedgerow as hr

    HERE = pathlib.Path(__file__).parent

    @hr.condition(every="1s")
    def is_open(ctx: hr.ConditionContext) -> bool:
        said = (HERE / "door").read_text()
        if said == "broken":
            raise RuntimeError("the door has no handle")
        return said == "open"

    @hr.asset(automation=is_open)
    def orders() -> None: ...

    @hr.condition(every="1s", timeout="1s")
    def in_maintenance() -> bool:
        time.sleep(600)

    @hr.asset(automation=~in_maintenance)
    def waits() -> None: ...
"""


def test_an_asset_is_made_when_its_teams_code_says_so_and_explain_tells_why_not(
    database_url: str,
    broker_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = write_location(tmp_path / "sales", "sales", CODE)
    door = root / "door"
    door.write_text("broken")
    engine = open_engine(database_url)
    with engine.begin() as connection:
        teams.register(connection, ["sales"])

    def runs() -> int:
        with engine.begin() as connection:
            return int(connection.execute(text("SELECT count(*) FROM runs WHERE state = 'succeeded'")).scalar_one())

    def explained(key: str = "orders") -> str:
        explain.main([key])
        return capsys.readouterr().out

    urls = {"HEDGEROW_NAME": DEPLOYMENT, "HEDGEROW_DATABASE": database_url, "HEDGEROW_BROKER": broker_url}
    settings = {**urls, "HEDGEROW_STORAGE": str(tmp_path), "HEDGEROW_AUTOMATION_ENABLED": "true"}
    with ExitStack() as stack:
        command = python("-m", "hedgerow.console", "scheduler")
        environ = {**os.environ, **settings}
        stack.enter_context(running(command, log=tmp_path / "scheduler.log", environ=environ, cwd=tmp_path))
        stack.enter_context(running_worker(root, broker_url))
        services = open_services(read_platform(None, settings))
        stack.callback(services.engine.dispose)
        for name, value in {**settings, "HEDGEROW_API": stack.enter_context(served(services))}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        eventually(lambda: "the door has no handle" in explained(), within=60, what="explain tells what is wrong")
        assert runs() == 0
        door.write_text("open")
        eventually(lambda: runs() == 1, within=30, what="the asset is made")
        assert "is_open (the team's own code)" in eventually(
            lambda: told if "no handle" not in (told := explained()) else "", what="it is well again"
        )
        door.write_text("closed")
        eventually(lambda: "is_open (the team's own code)  no" in explained(), within=30, what="it does not hold")
        door.write_text("broken")
        told = eventually(
            lambda: told if "no handle" in (told := explained()) else "", within=30, what="it fails later"
        )
        assert "is_open (the team's own code)  no" in told
        door.write_text("open")
        eventually(lambda: runs() == 2, within=30, what="it is made again")
        assert "timeout of 1 s" in explained("waits")
    engine.dispose()
