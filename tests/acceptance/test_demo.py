"""`make demo`, as a visitor sees it: takes minutes and downloads the teams' libraries, hence not part of `make test`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "deploy" / "example" / "demo.py"


@pytest.mark.processes
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("time", ["first", "second"])
def test_the_demo_runs_a_year_of_flights_and_ends_with_one_line_of_json(time: str) -> None:
    done = subprocess.run([sys.executable, str(DEMO)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["flights_rows"] == 336_776
    assert result["failed"] == 0
    assert result["held_back"]
    assert result["steps"] == result["succeeded"] == result["materializations"] == 4 * 365 + 92 + 6
    assert not (DEMO.parent / ".hedgerow" / "runtime.json").exists()
