"""What goes wrong in a world: drawn from its seed, each for a while, each counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from simulation.broker import Snapshot
from simulation.worker import Crashed, SimWorker

if TYPE_CHECKING:
    from simulation.world import World

RATE = 0.06  # faults per cycle
CALM_CYCLES = 5
DURATIONS = (0.3, 2.0, 6.0, 15.0, 40.0)


class Faults:
    """The trouble of one world."""

    def __init__(self, world: World) -> None:
        self.world, self.rng = world, world.rng
        self.counts: Counter[str] = Counter()
        self.told: list[tuple[float, str]] = []
        self._ends: list[tuple[float, Callable[[], None]]] = []
        self._saved: Snapshot | None = None
        self._worker_crash = False
        self._copies: list[int] = []
        self.deaf_until = 0.0
        self._kinds: dict[str, Callable[[], bool | None]] = {
            "worker killed": self._kill_worker,
            "worker killed between two effects": self._kill_worker_at_boundary,
            "worker frozen": self._freeze_worker,
            "worker slow": self._slow_worker,
            "worker drained": self._drain_worker,
            "worker cut off": self._cut_worker,
            "worker's clock off": self._skew_worker,
            "worker's thread stalled": self._stall_worker,
            "disk full": self._fill_disk,
            "disk broken": self._break_disk,
            "broker away": lambda: self._ail("away"),
            "broker a black hole": lambda: self._ail("black_hole"),
            "broker full": lambda: self._ail("full"),
            "broker read-only": lambda: self._ail("read_only"),
            "broker refuses": lambda: self._ail("no_perm"),
            "broker flaky": lambda: self._ail("flaky"),
            "broker forgot": self._forget,
            "broker restored": self._restore,
            "message lost": lambda: self._copies.append(0),
            "message doubled": lambda: self._copies.append(2),
            "scheduler killed": self._kill_scheduler,
            "scheduler killed between two effects": lambda: self._arm("crash"),
            "scheduler frozen": self._freeze_scheduler,
            "scheduler frozen between two effects": lambda: self._arm("freeze"),
            "scheduler cut off": self._cut_scheduler,
            "scheduler deaf": self._deafen_schedulers,
            "database away": self._stop_database,
            "database refuses": self._have_database_refuse,
            "commit without an answer": lambda: self._arm("outage", "db.committed"),
            "commit failed": lambda: self._arm("outage", "db.commit"),
        }

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts.values())

    def happen(self) -> None:
        """Ends what is over, and perhaps begins something."""
        now = self.world.clock.seconds
        over = [end for end in self._ends if end[0] <= now]
        self._ends = [end for end in self._ends if end[0] > now]
        for _, end in over:
            end()
        if self.world.cycles > CALM_CYCLES and self.rng.random() < RATE:
            kind = self.rng.choice(list(self._kinds))
            if self._kinds[kind]() is not False:
                self.counts[kind] += 1
                self.told.append((now, kind))

    def heal(self) -> None:
        """All is well from now on, and every team has a worker."""
        for _, end in self._ends:
            end()
        self._ends.clear()
        world = self.world
        world.armed.clear()
        self._copies.clear()
        self._worker_crash = False
        world.broker.heal()
        world.database_down_until = world.refused_until = self.deaf_until = 0.0
        world.down.clear()
        world.frozen = dict.fromkeys(world.frozen, 0.0)
        for disk in world.disks.values():
            disk.full = disk.broken = False
        for worker in world.workers:
            worker.link.heal()
            worker.slowness, worker.skew_ms = 1.0, 0
            if worker.frozen:
                worker.thaw()
        for scheduler in world.schedulers:
            scheduler.link.heal()
        for team in world.town.code:
            world.add_worker(team)

    def look(self) -> None:
        """Orders are out, and no one has taken them yet: perhaps the broker will come back to this moment."""
        if self._saved is None or self.rng.random() < 0.04:
            self._saved = self.world.broker.snapshot()

    def copies(self) -> int:
        """How often the message that is being published arrives."""
        return self._copies.pop() if self._copies else 1

    def at_worker(self, place: str) -> None:
        """A worker is between two effects."""
        if self._worker_crash and self.rng.random() < 0.2:
            self._worker_crash = False
            self._after((0.5, 5.0, 30.0), lambda: self.world.add_worker(self.rng.choice(list(self.world.town.code))))
            raise Crashed

    # -- workers -----------------------------------------------------------------------------------------------------------

    def _worker(self) -> SimWorker | None:
        alive = [worker for worker in self.world.workers if worker.alive and not worker.frozen]
        return self.rng.choice(alive) if alive else None

    def _kill_worker(self) -> bool | None:
        worker = self._worker()
        if worker is None:
            return False
        worker.crash()
        self._replace(worker)
        return None

    def _kill_worker_at_boundary(self) -> None:
        self._worker_crash = True

    def _freeze_worker(self) -> bool | None:
        worker = self._worker()
        if worker is None:
            return False
        worker.freeze()
        self._after(DURATIONS, worker.thaw)
        return None

    def _slow_worker(self) -> bool | None:
        worker = self._worker()
        if worker is None:
            return False
        worker.slowness = self.rng.choice((3.0, 10.0))
        self._after(DURATIONS, lambda: setattr(worker, "slowness", 1.0))
        return None

    def _drain_worker(self) -> bool | None:
        worker = self._worker()
        if worker is None:
            return False
        worker.drain()
        self._replace(worker)
        return None

    def _cut_worker(self) -> bool | None:
        worker = self._worker()
        if worker is None:
            return False
        worker.link.fault = self.rng.choice(("away", "black_hole", "flaky"))
        self._after(DURATIONS, worker.link.heal)
        return None

    def _skew_worker(self) -> bool | None:
        worker = self._worker()
        if worker is None:
            return False
        worker.skew_ms = self.rng.choice((-86_400_000, -5_000, 3_000, 86_400_000))
        return None

    def _stall_worker(self) -> bool | None:
        worker = self._worker()
        if worker is None:
            return False
        worker.stall(self.rng.choice(("outbox", "heartbeat", "control", "slots")), self.rng.choice(DURATIONS))
        return None

    def _replace(self, worker: SimWorker) -> None:
        self._after((0.5, 5.0, 30.0), lambda: self.world.add_worker(worker.team))

    def _fill_disk(self) -> None:
        disk = self.world.disks[self.rng.choice(list(self.world.town.code))]
        disk.full = True
        self._after(DURATIONS, lambda: setattr(disk, "full", False))

    def _break_disk(self) -> None:
        disk = self.world.disks[self.rng.choice(list(self.world.town.code))]
        disk.broken = True
        self._after(DURATIONS, lambda: setattr(disk, "broken", False))

    # -- the broker --------------------------------------------------------------------------------------------------------

    def _ail(self, fault: str) -> bool | None:
        broker = self.world.broker
        if broker.fault is not None:
            return False
        broker.fault = fault  # type: ignore[assignment]
        self._after(DURATIONS, broker.heal)
        return None

    def _forget(self) -> None:
        self.world.checks.excuses.append(self.world.clock.seconds)
        self.world.broker.forget()

    def _restore(self) -> bool | None:
        if self._saved is None:
            return False
        self.world.checks.excuses.append(self.world.clock.seconds)
        self.world.broker.restore(self._saved)
        return None

    # -- schedulers and their database -------------------------------------------------------------------------------------

    def _kill_scheduler(self) -> None:
        scheduler = self.rng.choice(self.world.schedulers)
        scheduler.crash()
        self.world.down[scheduler.name] = self.world.clock.seconds + self.rng.choice((0.5, 2.0, 8.0))

    def _freeze_scheduler(self) -> None:
        scheduler = self.rng.choice(self.world.schedulers)
        self.world.frozen[scheduler.name] = self.world.clock.seconds + self.rng.choice(DURATIONS)

    def _arm(self, action: str, place: str | None = None) -> None:
        places = ("db.begin", "db.read", "db.write", "db.commit", "db.committed", "broker.write")
        self.world.armed[place or self.rng.choice(places)] = action

    def _cut_scheduler(self) -> None:
        scheduler = self.rng.choice(self.world.schedulers)
        scheduler.link.fault = self.rng.choice(("away", "black_hole", "flaky"))
        self._after(DURATIONS, scheduler.link.heal)

    def _deafen_schedulers(self) -> None:
        self.deaf_until = self.world.clock.seconds + self.rng.choice((2.0, 22.0, 28.0))

    def _stop_database(self) -> None:
        self.world.database_down_until = self.world.clock.seconds + self.rng.choice(DURATIONS)

    def _have_database_refuse(self) -> None:
        self.world.refused_until = self.world.clock.seconds + self.rng.choice(DURATIONS)

    def _after(self, durations: tuple[float, ...], end: Callable[[], object]) -> None:
        self._ends.append((self.world.clock.seconds + self.rng.choice(durations), end))  # type: ignore[arg-type]
