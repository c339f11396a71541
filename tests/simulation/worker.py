"""One incarnation of a worker in a simulated world: the production parts, stepped, with runners that only pretend to work."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from random import Random
from typing import Literal, TypeAlias

from hedgerow import clock as time
from hedgerow.manifest import model
from hedgerow.protocol import control, events, names
from hedgerow.protocol.orders import StepOrder
from hedgerow_workers.acceptance import Acceptance, Audience
from hedgerow_workers.attempts import Attempts, Stop
from hedgerow_workers.broker import BrokerErrors
from hedgerow_workers.claims import Claims
from hedgerow_workers.control import ControlReader
from hedgerow_workers.fetching import order_text
from hedgerow_workers.heartbeat import Heartbeat
from hedgerow_workers.leaving import RESERVE_S
from hedgerow_workers.outbox import Outbox, encode
from hedgerow_workers.pace import Pace
from hedgerow_workers.publishing import Publication
from hedgerow_workers.report import Report
from hedgerow_workers.service import FLUSH_S
from hedgerow_workers.task import orders_of
from simulation.broker import SimBroker
from simulation.clock import VirtualClock
from simulation.disk import SimDisk
from simulation.evaluating import Evaluation, Said, SimEvaluations
from simulation.runner import Execution, Fate, Outcome, Slot

__all__ = ["Code", "Crashed", "Execution", "Fate", "Outcome", "SimWorker", "Timings"]

Part: TypeAlias = Literal["slots", "outbox", "heartbeat", "control"]
_ORDERS: tuple[tuple[Part, ...], ...] = tuple(permutations(("slots", "outbox", "heartbeat", "control")))
# How often a consumer, a control reader or a worker that can't start tries again.
_RETRY_S = 1.0
# What each unit of slowness costs every turn of the outbox.
_SLOW_S = 0.2
# A runner that was told to end is waited for so much longer than its grace.
_KILL_S = 2.0


class Crashed(BaseException):
    """The process ends where it is. A `boundary` raises it; nothing of the worker catches it but `SimWorker.turn`."""


@dataclass(frozen=True, slots=True)
class Code:
    """A manifest as workers serve it: make it once, for all worlds."""

    hash: str
    text: str
    code_versions: Mapping[str, str]
    checks: Mapping[str, tuple[model.Check, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, manifest: model.Manifest) -> Code:
        """The code of a manifest."""
        text = model.encode(manifest)
        versions = {each.name: each.code_version for each in manifest.computations}
        checks: dict[str, tuple[model.Check, ...]] = {}
        for check in manifest.checks:
            checks[check.asset] = (*checks.get(check.asset, ()), check)
        return cls(model.manifest_hash(text), text.decode(), versions, checks)

    def checks_of(self, order: StepOrder) -> list[model.Check]:
        """The checks that the runner of an order runs."""
        own = [check for asset in order.assets for check in self.checks.get(asset, ())]
        return [
            check for check in own if (check.own_step or not order.own_steps if order.judged else not check.own_step)
        ]


@dataclass(frozen=True, slots=True)
class Timings:
    """The worker's settings, with their defaults."""

    heartbeat_s: float = 5.0
    lease_s: float = 20.0
    kill_grace_s: float = 10.0
    grace_s: float = 60.0


