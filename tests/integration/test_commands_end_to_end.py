"""Commands against the whole platform: real scheduler, worker and runners."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from support.locations import write_location
from support.processes import eventually

from hedgerow_scheduler.cli import assets, explain, materialize, runs, teams
from hedgerow_scheduler.embedded.platform import Platform

pytestmark = [pytest.mark.servers, pytest.mark.processes]

CODE = """
    import time
    from pathlib import Path
    import hedgerow as hr

    @hr.asset(key="shop/orders", partitions=hr.static("a", "b", "c"))
    def orders(ctx: hr.Context) -> list:
        print("orders of", ctx.partition_key)
        return [1, 2]

    @hr.asset(key="shop/count", deps=["shop/orders"], partitions=hr.static("a", "b", "c"))
    def count(orders: list) -> int:
        return len(orders)

    @hr.asset(key="shop/picky")
    def picky() -> str:
        if not (Path(__file__).parent / "mended").exists():
            raise ValueError("not yet")
        return "fine"

    @hr.asset(key="shop/after", deps=["shop/picky"])
    def after() -> None: ...

    @hr.asset(key="shop/slow")
    def slow() -> None:
        for number in range(600):
            print("tick", number, flush=True)
            time.sleep(0.1)
"""


class Done(NamedTuple):
    status: int
    out: str
    err: str


class Shell:
    """Runs commands as the console does, against one platform."""

    main = {
        "asset": assets.main,
        "explain": explain.main,
        "materialize": materialize.main,
        "run": runs.main,
        "team": teams.main,
    }

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, command: str, *arguments: str) -> Done:
        self._capsys.readouterr()
        status = self.main[command](list(arguments))
        return Done(status, *self._capsys.readouterr())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with one healthy team and one whose module raises, and the platform that runs both."""
    root = tmp_path_factory.mktemp("commands")
    write_location(root / "shop", "shop", CODE, slots=2)
    write_location(root / "broken", "broken", "raise RuntimeError('not today')")
    with Platform(root, reload=False) as platform:
        platform.wait_ready()
        yield root


@pytest.fixture
def shell(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(root)  # where the commands find the platform
    monkeypatch.setenv("COLUMNS", "200")
    return Shell(capsys)


def test_a_selection_with_its_upstream_runs_over_all_partitions(shell: Shell) -> None:
    done = shell("materialize", "+shop/count", "--all-partitions", "--json")
    run = json.loads(done.out)
    assert (done.status, run["state"], run["counts"], run["materializations"]) == (0, "succeeded", {"succeeded": 6}, 6)
    printed = shell("run", "logs", run["id"])
    assert [f"orders of {key}" in printed.out for key in "abc"] == [True] * 3
    assert "3 of 3 partitions" in shell("asset", "show", "shop/count").out


def test_a_failed_run_is_mended_and_tried_again_within_itself(shell: Shell, root: Path) -> None:
    failed = shell("materialize", "shop/picky+")
    assert (failed.status, "HR-X001  ValueError: not yet" in failed.err) == (1, True)
    run_id = failed.err.split()[1]
    assert "upstream_failed" in failed.out
    again = shell("run", "retry", run_id)
    assert again.status == 1
    (root / "shop" / "mended").touch()
    mended = shell("run", "retry", run_id, "--json")
    assert (mended.status, json.loads(mended.out)["counts"]) == (0, {"succeeded": 2})
    step = json.loads(shell("run", "show", f"{run_id}/0", "--json").out)
    assert [attempt["state"] for attempt in step["attempts"]] == ["failed", "failed", "succeeded"]


def test_a_running_step_is_followed_live_and_cancelled(shell: Shell) -> None:
    run_id = shell("materialize", "shop/slow", "--no-wait").out.strip()

    def live() -> bool:
        return "tick 2" in shell("run", "logs", run_id).out

    eventually(live, what="the live tail shows what was printed")
    assert "It is running" in shell("explain", run_id).out
    assert shell("run", "cancel", run_id).status == 0
    eventually(lambda: "cancelled" in shell("explain", run_id).out, within=15, what="the run is cancelled")
    followed = shell("run", "logs", "--follow", run_id)
    assert (followed.status, "tick 2" in followed.out) == (0, True)


def test_a_broken_team_is_shown_and_what_it_would_declare_is_not_found(shell: Shell) -> None:
    shown = shell("team", "show", "broken")
    for text in ("RuntimeError: not today", "broken_assets.py:1", "Traceback"):
        assert text in shown.out
    missing = shell("materialize", "broken/asset")
    assert (missing.status, "hedgerow team show broken" in missing.err) == (2, True)
