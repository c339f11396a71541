"""Evaluations of a simulated worker: the production rules of who begins one, and functions of a team's code that only pretend to think."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from hedgerow.errors import Problem
from hedgerow.protocol.control import Evaluate
from hedgerow.protocol.events import Evaluated, EvaluationReason
from hedgerow_workers.evaluations import Evaluations
from hedgerow_workers.outbox import encode

if TYPE_CHECKING:
    from simulation.worker import SimWorker

_NOTHING = msgspec.Raw(b"null")
_LEFT = Problem("HR-X104", "The worker had to leave.", "Nothing: it is evaluated again.")
_PROBLEM = Problem("HR-X001", "It raised.", "Nothing: it is pretended.")


@dataclass(frozen=True, slots=True)
class Said:
    """What a function comes to after so many seconds; `result` is JSON if it is `ok`."""

    seconds: float
    reason: EvaluationReason = "ok"
    result: bytes = b"null"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What truly happened: a function of a team's code was called at `began` (seconds of the world) with an argument, as JSON."""

    id: str
    team: str
    kind: str
    name: str
    worker: str
    began: float
    argument: bytes
    said: Said


class SimEvaluations(Evaluations):
    """Those of one worker. `due` is when something is to be done next."""

    def __init__(self, worker: SimWorker, says: Callable[[str, Evaluate], Said], log: list[Evaluation]) -> None:
        self._worker, self._says, self._log = worker, says, log
        self._manifest, self._claims = worker.code.hash, worker.claims
        self.runners = _Runners()  # type: ignore[assignment]
        self._accepting, self._on_evaluated = worker.accepts, lambda *_: None
        self._lock, self._under_way, self._leaving = threading.Lock(), set(), threading.Event()
        self._threads: Any = _Queue()
        self._held: list[tuple[float, Evaluated]] = []

    @property
    def due(self) -> float:
        """When something is to be done next."""
        return 0.0 if self._threads.asked else min((at for at, _ in self._held), default=math.inf)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._under_way

    def turn(self, now: float) -> None:
        """What its threads would do in this moment."""
        while self._threads.asked:
            message = self._threads.asked.pop(0)
            told = self._evaluated(message)
            if told is None:
                self._under_way.discard(message.evaluation_id)
            else:
                self._held.append((now + told.duration_ms / 1000, told))
        over = [told for at, told in self._held if at <= now]
        self._held = [each for each in self._held if each[0] > now]
        self._tell(over)

    def leave(self) -> None:
        """The worker leaves: nothing is begun any more, and what runs is ended."""
        self._leaving.set()
        self._threads.asked.clear()
        held, self._held = self._held, []
        self._tell(
            [msgspec.structs.replace(told, reason="runner_lost", result=_NOTHING, error=_LEFT) for _, told in held]
        )

    def _tell(self, over: list[Evaluated]) -> None:
        for told in over:
            self._worker.boundary("evaluation.ended")
            self._worker.outbox.put([encode(told)])
            self._under_way.discard(told.evaluation_id)

    def _hold(self, message: Evaluate, runner: Any) -> Evaluated:
        worker, said = self._worker, self._says(self._worker.team, message)
        self._log.append(
            Evaluation(
                message.evaluation_id, worker.team, message.kind, message.name, worker.id, worker.clock.seconds,
                bytes(message.argument), said,
            )
        )  # fmt: skip
        lasts_ms = round(min(said.seconds * 1000, message.timeout_ms))
        reason = "timed_out" if said.seconds * 1000 > message.timeout_ms else said.reason
        about = (message.evaluation_id, message.kind, message.name, reason)
        if reason == "ok":
            return Evaluated(*about, result=msgspec.Raw(said.result), duration_ms=lasts_ms)
        return Evaluated(*about, error=_PROBLEM, duration_ms=lasts_ms)


class _Runners:
    """There is always one."""

    def acquire(self, _: object) -> None:
        """Nothing is needed to pretend."""


class _Queue:
    """Threads that begin when they are told to."""

    def __init__(self) -> None:
        self.asked: list[Evaluate] = []

    def submit(self, _: object, message: Evaluate) -> None:
        """Something to do in the next turn."""
        self.asked.append(message)
