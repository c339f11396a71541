"""One seeded world: real schedulers and real workers over a broker, a database and machines that fail, until all is healed."""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import count
from random import Random

import msgspec
from support.scheduling import uuid

from hedgerow.protocol.control import Evaluate
from hedgerow.protocol.orders import StepOrder
from hedgerow_scheduler.planning.request import RunRequest
from simulation.broker import SimBroker
from simulation.checks import Checks, Violation
from simulation.clock import VirtualClock, virtual_time
from simulation.database import Database, OutageError, RefusedError
from simulation.disk import SimDisk
from simulation.evaluating import Evaluation, Said
from simulation.faults import Faults
from simulation.lively import town_of
from simulation.scheduler import FrozenError, SimScheduler, Unmeasured
from simulation.sources import Sources
from simulation.town import PLAIN, SETTINGS, Town
from simulation.worker import Crashed, Execution, Fate, SimWorker

CYCLES = 200
MOST_CYCLES = 1500
MIN_STEPS = 20
MIN_FAULTS = 3
LAST_STRIDE_S = 4.0
SLOTS = 3
CHECKS_FAIL = 0.15
MENDED_EVERY = 40  # cycles
RESTED_S = 15.0  # in which nothing happens any more: what is to come by itself has come

_metrics: list[Unmeasured] = []


