"""The warm runners of a worker: as many as slots and one spare, all with the same code, replaced as they go."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from hedgerow import clock
from hedgerow.errors import HedgerowError, PlatformError, Problem
from hedgerow.protocol import runner as protocol
from hedgerow_workers.runners import Runner, RunnerEndedError, describe_exit

RESTART_S = (0.0, 0.5, 2.0, 5.0)

log = logging.getLogger("hedgerow.worker")


class CodeChangedError(Exception):
    """The code on disk is no longer the code that this worker serves."""


class PoolClosedError(Exception):
    """No runner is given out any more."""


class RunnerPool:
    """Starts runners with `start(number)`, in one thread of its own, and lends them out.

    `on_code_changed(why)` is called once when a replacement loaded other code than the first runner, or none: a worker must
    not run mixed code. `on_exit()` is called for every runner that ended unasked.
    """

    def __init__(
        self,
        start: Callable[[int], Runner],
        path: Path,
        size: int,
        load_timeout_s: float,
        on_code_changed: Callable[[str], None],
        on_exit: Callable[[], None],
    ) -> None:
        self._start = start
        self._path = path
        self._size = size
        self._load_timeout_s = load_timeout_s
        self._on_code_changed = on_code_changed
        self._on_exit = on_exit
        self._lock = threading.RLock()
        # Two conditions of one lock: a slot that takes or returns a runner, a thousand times a second, wakes nobody in vain.
        self._returned = threading.Condition(self._lock)
        self._work = threading.Condition(self._lock)
        self._idle: list[Runner] = []
        self._lent = 0
        self._wanted_fresh = 0
        self._numbers = 0
        self._failures = 0
        self._code_changed = False
        self._closed = False
        self._aborted = False
        self._all: set[Runner] = set()
        self.hash = ""
        self._thread = threading.Thread(target=self._keep_warm, name="runners", daemon=True)

    def load_first(self) -> protocol.Loaded | protocol.LoadFailed:
        """Starts the first runner and returns what it says of the code. PlatformError when it says nothing."""
        runner, answer = self._load()
        if isinstance(answer, protocol.Loaded):
            self.hash = answer.hash
            with self._lock:
                self._idle.append(runner)
        else:
            self._end(runner)
        return answer

    def abort_load(self) -> None:
        """Has `load_first` end within a second, with an error. Safe in a signal handler."""
        self._aborted = True

    def start_rest(self) -> None:
        """Starts the others, and keeps their number from now on."""
        self._thread.start()

    def acquire(self, *, fresh: bool = False) -> Runner:
        """A warm runner, one that never ran a step if `fresh`; waits until there is one.

        CodeChangedError, PoolClosedError.
        """
        with self._lock:
            if fresh:
                self._wanted_fresh += 1
                self._work.notify()
            try:
                while True:
                    if self._closed:
                        raise PoolClosedError
                    # The last one used is the one whose memory is still in the caches.
                    for index in range(len(self._idle) - 1, -1, -1):
                        runner = self._idle[index]
                        if not (fresh and runner.steps) and runner.exit_code() is None:
                            del self._idle[index]
                            self._lent += 1
                            runner.steps += 1
                            return runner
                    if self._code_changed:
                        raise CodeChangedError
                    self._returned.wait()
            finally:
                if fresh:
                    self._wanted_fresh -= 1

    def release(self, runner: Runner, *, reuse: bool) -> int | None:
        """Takes a runner back. Without `reuse` it is killed, its group too, and its exit code returned."""
        code = None if reuse else self._end(runner)
        with self._lock:
            self._lent -= 1
            # A fresh one may have been started beyond the number.
            reuse = reuse and not self._closed and len(self._idle) + self._lent < self._size
            if reuse:
                self._idle.append(runner)
                self._returned.notify()
            else:
                self._work.notify()
        if code is None and not reuse:
            self._end(runner)
        return code

    def close(self) -> None:
        """Kills every runner, lent ones too."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            self._returned.notify_all()
            self._work.notify()
            everyone = list(self._all)
        for runner in idle:
            self._end(runner)
        for runner in everyone:
            runner.signal_group(signal.SIGKILL)

    def pids(self) -> list[int]:
        """The process ids of all runners."""
        with self._lock:
            return [runner.pid for runner in self._all]

    @property
    def warm(self) -> int:
        """How many runners have the code loaded."""
        return len(self._idle) + self._lent

    def _keep_warm(self) -> None:
        while True:
            with self._lock:
                while not (self._closed or self._code_changed or self._missing()):
                    self._work.wait(1.0)
                    self._forget_dead()
                if self._closed or self._code_changed:
                    return
                delay = RESTART_S[min(self._failures, len(RESTART_S) - 1)]
                if delay:
                    self._work.wait(delay)
                    if self._closed:
                        return
            self._add_one()

    def _missing(self) -> bool:
        have = len(self._idle) + self._lent
        fresh = sum(1 for runner in self._idle if not runner.steps)
        return have < self._size or fresh < self._wanted_fresh

    def _forget_dead(self) -> None:
        """Notices idle runners that ended by themselves or were killed."""
        for runner in [each for each in self._idle if each.exit_code() is not None]:
            self._idle.remove(runner)
            log.warning("runner %d ended while idle: %s", runner.pid, describe_exit(runner.exit_code() or 0))
            self._on_exit()
            self._end(runner)

    def _add_one(self) -> None:
        try:
            runner, answer = self._load()
        except HedgerowError as error:
            self._failures += 1
            log.error("%s", error)
            if self._failures >= len(RESTART_S):
                self._stop_for("no runner can be started any more")
            return
        if isinstance(answer, protocol.LoadFailed) or answer.hash != self.hash:
            self._end(runner)
            self._stop_for("the code on disk has changed since this worker started")
            return
        self._failures = 0
        with self._lock:
            if not self._closed:
                self._idle.append(runner)
                self._returned.notify_all()
                return
        self._end(runner)

    def _stop_for(self, why: str) -> None:
        with self._lock:
            self._code_changed = True
            self._returned.notify_all()
        self._on_code_changed(why)

    def _load(self) -> tuple[Runner, protocol.Loaded | protocol.LoadFailed]:
        with self._lock:
            self._numbers += 1
            number = self._numbers
        runner = self._start(number)
        with self._lock:
            self._all.add(runner)
        try:
            runner.send(protocol.Load(str(self._path)))
            deadline = clock.monotonic() + self._load_timeout_s
            while clock.monotonic() < deadline:
                envelope = runner.receive(min(1.0, self._load_timeout_s))
                if self._closed or self._aborted:
                    break
                if envelope is not None and envelope.kind == "loaded":
                    answer = msgspec.json.decode(envelope.body, type=protocol.Loaded)
                    runner.hash = answer.hash
                    return runner, answer
                if envelope is not None and envelope.kind == "load_failed":
                    return runner, msgspec.json.decode(envelope.body, type=protocol.LoadFailed)
            why = f"it did not load the code within {self._load_timeout_s:g} s"
        except RunnerEndedError:
            why = "it ended while it loaded the code"
        except msgspec.MsgspecError as error:
            why = f"it does not speak the protocol: {error}"
        tail = runner.tail()
        code = self._end(runner)
        raise PlatformError(
            Problem(
                "HR-P101",
                f"A runner can't be used: {why} ({describe_exit(code)})." + (f"\n{tail}" if tail else ""),
                "Check that hedgerow is installed in the interpreter of [code] python in hedgerow.toml, and what its modules do on import.",
            )
        )

    def _end(self, runner: Runner) -> int:
        with self._lock:
            self._all.discard(runner)
        return runner.end()
