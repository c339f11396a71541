"""`hedgerow dev` as a person uses it, with real processes that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
from support.locations import TWO_ASSETS, write_location
from support.platform import DevPlatform, dev_platform
from support.processes import alive, eventually, python

pytestmark = [pytest.mark.servers, pytest.mark.processes]

SLOW = """
    import time
    from pathlib import Path

    import hedgerow as hr

    @hr.asset
    def slow() -> int:
        Path(__file__).with_name("started").touch()
        time.sleep(4)
        return 1

    @hr.asset
    def after(slow: int) -> int:
        return slow + 1
"""


@pytest.fixture
def platform() -> Iterator[DevPlatform]:
    with dev_platform() as platform:
        write_location(platform.root / "sales", "sales", TWO_ASSETS)
        yield platform


def test_everything_starts_a_run_succeeds_and_ctrl_c_leaves_nothing(platform: DevPlatform) -> None:
    with platform.started():
        run = platform.finished(platform.launch("total+", "numbers"))
        assert run["state"] == "succeeded", run
        assert "postgres" in platform.runtime["pids"]
    assert "stopped" in platform.text().splitlines()[-1]
    assert not (platform.root / ".hedgerow" / "runtime.json").exists()


def test_a_second_dev_says_who_holds_the_directory(platform: DevPlatform) -> None:
    with platform.started():
        assert platform.process is not None
        second = subprocess.run(
            python("-m", "hedgerow.console", "dev", platform.root), capture_output=True, text=True, check=False
        )
        assert second.returncode != 0
        assert "HR-P204" in second.stderr
        assert f"process {platform.process.pid}," in second.stderr


def test_a_killed_dev_leaves_nothing_and_the_next_start_goes_on_with_the_run(platform: DevPlatform) -> None:
    location = write_location(platform.root / "sales", "sales", SLOW)
    with platform.started():
        run = platform.launch("slow", "after")
        eventually((location / "started").exists, what="the step runs")
        assert platform.process is not None
        everything = platform.everything()
        platform.process.kill()
        eventually(lambda: not alive(everything), within=15, what="nothing is left")
    with platform.started():
        assert platform.finished(run)["state"] == "succeeded"


@pytest.mark.parametrize("part", ["scheduler", "api", "worker sales", "postgres", "valkey"])
def test_a_killed_part_starts_again_and_the_run_succeeds(platform: DevPlatform, part: str) -> None:
    location = write_location(platform.root / "sales", "sales", SLOW)
    with platform.started():
        run = platform.launch("slow", "after")
        eventually((location / "started").exists, what="the step runs")
        victim = platform.pid(part)
        os.kill(victim, signal.SIGKILL)
        platform.shows(part, r"waiting +killed by SIGKILL; starts again in")
        assert platform.finished(run)["state"] == "succeeded"
        assert eventually(lambda: platform.pid(part)) != victim


@pytest.mark.parametrize("server", ["postgres", "valkey"])
def test_a_killed_server_starts_again_and_the_run_succeeds(platform: DevPlatform, server: str) -> None:
    location = write_location(platform.root / "sales", "sales", SLOW)
    with platform.started():
        run = platform.launch("slow", "after")
        eventually((location / "started").exists, what="the step runs")
        os.kill(json.loads((platform.root / ".hedgerow" / f"{server}.pid.json").read_text())["pid"], signal.SIGKILL)
        platform.shows(server, r"waiting +killed by SIGKILL")
        assert platform.finished(run)["state"] == "succeeded"


def test_a_team_that_can_not_be_imported_is_reported_with_file_and_line_while_the_others_work(
    platform: DevPlatform,
) -> None:
    write_location(platform.root / "ingest", "ingest", TWO_ASSETS.replace("numbers", "raw").replace("total", "count"))
    broken = write_location(platform.root / "ml", "ml", "import hedgerow as hr\n\nimport no_such_library\n")
    with platform.started():
        told = platform.shows("worker ml", "broken")
        assert "HR-D" in told
        assert "ml_assets.py:3" in told
        for selection in (("numbers", "total"), ("raw", "count")):
            assert platform.finished(platform.launch(*selection))["state"] == "succeeded"
        write_location(broken, "ml", TWO_ASSETS.replace("numbers", "features").replace("total", "model"))
        platform.shows("worker ml", "ready")
        assert platform.finished(platform.launch("features", "model"))["state"] == "succeeded"


def test_changed_code_is_reloaded_and_broken_code_leaves_the_old_in_force(platform: DevPlatform) -> None:
    location = platform.root / "sales"
    with platform.started():
        before = platform.pid("worker sales")
        write_location(location, "sales", TWO_ASSETS + "\n    def oops(:\n")
        told = platform.shows("worker sales", "ready .*the old code stays in force")
        assert "sales_assets.py:" in told
        assert platform.pid("worker sales") == before
        assert platform.finished(platform.launch("numbers", "total"))["state"] == "succeeded"
        write_location(location, "sales", TWO_ASSETS + "\n    @hr.asset\n    def extra() -> int:\n        return 1\n")
        assert platform.finished(platform.launch("extra"))["state"] == "succeeded"
        assert platform.pid("worker sales") != before
