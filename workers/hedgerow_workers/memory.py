"""Keeps runners within their memory limit: ends what takes more, and replaces between two steps what has grown near it."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from hedgerow import clock
from hedgerow.errors import Problem
from hedgerow.sizes import size_text
from hedgerow_workers.runners import Runner

PERIOD_S = 0.5
# Looking through all processes of a busy machine takes milliseconds: so many times longer is then the pause.
PAUSE_FACTOR = 50
# A runner that has grown to this share of the limit gives way to a fresh one before the next step has to pay for it...
WORN_SHARE = 0.8
# ... unless it holds little more than a fresh one: then another would be no better.
GROWTH = 1.1

_PROC = Path("/proc")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

log = logging.getLogger("hedgerow.worker")


class Watched(Protocol):
    """Runners whose memory is watched."""

    def loaded(self) -> list[Runner]:
        """Those that have the code loaded."""

    def kill(self, runner: Runner, why: Problem) -> bool:
        """Kills one that is at work; whoever speaks to it finds the reason in `doomed`."""

    def retire(self, runner: Runner, why: str) -> None:
        """Has another one take its place when it is free."""


class MemoryWatch:
    """Looks at the memory of every runner's process group, in a thread of its own. Without /proc nothing is known, or done."""

    def __init__(self, pools: Sequence[Watched], limit_bytes: int) -> None:
        self._pools = pools
        self._limit_bytes = limit_bytes
        self._fresh_bytes = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        if not _PROC.joinpath("self", "stat").exists():
            log.warning("HR-P108  memory_limit is not kept: this system has no /proc")
            return
        self._thread.start()

    def close(self) -> None:
        """Ends."""
        self._stopped.set()

    def _run(self) -> None:
        pause = PERIOD_S
        while not self._stopped.wait(pause):
            began = clock.monotonic()
            self.look()
            pause = max(PERIOD_S, (clock.monotonic() - began) * PAUSE_FACTOR)

    def look(self) -> None:
        """Looks once, and does what is to be done."""
        loaded = [(pool, runner) for pool in self._pools for runner in pool.loaded()]
        used = group_memory({runner.pid for _, runner in loaded}, self._limit_bytes)
        self._learn(max((used[runner.pid] for _, runner in loaded if not runner.steps), default=0))
        worn_bytes = worn_from(self._limit_bytes, self._fresh_bytes)
        for pool, runner in loaded:
            used_bytes = used[runner.pid]
            if used_bytes > self._limit_bytes:
                pool.kill(runner, _too_much(used_bytes, self._limit_bytes))
            if used_bytes > worn_bytes and runner.steps:
                pool.retire(runner, "memory")

    def _learn(self, fresh_bytes: int) -> None:
        """What a runner takes before its first step; said once when that is about all it may."""
        warned = self._fresh_bytes > self._limit_bytes * WORN_SHARE
        self._fresh_bytes = max(self._fresh_bytes, fresh_bytes)
        if not warned and self._fresh_bytes > self._limit_bytes * WORN_SHARE:
            log.warning(
                "HR-P108  a runner takes %s before its first step, and the memory limit is %s: raise it",
                size_text(self._fresh_bytes),
                size_text(self._limit_bytes),
            )


def worn_from(limit_bytes: int, fresh_bytes: int) -> float:
    """The memory from which on a runner is replaced between two steps, where a fresh one takes `fresh_bytes`.

    >>> worn_from(1000, 300), worn_from(1000, 900) > 980
    (800.0, True)
    """
    return max(limit_bytes * WORN_SHARE, fresh_bytes * GROWTH)


def group_memory(groups: Iterable[int], limit_bytes: int, proc: Path = _PROC) -> dict[int, int]:
    """Bytes of memory that each process group takes; 0 where nothing is known of it.

    Resident memory counts what forked processes share once for each. What shares it out (PSS) takes the kernel about 13 µs per
    MiB, so it is asked only of a group of several processes that seems to be over the limit.
    """
    found = {}
    for group, processes in _members(groups, proc).items():
        found[group] = sum(_resident(pid, proc) for pid in processes)
        if found[group] > limit_bytes and len(processes) > 1:
            found[group] = sum(_proportional(pid, proc) for pid in processes) or found[group]
    return found


def _members(groups: Iterable[int], proc: Path) -> dict[int, list[int]]:
    members: dict[int, list[int]] = {group: [] for group in groups}
    for name in os.listdir(proc) if members else ():
        if not name.isdecimal():
            continue
        stat = _read(proc / name / "stat")
        # The program's name, in brackets, may hold anything. After it come the state, the parent and the group.
        fields = stat[stat.rfind(b")") + 1 :].split(maxsplit=3)
        if len(fields) > 2 and int(fields[2]) in members:
            members[int(fields[2])].append(int(name))
    return members


def _resident(pid: int, proc: Path) -> int:
    fields = _read(proc / str(pid) / "statm").split()
    return int(fields[1]) * _PAGE_BYTES if len(fields) > 1 else 0


def _proportional(pid: int, proc: Path) -> int:
    for line in _read(proc / str(pid) / "smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _read(path: Path) -> bytes:
    """The content; empty when the process has ended, or does not let us look."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _too_much(used_bytes: int, limit_bytes: int) -> Problem:
    return Problem(
        "HR-X110",
        f"The runner took {size_text(used_bytes)} of memory, more than the limit of {size_text(limit_bytes)}.",
        "Do less at once, for instance by partitions, or raise [worker] memory_limit in hedgerow.toml.",
    )
