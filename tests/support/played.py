"""A scheduler on real servers, with the workers of two teams played by the test."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import msgspec
import redis
from sqlalchemy import Engine, text

from hedgerow.manifest import model
from hedgerow.manifest.model import Dependency
from hedgerow.protocol import control, names
from hedgerow.protocol import events as ev
from hedgerow.protocol.envelope import decode_envelope, encode_batch
from hedgerow.protocol.orders import OrderMessage, StepOrder
from hedgerow.protocol.references import Reference
from hedgerow.settings.platform import PlatformSettings, Timings, read_platform
from hedgerow_scheduler.metadata import commands, runs, teams
from hedgerow_scheduler.metadata.database import open_engine
from hedgerow_scheduler.observe.metrics import SchedulerMetrics
from hedgerow_scheduler.planning.request import RunRequest
from hedgerow_scheduler.service.leading import serve
from support.processes import eventually
from support.scheduling import HOUR_MS, Stream, asset, chunks, envelope, manifest, published

SEND_AGAIN_S = 10.0  # as a worker does
RAW = manifest("raw", asset("raw/x"))
SALES = manifest(
    "sales",
    asset("clean", Dependency("raw/x", parameter="x")),
    asset("report", Dependency("clean", parameter="clean")),
    asset("alone"),
)


def settings_of(database_url: str, broker_url: str) -> PlatformSettings:
    """The settings of a deployment `test` on these servers."""
    return read_platform(
        None,
        {
            "HEDGEROW_NAME": "test",
            "HEDGEROW_DATABASE": database_url,
            "HEDGEROW_BROKER": broker_url,
            "HEDGEROW_STORAGE": "/nowhere",
        },
    )


class Worker:
    """What a worker says and does on the broker, one call at a time."""

    def __init__(self, broker: redis.Redis, serves: model.Manifest, name: str = "w1") -> None:
        self.broker, self.serves, self.name, self.team = broker, serves, name, serves.team
        self.outbox = Stream(serves.team, name)
        self.hash = published(serves).hash
        self.holds: dict[str, str] = {}
        self.told: list[control.Control] = []
        self.everyone = [self]
        self._heard = "0-0"
        self._tokens = count(1)
        self._sent_at = time.monotonic()
        self.report(ev.ManifestPublished(self.team, serves.location, self.hash, 1))

    def report(self, *bodies: ev.Event) -> None:
        """Events go into the outbox and onto the stream."""
        self._sent_at = time.monotonic()
        self._write(*self.outbox.add(*bodies))

    def attend(self) -> None:
        """A heartbeat, an answer to whatever the scheduler asks, and once more what nobody has acknowledged for long."""
        if self.outbox.sent and time.monotonic() - self._sent_at > SEND_AGAIN_S:
            self._sent_at = time.monotonic()
            acked = int(self.broker.hget(names.ack_hash("test", self.team), self.name) or 0)  # type: ignore[arg-type]
            self._write(*self.outbox.sent[acked:])
        holds = tuple(ev.Held(attempt, token) for attempt, token in self.holds.items())
        beat = ev.WorkerHeartbeat(self.serves.location, self.hash, ("default",), 4, len(holds), holds=holds)
        self._write(envelope(beat, self.name, 0))
        key = names.control_stream("test", self.team)
        for _, entries in self._read(key):
            for entry_id, fields in entries:
                self._heard = entry_id.decode()
                sent = decode_envelope(fields[b"b"])
                message = msgspec.json.decode(sent.body, type=control.KINDS[sent.kind])
                self.told.append(message)
                if isinstance(message, control.SendManifest) and message.hash == self.hash:
                    self.report(*chunks(self.serves))
                elif isinstance(message, control.ResendEvents) and message.worker in (self.name, "*"):
                    self._write(*self.outbox.sent[message.after_seq :])

    def take(self) -> StepOrder | None:
        """The next order, as Celery's consumer would pop it; None when there is none."""
        queue = names.celery_key_prefix("test", self.team) + names.celery_queue(
            self.serves.location, "default", self.hash
        )
        message = self.broker.rpop(queue)
        if message is None:
            return None
        decoded = json.loads(message)  # type: ignore[arg-type]
        assert decoded["headers"]["task"] == names.CELERY_TASK
        ((body,), _, _) = json.loads(base64.b64decode(decoded["body"]))
        (order,) = msgspec.json.decode(body, type=OrderMessage).orders
        return order

    def awaited(self, step: str = "") -> StepOrder:
        """The next order once it is there, which is that for the computation `step` if one is named."""

        def look() -> StepOrder | None:
            for worker in self.everyone:
                worker.attend()
            return self.take()

        order = eventually(look, what=f"an order for {step or self.team}")
        assert order is not None
        assert order.computation == step or not step
        return order

    def begin(self, order: StepOrder) -> bool:
        """Takes the claim and says so; False when the scheduler was quicker."""
        token = f"{self.name}:{next(self._tokens)}"
        key = names.claim_key("test", self.team, order.attempt_id)
        if self.broker.set(key, token, nx=True, get=True, px=60_000) not in (None, token.encode()):
            return False
        self.holds[order.attempt_id] = token
        self.report(ev.AttemptStarted(order.attempt_id, token))
        return True

    def finish(self, order: StepOrder, code_version: str = "") -> None:
        """Everything was written."""
        token = self.holds.pop(order.attempt_id)
        made = [
            ev.AssetMaterialized(
                order.attempt_id,
                key,
                token,
                None,
                Reference(f"{order.output}/{key}/{order.attempt_id}", "json"),
                code_version=code_version,
            )
            for key in order.assets
        ]
        self.report(*made, ev.AttemptSucceeded(order.attempt_id, token, HOUR_MS))

    def do(self, step: str) -> StepOrder:
        """Waits for a step and makes it."""
        order = self.awaited(step)
        assert self.begin(order)
        self.finish(order)
        return order

    def _write(self, *envelopes: bytes) -> None:
        if envelopes:
            self.broker.xadd(names.events_stream("test", self.team), {b"b": encode_batch(list(envelopes))})

    def _read(self, key: str) -> list[Any]:
        answer: Any = self.broker.xread({key: self._heard})
        return list(answer.items()) if isinstance(answer, dict) else list(answer or ())


