"""How long a runner takes for a step that does nothing: printed, not asserted."""

from __future__ import annotations

import os
import time
from typing import Any

from hedgerow.protocol.events import AttemptSucceeded

STEPS = 2_000


def test_two_thousand_steps_that_do_nothing(loaded: Any, capsys: Any) -> None:
    runner = loaded("@hr.asset\ndef nothing() -> None: ...\n")
    runner.execute("nothing")
    busy = _cpu_s(runner.process.pid)
    started = time.perf_counter()
    for _ in range(STEPS):
        assert isinstance(runner.execute("nothing")[-1], AttemptSucceeded)
    elapsed = time.perf_counter() - started
    with capsys.disabled():
        print(
            f"\n{STEPS} no-op steps: {elapsed / STEPS * 1e6:.0f} µs each with the test's own part, "
            f"{(_cpu_s(runner.process.pid) - busy) / STEPS * 1e6:.0f} µs of the runner's CPU"
        )


def _cpu_s(pid: int) -> float:
    """User and system time of a process so far; 0 where /proc is missing."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
