"""A scheduler process in the simulation: the production loop, reader and writer, stepped by the world instead of by threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import redis

from hedgerow.errors import HedgerowError
from hedgerow.protocol import events as ev
from hedgerow.protocol.envelope import Envelope
from hedgerow.settings.platform import PlatformSettings
from hedgerow_scheduler.dispatch.orders import Publication
from hedgerow_scheduler.dispatch.writer import BrokerWriter, Publish, Task
from hedgerow_scheduler.ingest.inbox import Inbox
from hedgerow_scheduler.ingest.reader import StreamReader
from hedgerow_scheduler.lifecycle.changes import Effects, Measure
from hedgerow_scheduler.observe.metrics import SchedulerMetrics
from hedgerow_scheduler.observe.pictures import Pictures
from hedgerow_scheduler.service.brokers import Brokers
from hedgerow_scheduler.service.care import Care, RehearsedError
from hedgerow_scheduler.service.loop import Loop
from simulation.broker import Link, SimBroker
from simulation.database import Database, OutageError, RefusedError
from simulation.store import SimStore
from simulation.worker import Crashed


class FrozenError(BaseException):
    """The process is stopped at this place; its session in the database is gone when it wakes."""


class Unmeasured(SchedulerMetrics):
    """Metrics that nobody reads: they would take a third of a world's time."""

    def phases(self, **_: float) -> None:
        """Nothing."""

    def take(self, measures: Iterable[Measure]) -> None:
        """Nothing."""

    def stream(self, team: str, lag_s: float, length: int) -> None:
        """Nothing."""

    def counted(self, team: str, what: str, count: int) -> None:
        """Nothing."""


class _Undrawn(Pictures):
    """No gauges either."""

    def draw(self, *_: object) -> None:
        """Nothing."""

    draw_freshness = draw_backfills = draw  # type: ignore[assignment]


class SteppedBrokers(Brokers):
    """The production brokers whose threads never run: the world steps their work."""

    def __init__(self, settings: PlatformSettings, inbox: Inbox, link: Link, sending: Callable[[Task], None]) -> None:
        super().__init__(settings, inbox)
        self.link, self.sending = link, sending
        self.reader = StreamReader(settings.name, "sim", inbox)
        self.writer = Queue(settings.name, inbox)
        self._threads = _Always((self.reader, self.writer))  # type: ignore[assignment]

    def stop(self) -> None:
        """Nothing runs."""

    def now(self, messages: list[Publication]) -> None:
        """Sends messages without waiting for anything, as only a mutant does."""
        self.carry_out(Effects(), messages)
        while self.writer.tasks:
            self.sending(self.writer.tasks[0])
            self.writer.perform(self.writer.tasks.popleft(), self.link)  # type: ignore[arg-type]

    def read(self) -> None:
        """What the reader's thread would do in this moment."""
        try:
            self.reader.turn(self.link)  # type: ignore[arg-type]
        except (redis.RedisError, OSError):
            pass  # tried again in the next turn


class Queue(BrokerWriter):
    """A writer whose tasks wait until the world lets it do them."""

    def __init__(self, deployment: str, inbox: Inbox) -> None:
        super().__init__(deployment, "sim", inbox)
        self.tasks: deque[Task] = deque()

    def do(self, task: Task) -> None:
        """Queues a task."""
        self.tasks.append(task)


class _Always(dict[str, Any]):
    """The same value for every key."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self._value = value

    def __contains__(self, _: object) -> bool:
        return True

    def __missing__(self, _: str) -> Any:
        return self._value


class SimScheduler:
    """One of the processes of which one leads. `boundary` is called between what it records and what it sends."""

    def __init__(
        self,
        name: str,
        database: Database,
        broker: SimBroker,
        settings: PlatformSettings,
        metrics: SchedulerMetrics,
        boundary: Callable[[str], None],
        sending: Callable[[Task], None],
        new_id: Callable[[], str],
        noise: Callable[[], float],
    ) -> None:
        self.name, self.database, self.settings, self.metrics = name, database, settings, metrics
        self.boundary, self.sending, self._new_id, self._noise = boundary, sending, new_id, noise
        self.link = broker.link()
        self.inbox, self.care = Inbox(), Care()
        self.generation = 0
        self.loop: Loop | None = None
        self.brokers: SteppedBrokers | None = None
        self.late: list[Task] = []  # what a frozen one had still to send
        self.terms = 0
        self.defects: list[BaseException] = []
        self.chunks: set[tuple[str, str, int]] = set()  # events that are not kept, by (team, worker, number)
        self.is_deaf: Callable[[], bool] = lambda: False  # its reader stands still
        self.copies: Callable[[], int] = lambda: 1  # how often the next message arrives

    def turn(self, woken: bool) -> None:
        """Leads for one cycle, or tries to."""
        try:
            if self.loop is None:
                self._try_to_lead()
            else:
                self._lead(woken)
        except (OutageError, HedgerowError):
            self.end_term()
        except RehearsedError:
            self.care.rehearsed()
            self.end_term()
        except RefusedError:  # for all that the scheduler knows it may be anyone's fault
            self.care.defect()
            self.end_term()
        except (Crashed, FrozenError):
            raise
        except Exception as error:
            self.defects.append(error)
            self.care.defect()
            self.end_term()

    def crash(self) -> None:
        """Everything in memory is gone."""
        self.inbox, self.care, self.generation = Inbox(), Care(), 0
        self.loop, self.brokers = None, None

    def _try_to_lead(self) -> None:
        epoch = self.database.try_to_lead(self.name)
        if epoch is None:
            return
        self.generation += 1
        self.brokers = SteppedBrokers(self.settings, self.inbox, self.link, self.sending)
        store = SimStore(self.database, epoch)
        self.loop = Loop(
            store,
            self.settings,
            self.inbox,
            self.brokers,
            self.metrics,
            self.generation,
            self.care,
            self._new_id,
            self._noise,
        )
        self.loop._pictures = _Undrawn(self.metrics)
        self.terms += 1
        bodies = self.loop.fold._bodies
        for kind in (ev.ManifestChunk, ev.Evaluated):
            bodies[kind] = self._noting(bodies[kind])

    def _noting(self, take: Callable[[str, Envelope, Any, datetime], None]) -> Callable[..., None]:
        """Notes the numbers of events that are not kept."""

        def note(team: str, envelope: Envelope, body: Any, now: datetime) -> None:
            self.chunks.add((team, envelope.worker, envelope.seq))
            take(team, envelope, body, now)

        return note

    def _lead(self, woken: bool) -> None:
        assert self.loop is not None
        assert self.brokers is not None
        if not self.is_deaf():
            self.brokers.read()
        self.loop.step(woken)
        tasks = self.brokers.writer.tasks
        while tasks:
            try:
                self.boundary("broker.write")
            except FrozenError:
                self.late, self.brokers.writer.tasks = list(tasks), deque()
                raise
            task = tasks.popleft()
            self.sending(task)
            for _ in range(self.copies() if isinstance(task, Publish) else 1):
                self.brokers.writer.perform(task, self.link)  # type: ignore[arg-type]

    def send_late(self) -> None:
        """It wakes up, and its writer goes on with what it had to do."""
        late, self.late = self.late, []
        writer = Queue(self.settings.name, self.inbox)
        for task in late:
            writer.perform(task, self.link)  # type: ignore[arg-type]

    def end_term(self) -> None:
        """What it knew is thrown away."""
        self.loop, self.brokers = None, None
