"""One worker, put together: starts its parts around Celery in order, and ends them so that nothing is lost."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from celery.worker import state as celery_state

from hedgerow import clock
from hedgerow.errors import PlatformError, Problem
from hedgerow.manifest import model
from hedgerow.protocol import control, events, names
from hedgerow.protocol.runner import Loaded
from hedgerow_workers.acceptance import Audience
from hedgerow_workers.attempts import Attempts, Stop
from hedgerow_workers.broker import Line, connect
from hedgerow_workers.claims import Claims
from hedgerow_workers.control import ControlReader
from hedgerow_workers.evaluations import open_evaluations
from hedgerow_workers.heartbeat import Heartbeat, host, memory_bytes
from hedgerow_workers.journals import JournalFolder
from hedgerow_workers.leaving import EXIT_CODE_CHANGED, Leaving
from hedgerow_workers.loading import failure, read_manifest
from hedgerow_workers.log_tail import LogFollower
from hedgerow_workers.logs import LogStore
from hedgerow_workers.memory import MemoryWatch
from hedgerow_workers.metrics import Metrics
from hedgerow_workers.outbox import Outbox, encode
from hedgerow_workers.pool import More
from hedgerow_workers.publishing import Publication
from hedgerow_workers.runner_pool import PoolClosedError, RunnerPool
from hedgerow_workers.runners import Runner
from hedgerow_workers.settings import WorkerSettings
from hedgerow_workers.task import Slots
from hedgerow_workers.watchdog import Watchdog

EXIT_LOAD_FAILED = 1
EXIT_USAGE = 2
EXIT_WATCHDOG = 70

FLUSH_S = 10.0
TICK_S = 0.05
AHEAD_PER_SLOT = 8
WAIT_FOR_SLOT_S = 1.0

log = logging.getLogger("hedgerow.worker")


class Service:
    """Everything of a worker but Celery. `start` and `stop` are called in Celery's thread, the rest from anywhere."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.worker = clock.uuid7()
        self.attempts = Attempts()
        self._manifest = ""
        self._publication: Publication | None = None
        self.leaving = Leaving(settings.grace_s, self._leaves)
        self._disk_full = False
        self._celery: Any = None
        self._slots: Slots | None = None
        self._stopped = False
        self._start_no_more: Callable[[], None] = lambda: None

    # Starting

    def start(self, celery_worker: Any) -> list[str]:
        """Starts all parts and loads the team's code; returns the Celery queues to consume.

        SystemExit when the code can't be loaded, after that was reported and printed.
        """
        settings = self.settings
        self._celery = celery_worker
        self.metrics = Metrics(settings.slots)
        self._listen()
        self.outbox = Outbox(
            Line(connect(settings.broker)),
            settings.deployment,
            settings.team,
            self.worker,
            JournalFolder(settings.outboxes),
            self._trouble,
        )
        self.control = ControlReader(
            connect(settings.broker),
            settings.deployment,
            settings.team,
            {
                control.CancelAttempt: self._cancel,
                control.DrainWorker: self._drain_asked,
                control.SendManifest: self._send_manifest,
                control.ResendEvents: lambda message: self.outbox.resend(message.worker, message.after_seq),
            },
        )
        self.control.start()
        self.outbox.start()
        self.heartbeat = Heartbeat(
            connect(settings.broker),
            settings.deployment,
            settings.team,
            self.worker,
            settings.heartbeat_s,
            settings.lease_s,
            self.attempts,
            self._describe,
        )
        spools = self.outbox.directory / "spool"
        spools.mkdir()
        self.runners = RunnerPool(
            lambda number: Runner(settings.python, settings.path, settings.environment, spools, number),
            settings.path,
            settings.slots + 1,
            settings.load_timeout_s,
            self._code_changed,
            self.metrics.runner_exited,
            self._room_changed,
            recycle_after=settings.recycle_after,
            on_replaced=self.metrics.runner_replaced,
        )
        self._start_no_more = self.runners.drain
        self.heartbeat.start()
        manifest = self._load()
        self._serve(manifest)
        return [names.celery_queue(settings.location, queue, self._manifest) for queue in settings.queues]

    def _listen(self) -> None:
        port = self.settings.metrics_port
        try:
            self.metrics.serve(port, lambda: not self.leaving.has_begun)
        except (OSError, OverflowError) as error:
            message, remedy = (
                f"Port {port} for metrics can't be used: {error}.",
                "Give another --metrics-port, or 0 for none.",
            )
            print(Problem("HR-P105", message, remedy), file=sys.stderr)
            raise SystemExit(EXIT_USAGE) from error

    def _load(self) -> model.Manifest:
        if self.leaving.has_begun:
            self._leave(self.leaving.code)
        try:
            answer = self.runners.load_first()
            if isinstance(answer, Loaded):
                manifest = read_manifest(answer, self.settings)
                self._publication = Publication(self.outbox, answer.hash, answer.manifest)
                self._manifest = answer.hash
                return manifest
            problems: tuple[Problem, ...] = answer.problems
        except PlatformError as error:
            problems = error.problems
        except PoolClosedError:
            self._leave(self.leaving.code)
        for problem in problems:
            print(problem, *([problem.traceback] if problem.traceback else []), sep="\n", file=sys.stderr, flush=True)
        self.outbox.put([encode(failure(self.settings, problems))])
        self._leave(EXIT_LOAD_FAILED)
        raise AssertionError

    def _serve(self, manifest: model.Manifest) -> None:
        settings = self.settings
        claims = Claims(partial(Line, connect(settings.broker)), settings.deployment, settings.team, self.worker)
        accepting = lambda: not (self.leaving.has_begun or self._disk_full)  # noqa: E731
        self.evaluations = open_evaluations(settings, self._manifest, claims, self.outbox, accepting, self.metrics)
        self.control.handle(control.Evaluate, self.evaluations.take)
        self._slots = Slots(
            Audience(settings.deployment, settings.team, settings.location, self._manifest),
            {each.name: each.code_version for each in manifest.computations},
            claims,
            self.runners,
            self.outbox,
            self.attempts,
            LogStore(settings.storage, self.metrics.lines_dropped),
            accepting,
            self.metrics.runner_exited,
            settings.kill_grace_s,
        )
        assert self._publication is not None
        self._publication.announce(settings.team, settings.location)
        self.heartbeat.beat()
        self.follower = LogFollower(
            connect(settings.broker), settings.deployment, settings.team, self.attempts, self.metrics.lines_dropped
        )
        self.follower.start()
        self.watchdog = Watchdog(settings, self._celery, lambda: self.heartbeat.contact_at, self._watchdog_bites)
        self.watchdog.start()
        limit = settings.memory_limit_bytes
        self.memory = MemoryWatch((self.runners, self.evaluations.runners), limit) if limit is not None else None
        if self.memory is not None:
            self.memory.start()
        self.metrics.observe(self)
        self._celery.pool.room = lambda: self._room() + self._ahead()
        self.runners.start_rest()
        log.info(
            "ready: %d slots, queues %s, manifest %s, worker %s",
            settings.slots,
            " ".join(settings.queues),
            self._manifest[: names.MANIFEST_DIGITS],
            self.worker,
        )

    # Running

    def execute(self, message: str, more: More = lambda: None) -> None:
        """Does the orders of one Celery message, in the thread of a slot, and of more that wait if all are short."""
        assert self._slots is not None
        self._slots.execute(message, more)

    def _ahead(self) -> int:
        """How many messages may wait for a slot: none, unless steps are so short that fetching them is what slots wait for."""
        quick = self._slots is not None and self._slots.quick and not self.leaving.has_begun
        return AHEAD_PER_SLOT * self.settings.slots if quick else 0

    def _hand_back(self) -> None:
        """Gives back what waits behind steps that turned out to be long, so that another worker has it."""
        if self._slots is not None:
            for message in self._celery.pool.give_up(0.0 if self.leaving.has_begun else WAIT_FOR_SLOT_S):
                self._slots.refuse(message)

    def _describe(self) -> events.WorkerHeartbeat:
        settings = self.settings
        self._hand_back()
        beside = self.evaluations.runners.pids() if self.serving else ()
        state = "draining" if self.leaving.has_begun else "ready" if self._manifest else "starting"
        return events.WorkerHeartbeat(
            settings.location,
            self._manifest,
            settings.queues,
            0 if self._disk_full else self._room(),
            self._slots.busy if self._slots is not None else 0,
            state,  # type: ignore[arg-type]
            self.attempts.holds(self.outbox.sent),
            host(),
            os.getpid(),
            memory_bytes([os.getpid(), *self.runners.pids(), *beside]),
            self.outbox.pending,
        )

    def _room(self) -> int:
        """How many steps can run at once."""
        slots = self.settings.slots
        return min(slots, self.runners.warm) if self.runners.failing else slots

    def _room_changed(self) -> None:
        # Celery's loop, asleep, would not ask for messages again before its next timer is due.
        self._celery.pool.waker.wake()
        self.heartbeat.beat()

    def _cancel(self, message: control.CancelAttempt) -> None:
        attempt = self.attempts.get(message.attempt_id)
        if attempt is not None:
            why = message.why or "The attempt was cancelled."
            attempt.request_stop(Stop("cancelled", "HR-X109", why, self.settings.kill_grace_s))

    def _drain_asked(self, message: control.DrainWorker) -> None:
        if message.worker == self.worker:
            why = message.why or "the scheduler asked for it"
            if not self.leaving.is_asked_for:
                log.info("asked to leave: %s", why)
            self.leaving.begin(0, why)

    def _send_manifest(self, message: control.SendManifest) -> None:
        if self._publication is not None:
            self._publication.send(message)

    def _trouble(self, trouble: bool) -> None:
        self._disk_full = trouble
        self._celery.pool.paused = trouble
        self._room_changed()

    def _code_changed(self, why: str) -> None:
        log.warning("HR-P102  %s: leaving, to be started again", why)
        self.leaving.begin(EXIT_CODE_CHANGED, why)

    def _watchdog_bites(self) -> None:
        self.metrics.watchdog_restarts += 1
        self.leaving.begin(EXIT_WATCHDOG, "the consumer was stuck")

    # Ending

    def _leaves(self, code: int) -> None:
        celery_state.should_stop = code
        self._start_no_more()
        if self._celery is not None:
            self._celery.pool.waker.wake()

    @property
    def outbox_events(self) -> int:
        """How many events are not acknowledged."""
        return self.outbox.pending

    @property
    def outbox_bytes(self) -> int:
        """What the events take on disk."""
        return self.outbox.size_bytes

    @property
    def broker_losses(self) -> int:
        """How often contact with the broker was lost."""
        return self.heartbeat.broker_losses

    @property
    def draining(self) -> bool:
        """Whether the worker is leaving."""
        return self.leaving.has_begun

    @property
    def serving(self) -> bool:
        """Whether the code was loaded and orders were taken."""
        return self._slots is not None

    def stop(self) -> None:
        """Waits for the steps that run, ends those that take too long, delivers every event. Called when Celery stops."""
        if self._stopped or self._slots is None:
            return
        if not self.leaving.has_begun:  # Celery was told, not we
            self.leaving.begin(0, "asked to stop")
        self._stopped = True
        self.heartbeat.beat()
        if len(self.attempts):
            log.info("leaving: %d steps still run", len(self.attempts))
        self._wait_for_attempts(self.leaving.patience_ends)
        rest = self.attempts.running()
        if rest:
            grace_s = 1.0 if self.leaving.hurried else self.settings.kill_grace_s
            for attempt in rest:
                attempt.request_stop(
                    Stop("interrupted", "HR-X104", "The worker had to leave while the step ran.", grace_s)
                )
            killed_at = clock.monotonic() + grace_s + 2.0
            self._wait_for_attempts(lambda: killed_at, hurry=False)
        self.evaluations.close(hurry=self.leaving.hurried)
        self._close(FLUSH_S)

    def _wait_for_attempts(self, deadline: Callable[[], float], *, hurry: bool = True) -> None:
        pause = threading.Event()
        while len(self.attempts) and clock.monotonic() < deadline() and not (hurry and self.leaving.hurried):
            pause.wait(TICK_S)

    def _leave(self, code: int) -> None:
        """Ends a worker that did not get to serve."""
        self._stopped = True
        self._close(FLUSH_S / 2)
        raise SystemExit(code)

    def _close(self, flush_s: float) -> None:
        self.runners.close()
        # Slots that waited for a runner learn only now that there will be none, and say so.
        until = clock.monotonic() + 1.0
        self._wait_for_attempts(lambda: until, hurry=False)
        self.heartbeat.close()
        self.control.close()
        if self._slots is not None:
            self.follower.close()
            self.watchdog.close()
            if self.memory is not None:
                self.memory.close()
        self.outbox.put([encode(events.WorkerStopped(self.leaving.why))])
        if self.leaving.hurried:
            flush_s = min(flush_s, 2.0)
        if not self.outbox.close(flush_s):
            log.warning("%d events stay in %s for the next worker", self.outbox.pending, self.outbox.directory)
        self.metrics.close()
