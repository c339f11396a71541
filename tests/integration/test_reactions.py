"""Reactions from end to end: real schedulers, a real worker, and a team's own code that is told, raises, and is told again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from support.locations import write_location
from support.processes import eventually, python, running
from support.served import served
from support.worker_bench import DEPLOYMENT, running_worker

from hedgerow.settings.platform import read_platform
from hedgerow_scheduler.api.main import open_services
from hedgerow_scheduler.cli import reactions as command
from hedgerow_scheduler.metadata import runs, teams
from hedgerow_scheduler.metadata.database import open_engine
from hedgerow_scheduler.planning.request import RunRequest

pytestmark = [pytest.mark.servers, pytest.mark.processes]

CODE = """
    import pathlib
    import hedgerow as hr

    HERE = pathlib.Path(__file__).parent

    @hr.asset
    def broken() -> None:
        raise ValueError("no orders today")

    @hr.on_event("step_failed")
    def tell(event: hr.Event):
        with (HERE / "told").open("a") as file:
            print(event.id, event.asset, event.message, file=file)

    @hr.on_event("run_failed", retry=hr.Retry(1, delay="1s"))
    def fails(event: hr.Event):
        print("dialling", flush=True)
        if (HERE / "mended").exists():
            return
        raise ConnectionError("the pager is down")
"""


class Place:
    def __init__(self, root: Path, database_url: str) -> None:
        self.root, self.engine = root, open_engine(database_url)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.engine.begin() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    def launch(self) -> str:
        with self.engine.begin() as connection:
            return runs.request_run(connection, RunRequest(("broken",)), {}, "ann")[0]

    def told(self) -> list[str]:
        file = self.root / "told"
        return file.read_text().splitlines() if file.exists() else []

    def states(self, name: str) -> list[str]:
        return [
            state
            for (state,) in self.rows(
                f"SELECT state FROM reaction_deliveries WHERE name = '{name}' ORDER BY created_at"
            )
        ]


@pytest.fixture
def place(database_url: str, broker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    root = write_location(tmp_path / "sales", "sales", CODE)
    place = Place(root, database_url)
    with place.engine.begin() as connection:
        teams.register(connection, ["sales"])
    urls = {"HEDGEROW_NAME": DEPLOYMENT, "HEDGEROW_DATABASE": database_url, "HEDGEROW_BROKER": broker_url}
    settings = {**urls, "HEDGEROW_STORAGE": str(tmp_path), "HEDGEROW_AUTOMATION_ENABLED": "true"}
    environ = {**os.environ, **settings}
    with ExitStack() as stack:
        for name in ("one", "two"):
            told = python("-m", "hedgerow.console", "scheduler")
            stack.enter_context(running(told, log=tmp_path / f"{name}.log", environ=environ, cwd=tmp_path))
        stack.enter_context(running_worker(root, broker_url))
        services = open_services(read_platform(None, settings))
        url = stack.enter_context(served(services))
        for name, value in {**settings, "HEDGEROW_API": url, "COLUMNS": "200"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield place
        services.engine.dispose()
    place.engine.dispose()


def test_what_fails_is_told_at_once_again_if_need_be_and_by_the_next_leader(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    in_force = "SELECT 1 FROM locations WHERE manifest_hash IS NOT NULL"
    eventually(lambda: place.rows(in_force), within=60, what="the code is in force")
    place.launch()
    (line,) = eventually(place.told, within=30, what="the failure is told")
    assert line.split(" ", 1)[1] == "broken ValueError: no orders today"
    eventually(lambda: place.states("fails") == ["given_up"], within=30, what="what can not be told is given up")
    assert command.main(["show", "fails"]) == 0
    told = capsys.readouterr().out
    for part in ("sales/fails", "run_failed", "given up", "the pager is down", "dialling"):
        assert part in told
    ((attempts,),) = place.rows("SELECT attempts FROM reaction_deliveries WHERE name = 'fails'")
    assert attempts == 2

    assert command.main(["retry", "fails", "ffff"]) == 2
    assert "HR-Q349" in capsys.readouterr().err
    assert command.main(["retry", "sales/tell", "--failed"]) == 2
    assert "was given up" in capsys.readouterr().err
    ((id,),) = place.rows("SELECT id FROM reaction_deliveries WHERE name = 'fails'")
    assert command.main(["retry", "fails", str(id)[:13], "--author", "ann", "--reason", "is it back?"]) == 0
    assert "1 delivery will be told again" in capsys.readouterr().out
    became = "SELECT outcome->'retried' FROM commands WHERE applied_at IS NOT NULL"
    assert eventually(lambda: place.rows(became), within=30, what="the request is taken") == [(1,)]
    eventually(lambda: place.states("fails") == ["given_up"], within=30, what="it is given up again")
    assert place.rows("SELECT author, action, subject, reason FROM audit") == [
        ("ann", "retry", "reaction sales/fails", "is it back?")
    ]
    (place.root / "mended").touch()
    assert command.main(["retry", "fails", "--failed"]) == 0
    eventually(lambda: place.states("fails") == ["delivered"], within=30, what="it has arrived at last")
    (place.root / "mended").unlink()

    ((holder,),) = place.rows("SELECT holder FROM leader")
    worker_told = len(place.told())
    place.launch()
    os.kill(int(str(holder).rpartition(":")[2]), signal.SIGKILL)
    eventually(lambda: len(place.told()) > worker_told, within=40, what="the next leader tells it")
    eventually(lambda: place.states("tell") == ["delivered", "delivered"], within=30, what="both have arrived")
    assert command.main(["list"]) == 0
    assert "2 delivered" in capsys.readouterr().out
    assert command.main(["show", "nobody"]) == 2
    assert "HR-Q348" in capsys.readouterr().err
