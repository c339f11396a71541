"""Commands against a real API over a real PostgreSQL: what they print, and how they exit."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select
from support import seeding
from support.processes import eventually
from support.shell import Shell, shell_over

from hedgerow.manifest.model import Asset, Check, Queue
from hedgerow.partitions.model import TimePartitions
from hedgerow_scheduler.cli import check, database, teams
from hedgerow_scheduler.metadata import tables

pytestmark = pytest.mark.servers
DAYS = TimePartitions("day", "2024-01-01", "2024-02-01")


@pytest.fixture
def shell(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    with shell_over(database_url, tmp_path, monkeypatch, capsys) as shell:
        yield shell


@pytest.fixture
def ids(shell: Shell) -> dict[str, str]:
    with shell.engine.begin() as connection:
        seeding.lead(connection)
        seeding.publish(
            connection,
            "sales",
            [
                seeding.asset("sales/orders", ["raw/orders"], description="Orders, \x1b[31mcleaned\x1b[0m."),
                seeding.asset("sales/daily", ["sales/orders"], partitions=DAYS, group="daily"),
            ],
            external=[Asset("raw/orders")],
            checks=[Check("not_empty", "sales/orders", blocking=True)],
            queues=[Queue("default", concurrency=2)],
        )
        problem = {"code": "HR-X004", "message": "boom", "remedy": "Mend it.", "file": "sales.py", "line": 3}
        problem["traceback"] = "Traceback (most recent call last)\n  here\n"
        seeding.add(connection, tables.locations, team="sales", location="eu", problems=[problem], failed_at=seeding.AT)
        failed = seeding.run(connection, "failed", steps=1, ended_at=seeding.AT, tags={"env": "prod"}, author="ann")
        error = {
            "code": "HR-X001",
            "message": "ValueError: \x1b[2Jno",
            "remedy": "Look.",
            "traceback": "Traceback\n  there\n",
        }
        seeding.step(connection, failed, 0, "sales/orders", "failed", attempt=1, error=error)
        attempt = seeding.attempt(connection, failed, 0, "failed")
        seeding.output(
            connection, attempt, failed, 0, "sales/orders", "current", metadata={"note": "\x1b[2Jhi", "rows": 1234}
        )
        live = seeding.run(connection, "running", steps=1)
        seeding.step(connection, live, 0, "sales/daily", "ready", partition="2024-01-01", ready_at=seeding.AT)
    return {"failed": failed, "live": live}


def test_runs_are_listed_and_shown_with_their_errors(shell: Shell, ids: dict[str, str]) -> None:
    listed = shell("run", "list")
    assert (listed.status, ids["live"][:13] in listed.out, "env=prod" in listed.out) == (0, True, True)
    assert [run["id"] for run in shell("run", "list", "--state", "failed", "--json").data["items"]] == [ids["failed"]]
    shown = shell("run", "show", ids["failed"][:20])
    assert shown.status == 0
    for text in ("HR-X001  ValueError: no", "Look.", "  there", "sales/orders"):
        assert text in shown.out
    step = shell("run", "show", f"{ids['failed']}/0")
    assert "rows = 1,234" in step.out
    assert "\x1b" not in shown.out + step.out
    assert shell("run", "show", ids["failed"], "--json").data["failed_steps"][0]["error"]["code"] == "HR-X001"


def test_cancel_and_retry_reach_the_scheduler(shell: Shell, ids: dict[str, str]) -> None:
    assert shell("run", "cancel", ids["live"], "--author", "bob").status == 0
    assert shell("run", "retry", ids["failed"], "--no-wait", "--step", "0").status == 0
    ended = shell("run", "cancel", ids["failed"])
    assert (ended.status, ended.err.split()[0]) == (2, "HR-Q311")
    with shell.engine.connect() as connection:
        rows = connection.execute(select(tables.commands).order_by(tables.commands.c.id)).all()
    assert [(row.kind, row.body["run_id"]) for row in rows] == [
        ("cancel_run", ids["live"]),
        ("retry_run", ids["failed"]),
    ]
    assert rows[0].author == "bob"


def test_assets_are_listed_searched_shown_and_drawn(shell: Shell, ids: dict[str, str]) -> None:
    assert "Orders, cleaned." in shell("asset", "list").out
    assert [one["key"] for one in shell("asset", "search", "cleaned", "--json").data["items"]] == ["sales/orders"]
    shown = shell("asset", "show", "sales/daily")
    assert "0 of 31 partitions" in shown.out
    assert "note=hi" in shell("asset", "show", "sales/orders").out
    assert shell("asset", "graph").out.splitlines()[:2] == [
        "raw/orders  (sales, external)",
        "└── sales/orders  (sales)",
    ]
    missing = shell("asset", "show", "sales/order")
    assert (missing.status, missing.err.splitlines()[1].strip()) == (2, "Did you mean 'sales/orders'?")


def test_explain_takes_a_step_a_run_or_an_asset(shell: Shell, ids: dict[str, str]) -> None:
    for target in (f"{ids['live']}/0", ids["live"], "sales/daily"):
        assert "No live worker serves queue sales/default." in shell("explain", target).out
    causes = shell("explain", "sales/orders", "--json").data["causes"]
    assert [cause["kind"] for cause in causes] == ["last_run", "has_data"]


def test_a_team_shows_the_traceback_of_its_broken_code(shell: Shell, ids: dict[str, str]) -> None:
    assert "1 of 2 broken" in shell("team", "list").out
    shown = shell("team", "show", "sales")
    for text in ("HR-X004  boom", "at sales.py:3", "Mend it.", "Traceback (most recent call last)", "No live workers."):
        assert text in shown.out
    assert shell("team", "show", "sale").status == 2


def test_materialize_follows_the_run_and_exits_by_its_end(shell: Shell, ids: dict[str, str]) -> None:
    def play(state: str) -> None:
        """What the scheduler would do."""
        with shell.engine.begin() as connection:
            query = select(tables.runs.c.id).where(tables.runs.c.state == "requested")
            run_id = eventually(lambda: connection.execute(query).scalar_one_or_none(), what="a run was requested")
            error = {"code": "HR-X001", "message": "no", "remedy": ""} if state == "failed" else None
            seeding.step(
                connection, run_id, 0, "sales/orders", state, started_at=seeding.AT, ended_at=seeding.AT, error=error
            )
            values = {"state": state, "steps": 1, "started_at": func.now(), "ended_at": func.clock_timestamp()}
            connection.execute(tables.runs.update().where(tables.runs.c.id == run_id).values(**values))

    for state, status in (("succeeded", 0), ("failed", 1)):
        thread = threading.Thread(target=play, args=[state])
        thread.start()
        done = shell("materialize", "sales/orders", "--tag", "a=b")
        thread.join()
        assert (done.status, f" {state} in " in done.out) == (status, True)
        assert ("failed step 0 sales/orders\n  HR-X001  no" in done.err) == (state == "failed")


def test_what_can_not_be_launched_is_refused_with_the_api_s_code(shell: Shell, ids: dict[str, str]) -> None:
    for arguments, code in (
        (["sales/ordrs"], "HR-Q001"),
        (["sales/daily"], "HR-Q101"),
        (["sales/daily", "--partition", "2030-01-01"], "HR-Q101"),
        (["sales/orders", "--tag", "x"], "HR-Q321"),
        ([], "HR-Q320"),
    ):
        done = shell("materialize", *arguments)
        assert (done.status, done.err.split()[0], done.out) == (2, code, "")
        as_data = shell("materialize", "--json", *arguments)
        assert (as_data.data["problems"][0]["code"], as_data.err) == (code, "")


def test_a_plan_and_a_launch_without_waiting(shell: Shell, ids: dict[str, str]) -> None:
    assert "3 steps." in shell("materialize", "sales/daily", "--range", "2024-01-01..2024-01-03", "--plan").out
    launched = shell("materialize", "sales/orders", "--no-wait")
    assert shell("run", "show", launched.out.strip(), "--json").data["state"] == "requested"


def test_an_api_that_is_away_is_said_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("http://127.0.0.1:1", ""):
        monkeypatch.setenv("HEDGEROW_API", url)
        assert teams.main(["list"]) == 3
        said = capsys.readouterr().err
        assert said.startswith("HR-P350")
        assert "hedgerow dev PATH" in said


def test_the_database_is_upgraded_once(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEDGEROW_DATABASE", postgres_url)
    assert database.main(["current"]) == 1
    assert [database.main(["upgrade"]), database.main(["upgrade"]), database.main(["current"])] == [0, 0, 0]
    assert "already" in capsys.readouterr().out
    monkeypatch.setenv("HEDGEROW_DATABASE", "postgresql://nobody@127.0.0.1:1/none")
    assert database.main(["upgrade"]) == 3


@pytest.fixture
def location(tmp_path: Path) -> Path:
    place = tmp_path / "shop"
    place.mkdir()
    (place / "hedgerow.toml").write_text('[team]\nname = "shop"\n[code]\nmodules = ["shop_code"]\n')
    (place / "shop_code.py").write_text(
        'import hedgerow as hr\n\n\n@hr.asset(key="shop/a", deps=["other/b"])\ndef a() -> str:\n    """Text."""\n    return "x"\n'
    )
    return place


def test_check_prints_what_a_location_declares(location: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([str(location), "--no-platform"]) == 0
    said = capsys.readouterr()
    assert "team shop, 1 asset," in said.out
    assert "other/b" in said.err


def test_check_reports_every_mistake_with_its_place(location: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (location / "shop_code.py").write_text("import hedgerow as hr\n\nraise RuntimeError('not today')\n")
    assert check.main([str(location), "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["locations"][0]["problems"]
    assert "not today" in problem["message"]
    assert (problem["file"], problem["line"]) == ("shop_code.py", 3)
    (location / "hedgerow.toml").write_text("[team\n")
    assert check.main([str(location)]) == 2
    assert "HR-C001" in capsys.readouterr().err


def test_check_knows_the_other_locations_and_the_platform(
    shell: Shell, ids: dict[str, str], location: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = shell("check", str(location), "--platform")
    assert (done.status, "HR-Q322" in done.err) == (2, True)
    code = location / "shop_code.py"
    code.write_text(code.read_text().replace("other/b", "sales/orders"))
    assert shell("check", str(location), "--platform").status == 0
    code.write_text(code.read_text().replace('key="shop/a"', 'key="sales/daily"'))
    stolen = shell("check", str(location), "--platform")
    assert (stolen.status, "HR-Q010" in stolen.err) == (2, True)
