"""One incarnation of a worker in a simulated world: the production parts, stepped, with runners that only pretend to work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

from hedgerow.manifest import model
from hedgerow.protocol.orders import StepOrder
from simulation.broker import Link, SimBroker
from simulation.clock import VirtualClock
from simulation.disk import SimDisk

# How a pretended attempt ends if no one stops it.
Outcome: TypeAlias = Literal["succeeded", "user_error", "runner_lost", "skipped"]


class Crashed(BaseException):
    """The process ends where it is. A `boundary` raises it; nothing of the worker catches it but `SimWorker.turn`."""


@dataclass(slots=True)
class Execution:
    """What truly happened: user code ran from `began` to `ended` (seconds of the world; None: it runs) on a worker.

    `outcome` is an `Outcome`, a reason of `AttemptFailed`, or "crashed" when its worker was; "" while it runs. `mode` is the
    order's `on_lost_contact`. `frozen`: its worker stood still for a part of that time.
    """

    run_id: str
    step: str
    attempt_id: str
    attempt: int
    worker: str
    token: str
    assets: tuple[str, ...]
    partition: str | None
    mode: str
    began: float
    ended: float | None = None
    outcome: str = ""
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class Fate:
    """What a runner pretends to do with an order: so many seconds, then this."""

    seconds: float
    outcome: Outcome = "succeeded"


@dataclass(frozen=True, slots=True)
class Code:
    """A manifest as workers serve it: make it once, for all worlds."""

    hash: str
    text: str
    code_versions: Mapping[str, str]

    @classmethod
    def of(cls, manifest: model.Manifest) -> Code:
        """The code of a manifest."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Timings:
    """The worker's settings, with their defaults."""

    heartbeat_s: float = 5.0
    lease_s: float = 20.0
    kill_grace_s: float = 10.0
    grace_s: float = 60.0


class SimWorker:
    """`deployment`, `team`, `location`, `queues`, `slots` and `code` are what it serves.

    `fate(order)` is asked for each attempt that begins; `log` gets its `Execution`. `boundary(place)` is called at every point
    at which the process may end between two effects: before and after each command to the broker and each write to the disk; it may
    raise `Crashed`. The order of what different threads do within a turn is drawn from `rng`.
    """

    id: str
    link: Link  # its own way to the broker: `link.fault` cuts this worker off alone
    alive: bool  # False once crashed, or gone after a drain
    frozen: bool
    draining: bool
    slowness: float  # 1 is normal; runners and the outbox take so many times as long
    skew_ms: int  # its machine's clock is so far ahead

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
    ) -> None:
        """Starts it: it has a journal on `disk`, has announced its manifest, and takes orders from its first turn on."""
        raise NotImplementedError

    def turn(self) -> float:
        """Does everything that is due now; returns when something is due next if nothing happens (seconds of the world; inf: never).

        A worker that is frozen or not alive does nothing.
        """
        raise NotImplementedError

    def crash(self) -> None:
        """SIGKILL: what was in memory is gone, and its runners with it."""
        raise NotImplementedError

    def freeze(self) -> None:
        """SIGSTOP of the worker's process: no turns until `thaw`; its runners go on."""
        raise NotImplementedError

    def thaw(self) -> None:
        """SIGCONT."""
        raise NotImplementedError

    def drain(self) -> None:
        """SIGTERM: takes no more orders, ends what runs in its time, delivers its events, is then not `alive`."""
        raise NotImplementedError

    def stall(self, part: Literal["outbox", "heartbeat", "control", "slots"], seconds: float) -> None:
        """One of its threads stands still for so long."""
        raise NotImplementedError
