"""What surrounds the parts: ports, locations, the lock, what is watched."""

from __future__ import annotations

import json
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.locations import TWO_ASSETS, write_location

from hedgerow.errors import PlatformError
from hedgerow_scheduler.embedded import keeper, ports, watching
from hedgerow_scheduler.embedded.homes import Home
from hedgerow_scheduler.embedded.locations import find_locations


def test_a_port_is_remembered_while_it_is_free_and_replaced_when_it_is_not(tmp_path: Path) -> None:
    port = ports.choose(tmp_path, "valkey")
    assert ports.choose(tmp_path, "valkey") == port
    with socket.socket() as other:
        other.bind((ports.LOOPBACK, port))
        other.listen()
        moved = ports.choose(tmp_path, "valkey")
    assert moved != port
    assert ports.choose(tmp_path, "valkey") == moved


def test_two_servers_of_a_platform_get_different_ports(tmp_path: Path) -> None:
    assert ports.choose(tmp_path, "api", preferred=29_000) != ports.choose(tmp_path, "postgres", preferred=29_000)


def test_a_second_start_says_who_holds_the_directory(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with pytest.raises(PlatformError, match=r"HR-P204.*already running: process \d+, since"):
        Home(tmp_path)
    home.close()
    Home(tmp_path).close()


def test_the_runtime_file_is_for_its_owner_only_and_goes_with_the_platform(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.publish({"name": "dev", "database": "postgresql://hedgerow:secret@127.0.0.1:1/hedgerow"})
    file = tmp_path / ".hedgerow" / "runtime.json"
    assert json.loads(file.read_text())["name"] == "dev"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    home.close()
    assert not file.exists()


def test_locations_are_the_directory_itself_or_those_right_below_it(tmp_path: Path) -> None:
    for team in ("ingest", "analytics"):
        write_location(tmp_path / team, team, TWO_ASSETS)
    (tmp_path / "notes").mkdir()
    assert [found.name for found in find_locations(tmp_path)] == ["analytics", "ingest"]
    assert [found.name for found in find_locations(tmp_path, ["ingest"])] == ["ingest"]
    assert [found.root for found in find_locations(tmp_path / "ingest")] == [tmp_path / "ingest"]
    with pytest.raises(PlatformError, match=r"(?s)HR-P205.*ingest"):
        find_locations(tmp_path, ["ingets"])
    with pytest.raises(PlatformError, match=r"HR-P205.*No hedgerow.toml"):
        find_locations(tmp_path / "notes")


def test_a_location_whose_file_has_mistakes_is_found_so_that_its_worker_reports_them(tmp_path: Path) -> None:
    write_location(tmp_path / "sales", "sales", TWO_ASSETS)
    (tmp_path / "sales" / "hedgerow.toml").write_text("[team\n")
    assert [found.name for found in find_locations(tmp_path)] == ["sales"]


def test_two_directories_that_are_the_same_location_are_refused_and_two_teams_may_use_one_name(tmp_path: Path) -> None:
    for name, team in (("a", "sales"), ("b", "ingest")):
        write_location(tmp_path / name, team, TWO_ASSETS)
        with (tmp_path / name / "hedgerow.toml").open("a") as file:
            file.write("\n")
        text = (tmp_path / name / "hedgerow.toml").read_text()
        (tmp_path / name / "hedgerow.toml").write_text(text.replace("[code]", '[code]\nlocation = "main"'))
    assert [found.name for found in find_locations(tmp_path)] == ["b", "a"]
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    with pytest.raises(PlatformError, match=r"HR-C012.*/a and .*/copy are both location 'main' of team 'sales'"):
        find_locations(tmp_path)


def test_code_is_watched_and_data_caches_and_environments_are_not(tmp_path: Path) -> None:
    write_location(tmp_path, "sales", TWO_ASSETS)
    before = watching.fingerprint(tmp_path)
    for ignored in (".venv/lib/x.py", ".hedgerow/x.py", "__pycache__/x.py", "data/x.py", "out.parquet", "own/lib/x.py"):
        (tmp_path / ignored).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / ignored).write_text("x")
        (tmp_path / "own").mkdir(exist_ok=True)
        (tmp_path / "own" / "pyvenv.cfg").write_text("")
    assert watching.fingerprint(tmp_path) == before
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "query.sql").write_text("select 1")
    assert watching.fingerprint(tmp_path) != before


def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mine = keeper.identity(process.pid)
    assert mine is not None
    assert keeper.identity(process.pid) == mine
    process.kill()
    process.communicate()
    assert keeper.identity(process.pid) is None
