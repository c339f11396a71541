"""The memory limit of runners: what is measured, and what is done about it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.processes import eventually

from hedgerow_workers.memory import group_memory, worn_from

MIB = 2**20
HOLD = f"import sys; held = b'x' * (60 * {MIB}); print('ready', flush=True); sys.stdin.read()"
FORK = f"""
import os, sys
held = b'x' * (60 * {MIB})
if all(os.fork() for _ in range(2)):
    print('ready', flush=True)
sys.stdin.read()
"""

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells the memory of a process")


@contextmanager
def group(code: str) -> Iterator[int]:
    """A process group that runs the code up to its `ready`."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin
    assert process.stdout
    try:
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@linux
def test_the_memory_of_a_group_holds_that_of_its_children() -> None:
    child = f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {HOLD!r}]); child.wait()"
    with group(child) as parent:
        used = group_memory({parent, 1 << 30}, 2**40)
        assert 60 * MIB < used[parent] < 200 * MIB
        assert used[1 << 30] == 0


@linux
def test_what_forked_processes_share_is_not_counted_twice_against_the_limit() -> None:
    with group(FORK) as parent:
        roughly = eventually(
            lambda: used if (used := group_memory({parent}, 2**40)[parent]) > 180 * MIB else None, within=5
        )
        assert group_memory({parent}, 100 * MIB)[parent] < roughly / 2


def test_a_process_that_has_ended_or_tells_nothing_counts_nothing(tmp_path: Path) -> None:
    for name, stat in (("7", b"7 (a) b) S 1 5 5 0"), ("8", b""), ("9", b"9 (")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stat").write_bytes(stat)
    (tmp_path / "self").mkdir()
    assert group_memory({5}, 0, tmp_path) == {5: 0}
    (tmp_path / "7" / "statm").write_text("900 3 2 1 0 1 0\n")
    assert group_memory({5}, 2**40, tmp_path)[5] > 0
    assert group_memory((), 0, tmp_path / "nothing") == {}


@given(st.integers(64 * MIB, 2**40), st.integers(0, 2**40))
def test_a_runner_as_small_as_a_fresh_one_is_never_worn(limit: int, fresh: int) -> None:
    worn = worn_from(limit, fresh)
    assert worn >= fresh
    assert worn >= limit * 0.8
    assert worn <= limit or fresh > limit * 0.9
