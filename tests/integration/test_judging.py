"""Checks as steps of their own and checks run again, on a whole platform: what is held back by them, and what sets it free."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from support.locations import write_location
from support.platform import DevPlatform
from support.processes import eventually

pytestmark = pytest.mark.servers

CODE = """
    import time
    from pathlib import Path

    import hedgerow as hr

    HERE = Path(__file__).parent

    @hr.asset
    def orders() -> list:
        return [1, 2]

    @hr.asset
    def total(orders: list) -> int:
        return sum(orders)

    @hr.check("orders")
    def counted(orders: list) -> hr.CheckResult:
        return hr.CheckResult(True, {"rows": len(orders)})

    @hr.check("orders", blocking=True, own_step=True)
    def sound(orders: list) -> bool:
        (HERE / "asked").touch()
        while (HERE / "wait").exists():
            time.sleep(0.05)
        return (HERE / "sound").exists()
"""


class Case:
    """A platform whose check `sound` passes while there is the file of that name."""

    def __init__(self, platform: DevPlatform, root: Path) -> None:
        self.platform, self.root = platform, root

    def file(self, name: str, there: bool) -> None:
        """Makes or removes a file."""
        (self.root / name).touch() if there else (self.root / name).unlink(missing_ok=True)

    def check(self) -> str:
        """Asks for a run of the checks of `orders` only; its id."""
        return str(self.platform.call("POST", "/runs", json={"selection": ["orders"], "checks_only": True})["id"])

    def ended(self, run: str) -> str:
        """How a run ended."""
        return str(self.platform.finished(run)["state"])

    def steps(self, run: str) -> list[tuple[str, str]]:
        """What the steps of a run are, and how they stand."""
        return [(one["computation"], one["state"]) for one in self.platform.call("GET", f"/runs/{run}/steps")["items"]]

    def step(self, run: str, number: int) -> dict[str, Any]:
        """A step of a run."""
        found: dict[str, Any] = self.platform.call("GET", f"/runs/{run}/steps/{number}")
        return found

    def waits(self, run: str) -> None:
        """The only step of a run waits for what a check holds back."""

        def explained() -> bool:
            answer = self.platform.call("GET", "/explain", params={"step": f"{run}/0"})
            return any(cause["kind"] == "blocked_by_check" for cause in answer["causes"])

        eventually(explained, what=f"run {run} waits for the check")


def test_what_fails_its_checks_is_held_back_until_it_passes_them_or_is_made_again(tmp_path: Path) -> None:
    root = write_location(tmp_path / "code", "sales", CODE)
    with DevPlatform(root).started() as platform:
        case = Case(platform, root)
        both = platform.launch("orders", "total")
        assert case.ended(both) == "failed"
        assert case.steps(both) == [("orders", "succeeded"), ("orders:checks", "failed"), ("total", "upstream_failed")]
        assert case.step(both, 1)["error"]["code"] == "HR-X005"
        assert [one["check_name"] for one in case.step(both, 0)["checks"]] == ["counted"]
        assert [one["check_name"] for one in case.step(both, 1)["checks"]] == ["sound"]
        assert [one["state"] for one in case.step(both, 0)["materializations"]] == ["rejected"]

        explained = platform.call("GET", "/explain", params={"asset": "orders"})
        assert [cause["kind"] for cause in explained["causes"]] == ["last_run", "no_data", "held_back"]
        waiting = platform.launch("total")
        case.waits(waiting)
        case.file("sound", True)
        again = case.check()
        assert case.ended(again) == "succeeded"
        assert sorted(one["check_name"] for one in case.step(again, 0)["checks"]) == ["counted", "sound"]
        assert case.step(again, 0)["materializations"] == []
        assert [one["state"] for one in case.step(both, 0)["materializations"]] == ["current"]
        assert case.ended(waiting) == "succeeded"

        case.file("sound", False)
        assert case.ended(case.check()) == "failed"
        assert [one["state"] for one in case.step(both, 0)["materializations"]] == ["rejected"]
        waiting = platform.launch("total")
        case.waits(waiting)
        case.file("sound", True)
        fresh = platform.launch("orders")
        assert case.ended(fresh) == "succeeded"
        assert [one["state"] for one in case.step(fresh, 0)["materializations"]] == ["current"]
        assert case.ended(waiting) == "succeeded"

        # Another leader settles what the one before was judging.
        for name in ("asked", "sound"):
            case.file(name, False)
        case.file("wait", True)
        unjudged = platform.launch("orders")
        eventually((root / "asked").exists, what="the check runs")
        assert [one["state"] for one in case.step(unjudged, 0)["materializations"]] == ["unchecked"]
        before = platform.pid("scheduler")
        os.kill(before, signal.SIGKILL)
        eventually(lambda: platform.pid("scheduler") != before, what="another scheduler")
        case.file("sound", True)
        case.file("wait", False)
        assert case.ended(unjudged) == "succeeded"
        assert [one["state"] for one in case.step(unjudged, 0)["materializations"]] == ["current"]
        assert [one["state"] for one in case.step(fresh, 0)["materializations"]] == ["superseded"]
