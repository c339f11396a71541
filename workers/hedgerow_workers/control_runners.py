"""Control runners: runners for evaluations, started when they are needed, beside those of the slots."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

from hedgerow import clock
from hedgerow.errors import PlatformError, Problem
from hedgerow.protocol.runner import Loaded, LoadFailed
from hedgerow_workers.loading import load, unusable
from hedgerow_workers.runners import Runner

KEPT_WARM = 2
IDLE_S = 600.0  # after which a warm one that nobody needed is ended
WORN_AFTER = 1_000  # evaluations


class LeavingError(Exception):
    """The worker is leaving: there will be no runner."""


class ControlRunners:
    """Lends runners with exactly the code of the worker's manifest. One that comes back may be lent again: loading takes seconds."""

    def __init__(self, start: Callable[[int], Runner], path: Path, load_timeout_s: float, manifest: str) -> None:
        self._start, self._path, self._load_timeout_s, self._manifest = start, path, load_timeout_s, manifest
        self._lock = threading.Lock()
        self._idle: list[tuple[float, Runner]] = []
        self._all: set[Runner] = set()
        self._numbers = 0
        self._closed = False

    def acquire(self, leaving: Callable[[], bool]) -> Runner:
        """A warm runner, or a new one. PlatformError when none can be started with this code, LeavingError when the worker leaves."""
        while (found := self._pop()) is not None:
            if found.exit_code() is None and found.doomed is None and found.steps < WORN_AFTER:
                found.steps += 1
                return found
            self._end(found)
        with self._lock:
            self._numbers += 1
            number = self._numbers
        runner = self._start(number)
        with self._lock:
            self._all.add(runner)
        answer = load(runner, self._path, self._load_timeout_s, leaving)
        if isinstance(answer, Loaded) and answer.hash == self._manifest:
            runner.steps += 1
            return runner
        tail = runner.tail()
        code = self._end(runner)
        if leaving():
            raise LeavingError
        if isinstance(answer, LoadFailed):
            raise PlatformError(answer.problems)
        if isinstance(answer, Loaded):
            raise PlatformError(_CHANGED)
        raise PlatformError(unusable(answer, code, tail))

    def release(self, runner: Runner, *, reuse: bool) -> None:
        """Takes a runner back. Without `reuse` it is killed, with its process group."""
        with self._lock:
            kept = reuse and not self._closed and len(self._idle) < KEPT_WARM and runner.steps < WORN_AFTER
            if kept:
                self._idle.append((clock.monotonic(), runner))
        if not kept:
            self._end(runner)

    def tend(self, now: float) -> None:
        """Ends those that idled for too long by `now`, on the monotonic clock, and those that died meanwhile."""
        with self._lock:
            over = [one for since, one in self._idle if now - since > IDLE_S or one.exit_code() is not None]
            self._idle = [(since, one) for since, one in self._idle if one not in over]
        for one in over:
            self._end(one)

    def loaded(self) -> list[Runner]:
        """The runners that have the code loaded, idle or lent."""
        with self._lock:
            return [runner for runner in self._all if runner.hash]

    def kill(self, runner: Runner, why: Problem) -> bool:
        """Kills a runner with its group: whoever speaks to it finds the reason in `doomed`. Returns whether it was lent."""
        with self._lock:
            lent = runner in self._all and all(runner is not idle for _, idle in self._idle)
            if runner.doomed is not None or runner not in self._all:
                return False
            runner.doomed = why
            runner.signal_group(signal.SIGKILL)
            return lent

    def retire(self, runner: Runner, why: str) -> None:  # noqa: ARG002
        """The runner is not lent again."""
        runner.steps = WORN_AFTER

    def close(self) -> None:
        """Kills every runner."""
        with self._lock:
            self._closed, self._idle = True, []
            everyone = list(self._all)
        for runner in everyone:
            self._end(runner)

    def pids(self) -> list[int]:
        """The process ids of all control runners."""
        with self._lock:
            return [runner.pid for runner in self._all]

    def _pop(self) -> Runner | None:
        with self._lock:
            return self._idle.pop()[1] if self._idle else None

    def _end(self, runner: Runner) -> int:
        with self._lock:
            self._all.discard(runner)
        return runner.end()


_CHANGED = Problem(
    "HR-P102",
    "The code on disk is no longer the code that the worker serves.",
    "Nothing: the worker leaves when it notices, and is started again with the new code.",
)