class SimWorker:
    """`deployment`, `team`, `location`, `queues`, `slots` and `code` are what it serves. It starts in its first turn.

    `fate(order)` is asked for each attempt that begins; `log` gets its `Execution`. `boundary(place)` is called at every point
    at which the process may end between two effects: before and after each command to the broker and each write to the disk, and
    around what runners do; it may raise `Crashed`. The order of what different threads do within a turn is drawn from `rng`.

    `says(team, message)` is asked what comes of an evaluation outside of steps; `evaluations` gets each that began.

    `link` is its own way to the broker: `link.fault` cuts this worker off alone. It is `alive` until it crashed or is gone after a
    drain. With a `slowness` of 3 runners, and the outbox, take three times as long. Its machine's clock is ahead by `skew_ms`.
    """

    def __init__(
        self,
        deployment: str,
        team: str,
        location: str,
        queues: Sequence[str],
        slots: int,
        code: Code,
        broker: SimBroker,
        clock: VirtualClock,
        rng: Random,
        disk: SimDisk,
        fate: Callable[[StepOrder], Fate],
        log: list[Execution],
        timings: Timings = Timings(),
        boundary: Callable[[str], None] = lambda _: None,
        says: Callable[[str, control.Evaluate], Said] = lambda _team, _message: Said(0.1),
        evaluations: list[Evaluation] | None = None,
    ) -> None:
        self._says, self._told = says, [] if evaluations is None else evaluations
        self.deployment, self.team, self.location = deployment, team, location
        self.queues, self.slots, self.code, self.timings = tuple(queues), slots, code, timings
        self.clock, self.rng, self.fate, self.log, self.boundary = clock, rng, fate, log, boundary
        self.id = time.uuid7()
        self.link = broker.link(boundary)
        self._broker = broker
        self.alive, self.frozen, self.draining, self.runners_closed = True, False, False, False
        self.slowness, self.skew_ms = 1.0, 0
        self.pace, self.attempts = Pace(), Attempts()
        self._journals = disk.journals(boundary)
        prefix = names.celery_key_prefix(deployment, team)
        self._keys = [prefix + names.celery_queue(location, queue, code.hash) for queue in queues]
        self._control_stream = names.control_stream(deployment, team)
        self._heard: tuple[int, int] | None = None
        self._next = 0.0
        self._outbox: Outbox | None = None
        self._busy: list[Slot] = []
        self._disk_full = False
        self._due: dict[Part, float] = dict.fromkeys(_ORDERS[0], 0.0)
        self._held: dict[Part, float] = dict.fromkeys(_ORDERS[0], 0.0)
        self._consume_at = self._unwatched_until = 0.0
        self._patience_ends = self._killed_at = self._flushed_at = math.inf
        self._is_closing = False
        self._turns: dict[Part, Callable[[float], float]] = {
            "slots": self._turn_slots,
            "outbox": self._turn_outbox,
            "heartbeat": self._turn_heartbeat,
            "control": self._turn_control,
        }

    # -- what the world does to it -----------------------------------------------------------------------------------

    def turn(self) -> float:
        """Does everything that is due now; returns when something is due next if nothing comes (seconds of the world; inf: never).

        A worker that is frozen or not alive does nothing.
        """
        if not self.alive or self.frozen:
            return math.inf
        self.clock.skew_ms = self.skew_ms
        try:
            if self._outbox is None and not self._start():
                return self.clock.seconds + _RETRY_S
            now = self.clock.seconds
            if now >= self._next or self.draining or any(map(self._is_called, _ORDERS[0])):
                self._next = self._turn(now)
            return self._next
        except Crashed:
            self.crash()
            return math.inf
        finally:
            self.clock.skew_ms = 0

    def crash(self) -> None:
        """SIGKILL: what was in memory is gone, and its runners with it."""
        if self.alive:
            self.alive = False
            for slot in self._busy:
                slot.crash(self.clock.seconds)
            self._busy.clear()
            self._journals.release()

    def freeze(self) -> None:
        """SIGSTOP of the worker's process: no turns until `thaw`; its runners go on."""
        self.frozen = True
        self._mark_unwatched()

    def thaw(self) -> None:
        """SIGCONT."""
        self.frozen = False

    def drain(self) -> None:
        """SIGTERM: takes no more orders, ends what runs in its time, delivers its events, is then not `alive`."""
        if not self.draining:
            self.draining = True
            grace_s = self.timings.grace_s
            self._patience_ends = self.clock.seconds + max(grace_s / 2, grace_s - RESERVE_S)
            self._due["heartbeat"] = 0.0

    def stall(self, part: Part, seconds: float) -> None:
        """One of its threads stands still for so long."""
        self._held[part] = max(self._held[part], self.clock.seconds + seconds)
        if part == "heartbeat":
            self._unwatched_until = self._held[part]
            self._mark_unwatched()

    @property
    def is_idle(self) -> bool:
        """Whether it holds no attempt, and no event that is not acknowledged."""
        outbox = self._outbox
        return outbox is None or not (
            outbox.pending or self.attempts.holds(outbox.sent) or not self.evaluations.is_idle
        )

    @property
    def outbox(self) -> Outbox:
        """Where its events go; there is one from its first turn on."""
        assert self._outbox is not None
        return self._outbox

    @property
    def is_unwatched(self) -> bool:
        """Whether no one would stop what must not run on without contact."""
        return self.frozen or self.clock.seconds < self._unwatched_until

    def _mark_unwatched(self) -> None:
        for slot in self._busy:
            if slot.execution is not None:
                slot.execution.frozen = True

    # -- its parts ---------------------------------------------------------------------------------------------------

    def _start(self) -> bool:
        """What `hedgerow_workers.service.Service` does; False: the disk does not let it."""
        link, deployment, team = self.link, self.deployment, self.team
        try:
            outbox = Outbox(link, deployment, team, self.id, self._journals, self._trouble)  # type: ignore[arg-type]
        except OSError:
            return False
        self._outbox = outbox
        self.claims = Claims(lambda: link, deployment, team, self.id)
        self.evaluations = SimEvaluations(self, self._says, self._told)
        handlers = {
            control.CancelAttempt: self._cancel,
            control.Evaluate: self.evaluations.take,
            control.DrainWorker: lambda message: self.drain() if message.worker == self.id else None,
            control.SendManifest: lambda message: publication.send(message),
            control.ResendEvents: lambda message: outbox.resend(message.worker, message.after_seq),
        }
        self.control = ControlReader(link, deployment, team, handlers)  # type: ignore[arg-type]
        self.control.skip()
        timings = self.timings
        self.heartbeat = Heartbeat(
            link, deployment, team, self.id, timings.heartbeat_s, timings.lease_s, self.attempts, self._describe  # type: ignore[arg-type]
        )  # fmt: skip
        self.acceptance = Acceptance(
            Audience(deployment, team, self.location, self.code.hash),
            self.claims,
            self.attempts,
            self.pace,
            self.accepts,
        )
        publication = Publication(outbox, self.code.hash, self.code.text)
        publication.announce(team, self.location)
        return True

    def _turn(self, now: float) -> float:
        for part in self.rng.choice(_ORDERS):
            if self._held[part] <= now and (
                self._due[part] <= now or self._is_called(part) or (part == "slots" and self.draining)
            ):
                self._due[part] = self._turns[part](now)
                waited = self.waited_s()
                if waited:
                    self._held[part] = now + waited
                if not self.alive:
                    return math.inf
        if self.evaluations.due <= now:
            self.evaluations.turn(now)
            self.waited_s()
        self._due["slots"] = min((slot.due for slot in self._busy), default=math.inf)
        return min(self.evaluations.due, *(max(self._due[part], self._held[part]) for part in self._due))

    def _is_called(self, part: Part) -> bool:
        """Whether something is there that would wake a thread that sleeps."""
        if part == "slots":
            return len(self._busy) < self.slots and self._broker.has_message(self._keys)
        if part == "control":
            return self._broker.newest(self._control_stream) != self._heard
        return part == "outbox" and self._outbox.is_called  # type: ignore[union-attr]

    def waited_s(self) -> float:
        """How long a thread has just waited in vain for the broker."""
        waited, self.link.held_s = self.link.held_s, 0.0
        return waited

    def _turn_outbox(self, now: float) -> float:
        assert self._outbox is not None
        due = self._outbox.turn(now)
        if self.slowness > 1:
            self._held["outbox"] = now + (self.slowness - 1) * _SLOW_S
        if self._outbox.delivered or now >= self._flushed_at:
            self._outbox.let_go()
            self._journals.release()  # those that it had adopted, too
            self.alive = False
        return due

    def _turn_heartbeat(self, now: float) -> float:
        return math.inf if self._is_closing else self.heartbeat.turn(now)

    def _turn_control(self, now: float) -> float:
        newest = self._broker.newest(self._control_stream)
        wait_s = 0.0 if self._is_closing else self.control.turn()
        if wait_s:
            self._held["control"] = now + wait_s
        else:
            self._heard = newest
        return math.inf

    def _turn_slots(self, now: float) -> float:
        """What Celery's consumer, the slots and the thread that ends the worker do."""
        self._busy = [slot for slot in self._busy if not slot.advance(now)]
        while self._consume_at <= now and self.accepts() and self._is_called("slots"):
            text = self._fetch(now)
            if text is None:
                break
            slot = Slot(self, orders_of(text), Report(self._outbox, self.attempts), self.rng)  # type: ignore[arg-type]
            self._busy.append(slot)
            if slot.advance(now):
                self._busy.remove(slot)
        if self.draining and not self._is_closing:
            self._leave(now)
        return math.inf

    def _fetch(self, now: float) -> str | None:
        """The next message, of each queue in turn."""
        try:
            messages = self.link.pop(self._keys)
        except BrokerErrors:
            self._consume_at = now + self.waited_s() + _RETRY_S
            return None
        if not messages:
            return None
        self._keys.append(self._keys.pop(0))
        return order_text(messages[0])

    def accepts(self) -> bool:
        """Whether it begins anything new."""
        return not (self.draining or self._disk_full)

    def _describe(self) -> events.WorkerHeartbeat:
        assert self._outbox is not None
        return events.WorkerHeartbeat(
            self.location,
            self.code.hash,
            self.queues,
            0 if self._disk_full else self.slots,
            len(self._busy),
            "draining" if self.draining else "ready",
            self.attempts.holds(self._outbox.sent),
            "sim",
            1,
            0,
            self._outbox.pending,
        )

    def _cancel(self, message: control.CancelAttempt) -> None:
        attempt = self.attempts.get(message.attempt_id)
        if attempt is not None:
            attempt.request_stop(Stop("cancelled", "HR-X109", message.why, self.timings.kill_grace_s))

    def _trouble(self, trouble: bool) -> None:
        self._disk_full = trouble
        self._due["heartbeat"] = 0.0

    def _leave(self, now: float) -> None:
        """Waits for what runs, ends what takes too long, then closes."""
        assert self._outbox is not None
        if len(self.attempts) and now < self._killed_at:
            if now >= self._patience_ends:
                self._patience_ends = math.inf
                grace_s = self.timings.kill_grace_s
                self._killed_at = now + grace_s + _KILL_S
                for attempt in self.attempts.running():
                    why = "The worker had to leave while the step ran."
                    attempt.request_stop(Stop("interrupted", "HR-X104", why, grace_s))
            return
        if self._busy and not self.runners_closed:
            self.runners_closed = True
            return  # slots that have no runner say so in their next turn
        self.evaluations.leave()
        self._is_closing = True
        self._outbox.put([encode(events.WorkerStopped("asked to stop"))])
        self._outbox.finish()
        self._flushed_at = now + FLUSH_S
