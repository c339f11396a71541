"""A scheduler for tests of the worker: sends orders as the real one does, reads and acknowledges events, keeps them all."""

from __future__ import annotations

import base64
import json
import os
import socket
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import msgspec
import redis

from hedgerow import clock
from hedgerow.protocol import control, names
from hedgerow.protocol.envelope import (
    WIRE_VERSION,
    Envelope,
    decode_envelope,
    encode_body,
    encode_envelope,
    split_batch,
)
from hedgerow.protocol.events import KINDS, STREAM_FIELD
from hedgerow.protocol.orders import OrderMessage, StepOrder
from support.processes import eventually, running

DEPLOYMENT = "tests"
TEAM = "sales"
FAKE_RUNNER = Path(__file__).with_name("fake_runner.py")


class FakeScheduler:
    """`events` holds (envelope, body) of every accepted event in order; heartbeats are in `heartbeats`."""

    def __init__(self, url: str) -> None:
        self.redis = redis.Redis.from_url(url)
        self.events: list[tuple[Envelope, Any]] = []
        self.heartbeats: list[tuple[str, Any]] = []
        self.acked: dict[str, int] = {}
        self.acknowledging = True
        self.cursor = "0"

    def read(self) -> None:
        """Takes in what is on the stream: next numbers only, as the ingestor does."""
        stream = names.events_stream(DEPLOYMENT, TEAM)
        for _, entries in self.redis.xread({stream: self.cursor}, count=500) or []:
            for entry_id, fields in entries:
                self.cursor = entry_id
                for raw in split_batch(fields[STREAM_FIELD]):
                    envelope = decode_envelope(raw)
                    body = msgspec.json.decode(envelope.body, type=KINDS[envelope.kind])
                    if envelope.seq == 0:
                        self.heartbeats.append((envelope.worker, body))
                    elif envelope.seq == self.acked.get(envelope.worker, 0) + 1:
                        self.acked[envelope.worker] = envelope.seq
                        self.events.append((envelope, body))
        if self.acked and self.acknowledging:
            self.redis.hset(names.ack_hash(DEPLOYMENT, TEAM), mapping=self.acked)

    def find(self, kind: str, attempt_id: str | None = None) -> list[Any]:
        """The bodies of this kind, of this attempt, that came so far."""
        self.read()
        return [
            body
            for envelope, body in self.events
            if envelope.kind == kind and attempt_id in (None, getattr(body, "attempt_id", None))
        ]

    def await_event(self, kind: str, attempt_id: str | None = None, within: float = 20.0) -> Any:
        """The first such event."""
        return eventually(lambda: self.find(kind, attempt_id), within=within, what=f"{kind} of {attempt_id}")[0]

    def await_end(self, attempt_id: str, within: float = 20.0) -> Any:
        """How the attempt ended."""
        kinds = ("attempt_succeeded", "attempt_failed", "attempt_skipped")
        return eventually(
            lambda: [body for kind in kinds for body in self.find(kind, attempt_id)], within=within, what="an end"
        )[0]

    def kinds_of(self, attempt_id: str) -> list[str]:
        """The kinds of the attempt's events, in order."""
        self.read()
        return [envelope.kind for envelope, body in self.events if getattr(body, "attempt_id", "") == attempt_id]

    def await_manifest(self) -> str:
        """The hash of the newest manifest published, once a worker is ready for it."""
        published = self.await_event("manifest_published", within=30.0)
        eventually(lambda: self.read() or [each for each in self.heartbeats if each[1].state == "ready"], what="ready")
        return str(published.hash)

    def order(self, manifest: str, computation: str, **changes: Any) -> StepOrder:
        """An order for the fake runner that may start within 30 s."""
        return StepOrder(
            **{
                "deployment": DEPLOYMENT,
                "team": TEAM,
                "location": TEAM,
                "queue": "default",
                "run_id": "run-1",
                "step": computation,
                "attempt_id": str(uuid.uuid4()),
                "attempt": 1,
                "manifest": manifest,
                "computation": computation,
                "assets": (computation,),
                "start_before_ms": clock.now_ms() + 30_000,
                **changes,
            }
        )

    def send(self, *orders: StepOrder, manifest: str | None = None) -> None:
        """One Celery message with these orders, on the queue of their manifest."""
        text = msgspec.json.encode(OrderMessage(orders)).decode()
        body = json.dumps([[text], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
        identity = str(uuid.uuid4())
        queue = names.celery_queue(orders[0].location, orders[0].queue, manifest or orders[0].manifest)
        message = {
            "body": base64.b64encode(body.encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": names.CELERY_TASK,
                "id": identity,
                "root_id": identity,
                "parent_id": None,
                "group": None,
                "retries": 0,
                "timelimit": [None, None],
                "eta": None,
                "expires": None,
                "argsrepr": "",
                "kwargsrepr": "",
                "origin": "tests",
            },
            "properties": {
                "correlation_id": identity,
                "delivery_mode": 1,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": identity,
            },
        }
        self.redis.lpush(names.celery_key_prefix(DEPLOYMENT, TEAM) + queue, json.dumps(message))

    def run(self, manifest: str, computation: str, **changes: Any) -> StepOrder:
        """Sends one order and returns it."""
        order = self.order(manifest, computation, **changes)
        self.send(order)
        return order

    def say(self, message: control.Control) -> None:
        """A control message to all workers of the team."""
        envelope = Envelope(clock.uuid7(), control.KIND_OF[type(message)], WIRE_VERSION, encode_body(message))
        self.redis.xadd(names.control_stream(DEPLOYMENT, TEAM), {STREAM_FIELD: encode_envelope(envelope)})


def fake_location(root: Path) -> Path:
    """A code location of the team whose interpreter is the fake runner."""
    root.mkdir(parents=True, exist_ok=True)
    interpreter = root / "python"
    interpreter.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE_RUNNER}"\n')
    interpreter.chmod(0o755)
    (root / "hedgerow.toml").write_text(f'[team]\nname = "{TEAM}"\n\n[code]\nmodules = ["any"]\npython = "python"\n')
    return root


def worker_environment(location: Path, broker: str) -> dict[str, str]:
    """The environment of a worker whose deployment is of tests, with short times."""
    return {
        **os.environ,
        "HEDGEROW_NAME": DEPLOYMENT,
        "HEDGEROW_BROKER": broker,
        "HEDGEROW_STORAGE": str(location / "storage"),
        "HEDGEROW_HEARTBEAT_S": "0.5",
        "HEDGEROW_LEASE_S": "4",
        "HEDGEROW_GRACE_S": "6",
    }


@contextmanager
def running_worker(
    location: Path,
    broker: str,
    *,
    slots: int = 2,
    environ: Mapping[str, str] | None = None,
    arguments: tuple[str, ...] = (),
) -> Iterator[Popen[bytes]]:
    """`hedgerow worker` for the location; its state is in `.hedgerow` and its output in `worker.log` there."""
    code = "import sys; from hedgerow_workers.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, str(location), "--slots", str(slots), *arguments]
    variables = {**worker_environment(location, broker), **(environ or {})}
    with running(command, log=location / "worker.log", environ=variables) as process:
        yield process


def log_of(location: Path) -> str:
    """What the location's workers printed."""
    return (location / "worker.log").read_text()


def free_port() -> int:
    """A port of this machine that no one listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
