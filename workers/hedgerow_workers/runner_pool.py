"""The warm runners of a worker: as many as slots and one spare, all with the same code, replaced as they go.

Idle ones lie in the order in which they are the last choice: those that are worn (to be replaced), those that never ran a step,
those that did, the last used at the end.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from hedgerow import clock
from hedgerow.errors import HedgerowError, PlatformError, Problem
from hedgerow.protocol import runner as protocol
from hedgerow_workers.loading import load, unusable
from hedgerow_workers.runners import Runner, describe_exit

# After so many seconds another runner is tried, when the last ones could not be started. A slot that needs one does not wait for it.
RETRY_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
# With no warm runner left, a start that fails for other reasons than the team's code is tried so often.
LAST_TRIES = 3
# A slot waits so long for a runner while none can be started; then its order goes to another worker.
PATIENCE_S = 30.0
POLL_S = 1.0

log = logging.getLogger("hedgerow.worker")


class PoolClosedError(Exception):
    """There will be no runner: the worker is leaving, or none can be started."""


class StopRequestedError(Exception):
    """Whoever waited for a runner needs none any more."""


class RunnerPool:
    """Starts runners with `start(number)`, in one thread of its own, and lends them out.

    All have the same code, that of the first one. When the code on disk can't be loaded any more, those that are warm serve on.
    `on_code_changed(why)` is called once when a new runner loaded other code, or when none is left and none can be started.
    `on_exit()` is called for every runner that ended unasked, `on_failing()` when `failing` has changed.

    A runner is worn after `recycle_after` steps, or when `retire` says so. Once another has taken its place it ends, between two
    steps: `on_replaced(why)` is then called.
    """

    def __init__(
        self,
        start: Callable[[int], Runner],
        path: Path,
        size: int,
        load_timeout_s: float,
        on_code_changed: Callable[[str], None],
        on_exit: Callable[[], None],
        on_failing: Callable[[], None],
        retry_s: Sequence[float] = RETRY_S,
        *,
        recycle_after: int | None = None,
        on_replaced: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._start = start
        self._path = path
        self._size = size
        self._load_timeout_s = load_timeout_s
        self._on_code_changed = on_code_changed
        self._on_exit = on_exit
        self._on_failing = on_failing
        self._retry_s = retry_s
        self._recycle_after = recycle_after
        self._on_replaced = on_replaced
        self._lock = threading.RLock()
        # Two conditions of one lock: a slot that takes or returns a runner, a thousand times a second, wakes nobody in vain.
        self._returned = threading.Condition(self._lock)
        self._work = threading.Condition(self._lock)
        self._idle: list[Runner] = []
        self._lent: set[Runner] = set()
        self._worn: dict[Runner, str] = {}
        self._wanted_fresh = 0
        self._spare_fresh = 0
        self._numbers = 0
        self._failures = 0
        self._needed = False
        self._draining = False
        self._closed = False
        self._all: set[Runner] = set()
        self.hash = ""
        self._thread = threading.Thread(target=self._keep_warm, name="runners", daemon=True)

    def load_first(self) -> protocol.Loaded | protocol.LoadFailed:
        """Starts the first runner and returns what it says of the code. PlatformError when it says nothing, PoolClosedError."""
        runner, answer = self._load()
        if isinstance(answer, protocol.Loaded):
            self.hash = answer.hash
            with self._lock:
                self._idle.append(runner)
        else:
            self._end(runner)
        return answer

    def start_rest(self) -> None:
        """Starts the others, and keeps their number from now on."""
        self._thread.start()

    def acquire(self, *, fresh: bool = False, stopped: Callable[[], bool] = lambda: False) -> Runner:
        """A warm runner, one that never ran a step if `fresh`; waits until there is one. PoolClosedError when there will be none,
        StopRequestedError when `stopped` says, asked every second, that none is needed any more.

        From the first `fresh` on, another one is made ready beforehand each time.
        """
        with self._lock:
            if fresh:
                self._wanted_fresh += 1
                self._spare_fresh = 1
            give_up_at: float | None = None
            try:
                while True:
                    if self._closed:
                        raise PoolClosedError
                    # The last one used is the one whose memory is still in the caches.
                    for index in range(len(self._idle) - 1, -1, -1):
                        runner = self._idle[index]
                        if not (fresh and runner.steps) and runner.exit_code() is None:
                            del self._idle[index]
                            self._lent.add(runner)
                            runner.steps += 1
                            if fresh:
                                self._work.notify()
                            return runner
                    now = clock.monotonic()
                    if give_up_at is None:
                        give_up_at = now + PATIENCE_S
                        self._need_one()
                    if self._draining or (self._failures and now >= give_up_at):
                        raise PoolClosedError
                    if stopped():
                        raise StopRequestedError
                    self._returned.wait(POLL_S)
            finally:
                if fresh:
                    self._wanted_fresh -= 1

    def release(self, runner: Runner, *, reuse: bool) -> int | None:
        """Takes a runner back. Without `reuse` it is killed, its group too, and its exit code returned."""
        code = None if reuse else self._end(runner)
        surplus: list[Runner] = []
        with self._lock:
            self._lent.discard(runner)
            if reuse and (self._closed or runner.doomed is not None):
                surplus.append(runner)
            elif reuse:
                if self._recycle_after is not None and runner.steps >= self._recycle_after:
                    self._worn.setdefault(runner, "recycled")
                self._shelve(runner)
                surplus += self._take_surplus(runner)
                self._returned.notify()
            else:
                self._worn.pop(runner, None)
            if not self.warm:
                self._need_one()
            elif not reuse or surplus or runner in self._worn:
                self._work.notify()
        for each in surplus:
            self._end(each)
        return code

    def loaded(self) -> list[Runner]:
        """The runners that have the code loaded, idle or lent."""
        with self._lock:
            return [*self._idle, *self._lent]

    def retire(self, runner: Runner, why: str) -> None:
        """The runner is worn: another one takes its place, between two steps."""
        with self._lock:
            if runner in self._worn or not (runner in self._lent or runner in self._idle):
                return
            self._worn[runner] = why
            if runner in self._idle:
                self._idle.remove(runner)
                self._shelve(runner)
            self._work.notify()

    def kill(self, runner: Runner, why: Problem) -> bool:
        """Kills a runner that is lent, with its group: whoever speaks to it finds the reason in `doomed`. Returns whether it was lent."""
        with self._lock:
            if runner not in self._lent or runner.doomed is not None:
                return False
            runner.doomed = why
            runner.signal_group(signal.SIGKILL)
            return True

    def drain(self) -> None:
        """Starts no more runners: whoever waits for one learns within a second that there is none. Safe in a signal handler."""
        self._draining = True

    def close(self) -> None:
        """Kills every runner, lent ones too."""
        with self._lock:
            self._draining = self._closed = True
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
        return len(self._idle) + len(self._lent)

    @property
    def failing(self) -> bool:
        """Whether no more runners can be started than those that are warm."""
        return self._failures > 0

    def _need_one(self) -> None:
        self._needed = True
        self._work.notify()

    def _keep_warm(self) -> None:
        while True:
            with self._lock:
                while not (self._draining or self._missing()):
                    self._work.wait(POLL_S)
                    self._forget_dead()
                self._wait_after_failures()
                if self._draining:
                    return
            self._add_one()

    def _missing(self) -> bool:
        fresh = sum(1 for runner in self._idle if not runner.steps and runner not in self._worn)
        # A worn one that is lent may yet serve for hours: its place is taken when it is back.
        worn = sum(1 for runner in self._worn if runner not in self._lent)
        return self.warm - worn < self._size or fresh < max(self._wanted_fresh, self._spare_fresh)

    def _shelve(self, runner: Runner) -> None:
        """Puts a runner in its place among the idle ones."""
        if runner in self._worn:
            self._idle.insert(0, runner)
        elif not runner.steps:
            self._idle.insert(sum(1 for each in self._idle if each in self._worn), runner)
        else:
            self._idle.append(runner)

    def _take_surplus(self, last: Runner | None = None) -> list[Runner]:
        """Takes out the worn ones if there are enough without them, and the `last` that came if there are too many all the same."""
        worn = [runner for runner in self._idle if runner in self._worn] if self._worn else []
        surplus = worn if self.warm - len(worn) >= self._size else []
        for runner in surplus:
            self._on_replaced(self._worn.pop(runner))
        if last is not None and last not in surplus and self.warm - len(surplus) > self._size + self._spare_fresh:
            surplus = [*surplus, last]
            self._worn.pop(last, None)
        if surplus:
            self._idle = [runner for runner in self._idle if runner not in surplus]
        return surplus

    def _wait_after_failures(self) -> None:
        if self._failures:
            until = clock.monotonic() + self._retry_s[min(self._failures, len(self._retry_s)) - 1]
            while not (self._draining or self._needed) and (rest := until - clock.monotonic()) > 0:
                self._work.wait(min(rest, POLL_S))
                self._forget_dead()
        self._needed = False

    def _forget_dead(self) -> None:
        """Notices idle runners that ended by themselves or were killed."""
        if self._closed:
            return
        for runner in [each for each in self._idle if each.exit_code() is not None]:
            self._idle.remove(runner)
            self._worn.pop(runner, None)
            log.warning("runner %d ended while idle: %s", runner.pid, describe_exit(runner.exit_code() or 0))
            self._on_exit()
            self._end(runner)
            self._needed = self._needed or not self.warm

    def _add_one(self) -> None:
        try:
            runner, answer = self._load()
        except PoolClosedError:
            return
        except (HedgerowError, OSError) as error:
            self._failed(str(error), LAST_TRIES)
            return
        if isinstance(answer, protocol.LoadFailed):
            self._end(runner)
            self._failed("\n".join(str(problem) for problem in answer.problems[:1]), 1)
            return
        if answer.hash != self.hash:
            self._end(runner)
            self._stop_for("the code on disk has changed since this worker started")
            return
        with self._lock:
            failed, self._failures = self._failures, 0
            kept = not self._draining
            surplus = [] if kept else [runner]
            if kept:
                self._shelve(runner)
                surplus = self._take_surplus()
                self._returned.notify_all()
        for each in surplus:
            self._end(each)
        if kept and failed:
            log.info("runners can be started again")
            self._on_failing()

    def _failed(self, why: str, last_tries: int) -> None:
        """Notes that no runner could be started, and says so once. Without a warm one, that is the end after `last_tries`."""
        with self._lock:
            self._failures += 1
            self._forget_dead()
            warm = self.warm
        if self._failures == 1 or not warm:
            log.warning("HR-P102  no new runner can be started; %d warm ones serve on. %s", warm, why)
        if not warm and self._failures >= last_tries:
            self._stop_for("no runner is left, and none can be started")
        elif self._failures == 1:
            self._on_failing()

    def _stop_for(self, why: str) -> None:
        with self._lock:
            self._draining = True
            self._returned.notify_all()
        self._on_code_changed(why)

    def _load(self) -> tuple[Runner, protocol.Loaded | protocol.LoadFailed]:
        with self._lock:
            self._numbers += 1
            number = self._numbers
        runner = self._start(number)
        with self._lock:
            self._all.add(runner)
        answer = load(runner, self._path, self._load_timeout_s, lambda: self._draining)
        if not isinstance(answer, str):
            return runner, answer
        tail = runner.tail()
        code = self._end(runner)
        if self._draining:
            raise PoolClosedError
        raise PlatformError(unusable(answer, code, tail))

    def _end(self, runner: Runner) -> int:
        with self._lock:
            self._all.discard(runner)
        return runner.end()
