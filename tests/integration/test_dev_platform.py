"""`hedgerow dev` as a person uses it, with real processes that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest
from support.locations import TWO_ASSETS, write_location
from support.platform import DevPlatform, dev_platform
from support.processes import alive, descendants, eventually, has_idle_runners, python

pytestmark = [pytest.mark.servers, pytest.mark.processes]

SLOW = """
    import os
    import time
    from pathlib import Path

    import hedgerow as hr

    @hr.asset
    def slow() -> int:
        Path(__file__).with_name("started").write_text(str(os.getpid()))
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


@pytest.mark.parametrize("mode", [0o711, 0o700], ids=["open", "closed"])
def test_everything_starts_a_run_succeeds_and_ctrl_c_leaves_nothing(mode: int) -> None:
    """Closed: as a clone in a directory of `mktemp -d`, which PostgreSQL's account can't enter when we are root."""
    with dev_platform(mode=mode) as platform:
        write_location(platform.root / "sales", "sales", TWO_ASSETS)
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


@pytest.fixture(scope="module")
def serving() -> Iterator[DevPlatform]:
    """One platform for the tests that kill a part of it: each leaves it as it was."""
    with dev_platform() as platform:
        write_location(platform.root / "sales", "sales", SLOW)
        with platform.started():
            yield platform


def _survives(platform: DevPlatform, part: str, find: Callable[[], int]) -> None:
    """Kills a process of `part` in the middle of a step: the part starts again, and the run succeeds."""
    started = platform.root / "sales" / "started"
    started.unlink(missing_ok=True)
    seen = len(platform.text())
    run = platform.launch("slow", "after")
    eventually(started.exists, what="the step runs")
    victim = find()
    os.kill(victim, signal.SIGKILL)
    platform.shows(part, r"waiting +killed by SIGKILL; starts again in", after=seen)
    assert platform.finished(run)["state"] == "succeeded"
    platform.shows(part, "ready", after=seen)
    assert eventually(find) != victim


@pytest.mark.parametrize("part", ["scheduler", "api", "worker sales", "postgres", "valkey"])
def test_a_killed_part_starts_again_and_the_run_succeeds(serving: DevPlatform, part: str) -> None:
    _survives(serving, part, lambda: serving.pid(part))


@pytest.mark.parametrize("server", ["postgres", "valkey"])
def test_a_killed_server_starts_again_and_the_run_succeeds(serving: DevPlatform, server: str) -> None:
    record = serving.root / ".hedgerow" / f"{server}.pid.json"
    _survives(serving, server, lambda: int(json.loads(record.read_text())["pid"]))


def test_a_killed_runner_costs_the_step_a_retry_and_the_run_succeeds(serving: DevPlatform) -> None:
    started = serving.root / "sales" / "started"
    started.unlink(missing_ok=True)
    worker = serving.pid("worker sales")
    run = serving.launch("slow", "after")
    runner = eventually(lambda: int(started.read_text()), what="the step runs")
    assert runner in [process.pid for process in descendants(worker)]
    os.kill(runner, signal.SIGKILL)
    assert serving.finished(run)["state"] == "succeeded"
    assert int(started.read_text()) != runner
    assert serving.pid("worker sales") == worker


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
        # A runner that the worker starts later than the change would see other code than the worker serves, which ends both.
        eventually(lambda: has_idle_runners(before, 2), what="both runners have loaded the code")
        write_location(location, "sales", TWO_ASSETS + "\n    def oops(:\n")
        told = platform.shows("worker sales", "ready .*the old code stays in force")
        assert "sales_assets.py:" in told
        assert platform.pid("worker sales") == before
        assert platform.finished(platform.launch("numbers", "total"))["state"] == "succeeded"
        write_location(location, "sales", TWO_ASSETS + "\n    @hr.asset\n    def extra() -> int:\n        return 1\n")
        assert platform.finished(platform.launch("extra"))["state"] == "succeeded"
        assert platform.pid("worker sales") != before


def test_schedules_are_off_unless_they_are_asked_for_whatever_the_file_says(platform: DevPlatform) -> None:
    write_location(platform.root / "sales", "sales", f"{TWO_ASSETS}\n    later = hr.schedule('*', '0 0 29 2 *')\n")
    (platform.root / "platform.toml").write_text("[automation]\nenabled = true\n")

    def is_on() -> list[bool]:
        return eventually(lambda: [one["on"] for one in platform.call("GET", "/schedules")], what="it is declared")

    with platform.started():
        assert is_on() == [False]
    with platform.started("--automation"):
        eventually(lambda: is_on() == [True], what="it is on")
