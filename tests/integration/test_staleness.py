"""Staleness on real servers: from a materialization that changes, over what the API and the commands say, to the run that mends it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.played import Platform, Worker, played, settings_of
from support.scheduling import asset, manifest
from support.served import served

from hedgerow.manifest.model import Dependency
from hedgerow_scheduler.api.main import open_services
from hedgerow_scheduler.cli import assets, materialize, runs

pytestmark = pytest.mark.servers
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def platform(database_url: str, broker_url: str) -> Iterator[Platform]:
    with played(settings_of(database_url, broker_url)) as platform, platform.scheduling():
        platform.deployed()
        yield platform


@pytest.fixture
def command(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    services = open_services(platform.settings)
    commands = {"asset": assets.main, "materialize": materialize.main, "run": runs.main}

    def run(name: str, *arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        return commands[name](list(arguments)), capsys.readouterr().out

    with served(services) as url:
        monkeypatch.setenv("HEDGEROW_API", url)
        monkeypatch.setenv("COLUMNS", "200")
        yield run
    services.engine.dispose()


def make_everything(platform: Platform) -> None:
    run = platform.launch("raw/x", "clean", "report", "alone")
    platform.raw.do("raw/x")
    for _ in range(3):  # `alone` comes whenever it likes
        platform.sales.do("")
    assert platform.ended(run) == "succeeded"


def shown(command: Command, key: str) -> Any:
    return json.loads(command("asset", "show", key, "--json")[1])["staleness"]


def test_a_changed_upstream_makes_stale_what_is_below_it_and_a_stale_run_mends_just_that(
    platform: Platform, command: Command
) -> None:
    assert shown(command, "report")["missing"] == 1
    make_everything(platform)
    assert command("asset", "list", "--stale") == (0, "Nothing is stale.\n")
    assert command("materialize", "+report", "--stale") == (0, "Nothing is stale.\n")

    run = platform.launch("raw/x")
    platform.raw.do("raw/x")
    assert platform.ended(run) == "succeeded"

    told = shown(command, "report")
    assert (told["missing"], told["stale"], told["fresh"], told["of_all"]) == (0, 1, 0, True)
    (cause,) = told["partitions"][0]["causes"]
    assert cause["message"] == "upstream 'clean' is stale: upstream 'raw/x' has new data"
    assert cause["roots"] == ["'clean': upstream 'raw/x' has new data"]
    assert "stale; upstream 'raw/x' has new data" in command("asset", "show", "clean")[1]
    listed = command("asset", "list", "--stale")[1]
    assert [key for key in ("clean", "report", "alone") if key in listed] == ["clean", "report"]

    assert "upstream that is not selected" in command("materialize", "report", "--stale")[1]
    plan = json.loads(command("materialize", "*", "--stale", "--plan", "--json")[1])
    assert [step["computation"] for step in plan["steps"]] == ["clean", "report"]

    status, out = command("materialize", "*", "--stale", "--no-wait")
    assert status == 0
    platform.sales.do("clean")
    platform.sales.do("report")
    assert platform.ended(out.strip()) == "succeeded"
    nothing = json.loads(command("materialize", "*", "--stale", "--json")[1])
    assert nothing == {"id": None, "steps": 0, "stale_by_upstream": 0}


def test_unchanged_steps_end_at_once_and_say_so_while_what_comes_after_them_goes_on(
    platform: Platform, command: Command
) -> None:
    links = [
        asset(f"link{n}", Dependency(f"link{n - 1}", parameter="above"), code_version="c", skip_unchanged=True)
        for n in range(1, 10)
    ]
    chain = manifest("sales", asset("link0", code_version="c", skip_unchanged=True), *links, asset("last", "link9"))
    worker = platform.sales = Worker(platform.broker, chain, "w2")
    worker.everyone = platform.raw.everyone = [platform.raw, worker]
    in_force = f"SELECT 1 FROM locations WHERE manifest_hash = '{worker.hash}'"
    platform.until(in_force, (1,))

    def run_chain(steps: int) -> str:
        run = platform.launch("*link*", "last")
        for _ in range(steps):
            order = worker.awaited()
            assert worker.begin(order)
            worker.finish(order, code_version="c")
        assert platform.ended(run) == "succeeded"
        return run

    run_chain(11)
    again = run_chain(1)  # only `last`, which is not spared
    spared = f"SELECT count(*), max(attempt) FROM steps WHERE run_id = '{again}' AND error->>'code' = 'HR-Q026'"
    assert platform.rows(spared) == [(10, 0)]
    assert platform.rows(f"SELECT count(*) FROM attempts WHERE run_id = '{again}'") == [(1,)]
    assert "11 of 11 steps succeeded, 1 materialization, 10 unchanged." in command("run", "show", again)[1]
    assert "Unchanged since" in command("run", "show", f"{again}/0")[1]