class World:
    """`run` lives it through; a Violation says what went wrong."""

    def __init__(self, seed: int, town: Town = PLAIN) -> None:
        self.town = town
        self.seed, self.rng, self.clock = seed, Random(seed), VirtualClock()
        self.log: list[Execution] = []
        self.evaluations: list[Evaluation] = []
        self.broker = SimBroker(self.clock, Random(seed + 1))
        self.database = Database(self.clock.now, self._database_boundary)
        self.database.teams = list(town.code)
        self.checks = Checks(self.database, self.log, town, self.evaluations)
        self.sources = Sources(lambda: self.clock.seconds, Random(seed + 4))
        self.disks = {team: SimDisk(Random(seed + 2), partial(self.checks.given_up, team)) for team in town.code}
        self.workers: list[SimWorker] = []
        self._ids = count(1)
        self.schedulers = [self._scheduler(name) for name in ("one", "two")]
        self.down: dict[str, float] = {}  # schedulers that are away, until when
        self.frozen: dict[str, float] = {}
        self.database_down_until = self.refused_until = 0.0
        self.armed: dict[str, str] = {}  # what happens at the next boundary of this name
        self.is_healed, self._restless_at = False, 0.0
        self.faults = Faults(self)
        for scheduler in self.schedulers:
            scheduler.copies, scheduler.chunks = self.faults.copies, self.checks.chunks
            scheduler.is_deaf = lambda: self.clock.seconds < self.faults.deaf_until
        self.cycles = self.steps = 0
        self._now_at: SimScheduler | None = None
        self._runs = count(1)

    def run(self) -> None:
        """Lives through trouble, is healed, and comes to rest."""
        with virtual_time(self.clock, Random(self.seed + 3)):
            for team in self.town.code:
                self.add_worker(team)
                self.add_worker(team)
            while self.cycles < CYCLES or self.steps < MIN_STEPS or self.faults.count < MIN_FAULTS:
                self._ask_for_runs()
                self.faults.happen()
                self._cycle(self.rng.choice((0.02, 0.1, 0.3, 0.5, 1.0)))
            self.faults.heal()
            self.is_healed = True
            self.sources.end()
            while self.cycles < MOST_CYCLES and not self._is_at_rest():
                if self.cycles % MENDED_EVERY == 0 and self._is_stuck():
                    self._ask(RunRequest(tuple(self.town.judged), all_partitions=True))
                self._cycle(self.rng.choice((0.5, 2.0, 4.0)))
            self.checks.final(self.clock.seconds)
            self.database.pause()
            while self.cycles < MOST_CYCLES and not self._is_delivered():
                self._cycle(LAST_STRIDE_S)
            for team, disk in self.disks.items():
                self.checks.kept(team, disk.left())
            for worker in self.workers:
                if not worker.is_idle:
                    raise Violation(f"worker {worker.id} still holds attempts or events")

    # -- one cycle -------------------------------------------------------------------------------------------------------

    def _cycle(self, seconds: float) -> None:
        self.cycles += 1
        self.clock.advance(seconds)
        for scheduler in self.schedulers:
            self._turn(scheduler)
        self.faults.look()
        for worker in self.workers:
            worker.turn()
        self.workers = [worker for worker in self.workers if worker.alive]

    def _turn(self, scheduler: SimScheduler) -> None:
        name, now = scheduler.name, self.clock.seconds
        if self.down.get(name, 0.0) > now or self.frozen.get(name, 0.0) > now:
            return
        if self.frozen.pop(name, None) is not None:
            scheduler.send_late()
        self._now_at = scheduler
        try:
            scheduler.turn(self.database.rings())
        except Crashed:
            scheduler.crash()
            self.down[name] = now + self.rng.choice((0.5, 2.0, 8.0))
        except FrozenError:
            scheduler.end_term()
            self.frozen[name] = now + self.rng.choice((1.0, 4.0, 25.0))
        finally:
            self._now_at = None
        if scheduler.defects and isinstance(scheduler.defects[0], Violation):
            raise scheduler.defects[0]
        if scheduler.defects:
            raise Violation(f"the scheduler's term ended by a defect: {scheduler.defects[0]!r}") from scheduler.defects[
                0
            ]

    def _database_boundary(self, place: str) -> None:
        if self.clock.seconds < self.database_down_until:
            raise OutageError(place)
        if place == "db.taken" and self.clock.seconds < self.refused_until:
            raise RefusedError(place)
        self.boundary(place)

    def boundary(self, place: str) -> None:
        """A scheduler is at a place where it may fail."""
        action = self.armed.pop(place, None)
        if action == "crash":
            raise Crashed
        if action == "freeze":
            raise FrozenError
        if action == "outage":
            raise OutageError(place)

    # -- people ------------------------------------------------------------------------------------------------------------

    def _ask_for_runs(self) -> None:
        if self.cycles % 40 == 20:
            asked = self.rng.choice(self.town.requests)
            self._ask(msgspec.structs.replace(asked, max_concurrent=self.rng.choice((None, None, 2))))
        sensors = self.database.sensors
        if sensors and self.rng.random() < 0.01:
            team, name = self.rng.choice(list(sensors))
            self.database.command("evaluate_sensor", team=team, name=name)
        if self.cycles > 60 and self.rng.random() < 0.01:
            running = [row["id"] for row in self.database.runs.values() if row["state"] == "running"]
            if running:
                self.database.command("cancel_run", run_id=self.rng.choice(running))
        self.steps = len(self.database.steps)

    def _ask(self, request: RunRequest) -> None:
        self.database.request(uuid(next(self._runs)), request, {})

    def add_worker(self, team: str) -> SimWorker:
        """A worker process of a team starts."""
        _, code, queues = self.town.code[team]
        worker = SimWorker(
            SETTINGS.name, team, team, queues, SLOTS, code, self.broker, self.clock, Random(self.rng.random()),
            self.disks[team], self._fate, self.log, boundary=self.faults.at_worker if hasattr(self, "faults") else lambda _: None,
            says=self._says, evaluations=self.evaluations,
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def _fate(self, order: StepOrder) -> Fate:
        seconds = self.rng.choice((0.05, 0.2, 1.0, 3.0, 12.0, 45.0))
        outcome = self.rng.choices(("succeeded", "user_error", "runner_lost", "skipped"), (90, 5, 3, 2))[0]
        if order.judged and outcome == "skipped":
            outcome = "succeeded"  # only what makes something may decline to
        checks = self.town.code[order.team][1].checks_of(order)
        failing = frozenset(check.name for check in checks if not self.is_healed and self.rng.random() < CHECKS_FAIL)
        return Fate(seconds, outcome, failing)  # type: ignore[arg-type]

    def _says(self, team: str, message: Evaluate) -> Said:
        if message.kind == "reaction":
            reason = "ok" if self.is_healed or self.rng.random() < 0.7 else "user_error"
            return Said(self.rng.choice((0.05, 0.5, 3.0, 20.0)), reason)
        return self.sources.says(message.name, bytes(message.argument))

    def _is_at_rest(self) -> bool:
        read = all(row["cursor"] == str(self.sources.count) for row in self.database.sensors.values())
        told = all(row["state"] != "waiting" for row in self.database.deliveries.values())
        ended = all(row["state"] not in ("requested", "running") for row in self.database.runs.values())
        if not (read and told and ended):
            self._restless_at = self.clock.seconds
            return False
        return self.clock.seconds - self._restless_at >= (RESTED_S if self.town.eager else 0.0)

    def _is_stuck(self) -> bool:
        """Whether nothing goes on: a check may hold back what others are to load, until it is made again."""
        return bool(self.town.judged) and not any(
            row["state"] in ("dispatched", "running", "retry_wait") for row in self.database.steps.values()
        )

    def _is_delivered(self) -> bool:
        """Whether no worker has anything to tell, and what dead ones left was adopted and is gone."""
        return all(worker.is_idle for worker in self.workers) and all(
            set(disk.left()) <= {worker.id for worker in self.workers} for disk in self.disks.values()
        )

    def _scheduler(self, name: str) -> SimScheduler:
        if not _metrics:
            _metrics.append(Unmeasured())
        rng = Random(f"{self.seed}{name}")
        new_id = lambda: uuid(1_000_000 + next(self._ids))  # noqa: E731
        return SimScheduler(
            name,
            self.database,
            self.broker,
            SETTINGS,
            _metrics[0],
            self.boundary,
            self.checks.sending,
            new_id,
            rng.random,
        )


def live(seed: int, town: Town | None = None) -> dict[str, Counter[object]]:
    """Lives through a world, in the town of its seed or in another; what was met in it. A Violation names what is wrong."""
    world = World(seed, town or town_of(seed))
    world.run()
    return {
        "faults": Counter(world.faults.counts),
        "transitions": Counter(world.checks.transitions),
        "excused": Counter(world.checks.excused),
        "size": Counter({"cycles": world.cycles, "steps": world.steps, "executions": len(world.log)}),
    }
