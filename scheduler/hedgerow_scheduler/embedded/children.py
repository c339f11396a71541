"""Starts child processes that can't outlive this one, and ends those that an earlier one left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hedgerow import clock, lifeline
from hedgerow_scheduler.embedded import keeper
from hedgerow_scheduler.embedded.accounts import Account

LOG_LIMIT_BYTES = 10 * 1024 * 1024
OUTPUT_BYTES = 64 * 1024


class Unfit(Exception):
    """Raised by a probe for a process that runs and will never serve; the text says why."""


@dataclass(frozen=True)
class Launch:
    """How one process is started, and how to tell that it serves."""

    name: str
    command: Sequence[str]
    log: Path
    environ: Mapping[str, str]
    ready: Callable[[Child], bool]
    """Whether the process serves; raises Unfit when it never will."""
    where: str = ""
    """What to show of it: a URL without secrets, or a path."""
    directory: Path | None = None
    before: Callable[[], None] = field(default=lambda: None)
    """Run in the supervisor before each start: cleans up after an incarnation that was killed."""


class Child:
    """One running process of a Launch, in a session of its own, holding the reading end of a lifeline."""

    def __init__(self, launch: Launch) -> None:
        launch.before()
        self.launch = launch
        rotate(launch.log)
        reading, self._lifeline = os.pipe()
        try:
            with launch.log.open("ab") as log:
                self.log_start = log.tell()
                self.process = subprocess.Popen(
                    list(launch.command),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**launch.environ, lifeline.VARIABLE: str(reading)},
                    cwd=launch.directory,
                    pass_fds=(reading,),
                    start_new_session=True,
                )
        except BaseException:
            os.close(self._lifeline)
            raise
        finally:
            os.close(reading)

    @property
    def pid(self) -> int:
        return self.process.pid

    def poll(self) -> int | None:
        """The exit code (negative: the signal that ended it), or None while it runs."""
        status = self.process.poll()
        if status is not None and self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        return status

    def terminate(self) -> None:
        """Asks it to end; asked again, servers end more quickly."""
        self.process.terminate()

    def kill(self) -> None:
        """Ends it, and what runs in its process group, at once."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)

    def wait(self, seconds: float) -> int | None:
        """Waits for its end for at most `seconds`; then as poll()."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        return self.poll()

    def output(self, *, last: bool = False) -> str:
        """The first (or last) part of what it, and whoever shares its log, has written since it was started."""
        try:
            with self.launch.log.open("rb") as log:
                size = os.fstat(log.fileno()).st_size
                start = self.log_start if self.log_start <= size else 0  # emptied meanwhile
                log.seek(max(start, size - OUTPUT_BYTES) if last else start)
                return log.read(OUTPUT_BYTES).decode(errors="replace")
        except OSError:
            return ""


def rotate(log: Path) -> None:
    """Once `log` has grown large, keeps a copy as its one predecessor and empties it.

    Emptied rather than renamed, because processes that run have it open: they append, so they go on at its new end.
    """
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        shutil.copyfile(log, log.with_suffix(".1.log"))
        os.truncate(log, 0)


def kept(command: Sequence[str], *, record: Path, stop: str, account: Account | None) -> list[str]:
    """The command that runs `command` under a keeper (see keeper.py)."""
    identity = ["--uid", str(account.uid), "--gid", str(account.gid)] if account else []
    return [
        sys.executable,
        "-I",
        "-S",
        keeper.__file__,
        "--record",
        str(record),
        "--stop",
        stop,
        *identity,
        "--",
        *command,
    ]


def end_leftover(record: Path, signals: Sequence[tuple[signal.Signals, float]]) -> None:
    """Ends the server that `record` names if it still runs (its keeper was killed, or is just ending it), and removes the record.

    A process that merely has the same number is left alone: its start time differs. Blocks until the process is gone.
    """
    try:
        noted = json.loads(record.read_text())
        pid, identity = int(noted["pid"]), str(noted["identity"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    for number, patience in (*signals, (signal.SIGKILL, 10.0)):
        if keeper.identity(pid) != identity:
            break
        os.kill(pid, number)
        wait_until(lambda: keeper.identity(pid) != identity, patience)
    record.unlink(missing_ok=True)


def wait_until(condition: Callable[[], bool], seconds: float, *, every: float = 0.02) -> bool:
    """Asks `condition` again and again until it holds (True), or `seconds` have passed (False)."""
    deadline = clock.monotonic() + seconds
    while not condition():
        if clock.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