class Platform:
    """Servers, a scheduler that can be started and stopped, and the workers of two teams."""

    def __init__(
        self, settings: PlatformSettings, engine: Engine, broker: redis.Redis, sales: model.Manifest = SALES
    ) -> None:
        self.settings, self.engine, self.broker = settings, engine, broker
        with engine.begin() as connection:
            teams.register(connection, ["raw", "sales"])
        self.raw, self.sales = Worker(broker, RAW), Worker(broker, sales)
        self.raw.everyone = self.sales.everyone = [self.raw, self.sales]

    @contextmanager
    def scheduling(self, holder: str = "one", timings: Timings | None = None) -> Iterator[SchedulerMetrics]:
        """A scheduler for the length of the block."""
        settings = msgspec.structs.replace(self.settings, timings=timings) if timings else self.settings
        stopping, metrics = threading.Event(), SchedulerMetrics()
        engine = open_engine(self.settings.database, pool_size=2, leader=True, name=holder)
        thread = threading.Thread(target=serve, args=(engine, settings, metrics, holder, stopping), daemon=True)
        thread.start()
        try:
            yield metrics
        finally:
            stopping.set()
            thread.join(20)
            engine.dispose()
        assert not thread.is_alive()

    def attend(self) -> None:
        """All workers attend."""
        for worker in (self.raw, self.sales):
            worker.attend()

    def deployed(self) -> None:
        """Waits until both manifests are in force."""

        def all_in_force() -> bool:
            self.attend()
            return len(self.rows("SELECT 1 FROM locations WHERE manifest_hash IS NOT NULL")) == 2

        eventually(all_in_force, what="both manifests are in force")

    def launch(self, *selection: str) -> str:
        """Launches a run; its id."""
        with self.engine.begin() as connection:
            return runs.request_run(connection, RunRequest(selection), {}, "ann")[0]

    def command(self, kind: str, run_id: str) -> None:
        """Writes a command about a run."""
        with self.engine.begin() as connection:
            commands.write(connection, kind, {"run_id": run_id}, "ann")

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the database answers."""
        with self.engine.begin() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    def ended(self, run_id: str) -> str:
        """The state in which a run has ended, while its workers attend."""

        def look() -> str:
            self.attend()
            ((state,),) = self.rows(f"SELECT state FROM runs WHERE id = '{run_id}'")
            return state if state not in ("requested", "running") else ""

        return eventually(look, what="the run has ended")

    def until(self, statement: str, *expected: tuple[Any, ...]) -> None:
        """Waits until a query answers so, while the workers attend."""

        def look() -> bool:
            self.attend()
            return self.rows(statement) == list(expected)

        eventually(look, what=f"{statement} gives {expected}")


@contextmanager
def played(settings: PlatformSettings, sales: model.Manifest = SALES) -> Iterator[Platform]:
    """The platform for the length of the block; `sales` is what that team declares."""
    engine = open_engine(settings.database)
    with redis.Redis.from_url(settings.broker) as broker:
        yield Platform(settings, engine, broker, sales)
    engine.dispose()
