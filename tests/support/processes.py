"""Real processes in tests: starting them, waiting for them with a deadline, seeing that none is left."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")


def eventually(ask: Callable[[], T], *, within: float = 30.0, every: float = 0.05, what: str = "") -> T:
    """The first true answer of `ask`; AssertionError after `within` seconds. Exceptions of `ask` are answers too, but false ones."""
    deadline = time.monotonic() + within
    last: object = None
    while True:
        try:
            answer = ask()
            if answer:
                return answer
            last = answer
        except Exception as error:
            last = repr(error)
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:.0f} s: {what or getattr(ask, '__name__', ask)}; last: {last!r}")
        time.sleep(every)


def descendants(pid: int) -> list[psutil.Process]:
    """All processes below `pid` now."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def alive(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; zombies don't."""
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def mentioning(text: str | Path) -> list[psutil.Process]:
    """All processes but this one with `text` in their arguments or working directory: what belongs to a test's directory."""
    found = []
    for process in psutil.process_iter():
        try:
            told = [*process.cmdline(), process.cwd()]
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
        if process.pid != psutil.Process().pid and any(str(text) in word for word in told):
            found.append(process)
    return alive(found)


@contextmanager
def running(
    command: Sequence[str | Path], *, log: Path, environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """`command` as a process of its own session, with its output in `log`; at the end it and all below it are killed, by number."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=None if environ is None else dict(environ),
            cwd=cwd,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        for left in [*descendants(process.pid), psutil.Process(process.pid) if process.poll() is None else None]:
            if left is not None:
                try:
                    left.kill()
                except psutil.NoSuchProcess:
                    pass
        process.wait(30)


def python(*arguments: str | Path) -> list[str]:
    """The command of this interpreter with `arguments`."""
    return [sys.executable, *(str(word) for word in arguments)]


def has_idle_runners(worker: int, runners: int) -> bool:
    """Whether the worker has so many runners, and none of them has done anything for a moment."""

    def used() -> list[float]:
        return [
            sum(process.cpu_times()[:2]) for process in descendants(worker) if "hedgerow.runner" in process.cmdline()
        ]

    before = used()
    time.sleep(0.5)
    return len(before) >= runners and used() == before
