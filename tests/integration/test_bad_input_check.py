"""`hedgerow check` on code with mistakes, in real interpreters: code, place and remedy of each, for people and as data."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.locations import TWO_ASSETS, write_location
from support.mistakes import MISTAKES, write_mistake
from support.processes import python

pytestmark = [pytest.mark.processes]

NAMES = {f"team{number}": name for number, name in enumerate(MISTAKES)}


def check(root: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        python("-m", "hedgerow.console", "check", root, "--no-platform", *more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def problems(done: subprocess.CompletedProcess[str]) -> dict[str, list[Any]]:
    """The problems of each location by the name of its directory."""
    return {Path(one["path"]).name: one["problems"] for one in json.loads(done.stdout)["locations"]}


@pytest.fixture(scope="module")
def everyone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a location for each mistake, and one without any."""
    root = tmp_path_factory.mktemp("everyone")
    write_location(root / "good", "good", TWO_ASSETS)
    for team, name in NAMES.items():
        write_mistake(root / team, team, MISTAKES[name])
    return root


@pytest.fixture(scope="module")
def told(everyone: Path) -> dict[str, list[Any]]:
    done = check(everyone, "--json")
    assert done.returncode == 2, done.stderr
    return problems(done)


@pytest.mark.parametrize(("team", "name"), NAMES.items(), ids=NAMES.values())
def test_each_mistake_is_told_with_code_place_and_remedy(told: dict[str, list[Any]], team: str, name: str) -> None:
    mistake, (problem, *more) = MISTAKES[name], told[team]
    assert not more
    assert problem["code"] == mistake.code
    assert mistake.told in problem["message"]
    assert mistake.remedy in problem["remedy"]
    assert problem["remedy"]
    place = f"{problem.get('file', '')}:{problem.get('line', '')}"
    assert mistake.where in place


def test_the_others_are_all_right(told: dict[str, list[Any]]) -> None:
    assert told["good"] == []


def test_people_read_every_mistake_once_with_its_place(everyone: Path) -> None:
    done = check(everyone / "team0")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "HR-D006" in done.stderr
    assert "at team0_assets.py:3" in done.stderr
    assert "\x1b" not in done.stderr


def test_cycles_keys_and_upstream_over_several_teams_are_checked_when_the_teams_are_checked_together(
    tmp_path: Path,
) -> None:
    north = '@hr.asset(key="north/{}", deps={})\ndef a(): ...\n'
    parts = '@hr.asset(key="{}", deps={}, partitions=hr.{})\ndef b(): ...\n'
    places = parts.format("north/b", [], 'static("no", "se")')
    write_location(tmp_path / "north", "north", "import hedgerow as hr\n" + north.format("a", '["south/a"]') + places)
    days = parts.format("west/b", ["north/b"], 'daily("2024-01-01")')
    write_location(tmp_path / "west", "west", "import hedgerow as hr\n" + days)
    south = '@hr.asset(key="south/a", deps=["north/a"])\ndef a(): ...\n'
    write_location(tmp_path / "south", "south", "import hedgerow as hr\n" + south)
    thief = '@hr.asset(key="north/a")\ndef a(nort): ...\n'
    write_location(tmp_path / "thief", "thief", "import hedgerow as hr\n" + thief)
    done = check(tmp_path, "--json")
    assert done.returncode == 2
    found = problems(done)
    assert found["north"] == []
    (cycle,), (foreign, unknown) = found["south"], found["thief"]
    assert (cycle["code"], foreign["code"]) == ("HR-Q011", "HR-Q010")
    assert (unknown["code"], "'nort'" in unknown["message"]) == ("HR-Q322", True)
    (misfit,) = found["west"]
    assert (misfit["code"], misfit["line"], "of 'north/b'" in misfit["message"]) == ("HR-D107", 2, True)
    assert "north/a" in cycle["message"]
    assert "south/a" in cycle["message"]
    assert cycle["remedy"]
    assert "belongs to team 'north'" in foreign["message"]
    assert (foreign["file"], foreign["line"]) == ("thief_assets.py", 2)
    assert all(not check(tmp_path / team).returncode for team in ("north", "south", "thief"))


def test_two_directories_that_are_the_same_location_are_told(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_location(tmp_path / name, "sales", TWO_ASSETS)
    done = check(tmp_path, "--json")
    assert done.returncode == 2
    ((problem,),) = [told for told in problems(done).values() if told]
    assert problem["code"] == "HR-C012"
    assert "location =" in problem["remedy"]


def test_a_pool_must_be_declared_by_the_location_or_in_platform_toml(tmp_path: Path) -> None:
    pooled = 'import hedgerow as hr\n@hr.asset(pools=["dw", hr.use("gpu", slots=2)])\ndef mine(): ...\n'
    write_location(tmp_path / "good", "good", pooled)
    (unknown, _) = problems(check(tmp_path, "--json"))["good"]
    assert (unknown["code"], unknown["file"], unknown["line"]) == ("HR-D004", "good_assets.py", 2)
    assert "platform.toml" in unknown["remedy"]
    (tmp_path / "platform.toml").write_text("[pools.dw]\nslots = 1\n[pools.gpu]\nslots = 1\n")
    (greedy,) = problems(check(tmp_path, "--json"))["good"]
    assert "2 slots of pool 'gpu', which has 1 in platform.toml" in greedy["message"]
    (tmp_path / "platform.toml").write_text("[pools.dw]\nslots = 1\n[pools.gpu]\nslots = 2\n")
    assert check(tmp_path / "good").returncode == 0


@pytest.mark.parametrize(
    ("text", "code", "told", "line"),
    [
        (b"[teams.sales]\nweight = -1\n", "HR-C002", "teams.sales.weight", "platform.toml:2"),
        (b"[teams.sales]\nwieght = 1\n", "HR-C002", "Did you mean 'weight'?", "platform.toml:2"),
        (b"[teams.Sales]\nweight = 1\n", "HR-C005", "'Sales'", "platform.toml:1"),
        (b"[platform]\nname = \n", "HR-C001", "not valid TOML", "platform.toml:2"),
        (b"[platform]\nname = '\xff'\n", "HR-C001", "UTF-8", ""),
        (b"[timings]\nlease_s = 1\n", "HR-C011", "too short", "platform.toml:2"),
    ],
)
def test_a_platform_toml_with_a_mistake_stops_every_command_at_once(
    tmp_path: Path, text: bytes, code: str, told: str, line: str
) -> None:
    (tmp_path / "platform.toml").write_bytes(text)
    write_location(tmp_path / "good", "good", TWO_ASSETS)
    for command in (["run", "list"], ["dev", "."]):
        done = subprocess.run(
            python("-m", "hedgerow.console", *command),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(code), done.stderr
        assert told in done.stderr
        assert line in done.stderr
    assert not (tmp_path / ".hedgerow" / "postgres").exists()
