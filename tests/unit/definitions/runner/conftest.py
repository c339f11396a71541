"""A worker's end of a real runner process: starts it for some team code, sends orders, reads what comes back."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hedgerow import clock
from hedgerow.protocol.envelope import WIRE_VERSION, Envelope, decode_envelope, encode_body, encode_envelope
from hedgerow.protocol.events import KINDS as EVENT_KINDS
from hedgerow.protocol.events import AssetMaterialized, AttemptFailed, CheckEvaluated
from hedgerow.protocol.orders import StepOrder
from hedgerow.protocol.runner import KIND_OF, KINDS, Execute, Load, Loaded, LoadFailed

DEADLINE_S = 30.0
TERMINAL = {"attempt_succeeded", "attempt_failed", "attempt_skipped"}


class RunnerEnded(Exception):
    pass


class RunnerProcess:
    """A runner for the location in `root`, whose module `team.py` holds `code`."""

    def __init__(self, root: Path, code: str) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        (root / "hedgerow.toml").write_text('[team]\nname = "sales"\n[code]\nmodules = ["team"]\n')
        (root / "team.py").write_text("import hedgerow as hr\n" + textwrap.dedent(code))
        self.log = root / "step.log"
        self.output = root / "out"
        orders_read, self.orders = os.pipe()
        self.events, events_write = os.pipe()
        self.boot_log = root / "boot.log"
        with self.boot_log.open("wb") as boot:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hedgerow.runner"],
                env={**os.environ, "HEDGEROW_ORDERS_FD": str(orders_read), "HEDGEROW_EVENTS_FD": str(events_write)},
                cwd=root,
                stdin=subprocess.DEVNULL,
                stdout=boot,
                stderr=boot,
                pass_fds=(orders_read, events_write),
                start_new_session=True,
            )
        os.close(orders_read)
        os.close(events_write)
        self.buffer = b""
        self.manifest = ""

    def send(self, body: Any) -> None:
        envelope = Envelope(clock.uuid7(), KIND_OF[type(body)], WIRE_VERSION, encode_body(body))
        self.send_raw(encode_envelope(envelope))

    def send_raw(self, data: bytes) -> None:
        os.write(self.orders, len(data).to_bytes(4, "big") + data)

    def receive(self) -> tuple[str, Any]:
        deadline = time.monotonic() + DEADLINE_S
        while len(self.buffer) < 4 or len(self.buffer) < 4 + int.from_bytes(self.buffer[:4], "big"):
            ready, _, _ = select.select([self.events], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"the runner says nothing; it printed: {self.boot_log.read_text()}"
            chunk = os.read(self.events, 1 << 20)
            if not chunk:
                raise RunnerEnded(self.boot_log.read_text())
            self.buffer += chunk
        end = 4 + int.from_bytes(self.buffer[:4], "big")
        envelope = decode_envelope(self.buffer[4:end])
        self.buffer = self.buffer[end:]
        return envelope.kind, msgspec.json.decode(envelope.body, type={**KINDS, **EVENT_KINDS}[envelope.kind])

    def load(self) -> Loaded | LoadFailed:
        self.send(Load(str(self.root / "hedgerow.toml")))
        _, body = self.receive()
        if isinstance(body, Loaded):
            self.manifest = body.hash
        assert isinstance(body, (Loaded, LoadFailed))
        return body

    def order(self, *assets: str, **fields: Any) -> StepOrder:
        plain = {
            "deployment": "dev", "team": "sales", "location": "sales", "queue": "default", "run_id": "r1", "step": "s1",
            "attempt_id": clock.uuid7(), "attempt": 1, "manifest": self.manifest, "computation": assets[0],
            "assets": assets, "output": f"file://{self.output}",
        }  # fmt: skip
        return StepOrder(**{**plain, **fields})

    def begin(self, *assets: str, **fields: Any) -> None:
        self.send(Execute(self.order(*assets, **fields), str(self.log)))

    def finish(self) -> list[Any]:
        """The bodies of all events up to the terminal one, which comes last."""
        bodies = []
        while True:
            kind, body = self.receive()
            bodies.append(body)
            if kind in TERMINAL:
                return bodies

    def execute(self, *assets: str, **fields: Any) -> list[Any]:
        self.begin(*assets, **fields)
        return self.finish()

    def logged(self) -> str:
        return self.log.read_text()

    def wait(self) -> int:
        return self.process.wait(DEADLINE_S)

    def close(self) -> None:
        for descriptor in (self.orders, self.events):
            try:
                os.close(descriptor)
            except OSError:
                pass
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


Start = Callable[[str], RunnerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a runner whose location has this code, without loading it."""
    started: list[RunnerProcess] = []

    def begin(code: str) -> RunnerProcess:
        started.append(RunnerProcess(tmp_path / f"location{len(started)}", code))
        return started[-1]

    yield begin
    for runner in started:
        runner.close()


@pytest.fixture
def loaded(start: Start) -> Start:
    """Starts a runner and has it load the code."""

    def begin(code: str) -> RunnerProcess:
        runner = start(code)
        answer = runner.load()
        assert isinstance(answer, Loaded), answer
        return runner

    return begin


@pytest.fixture
def failure() -> Callable[[list[Any]], AttemptFailed]:
    """The failure that the events end with."""

    def last(events: list[Any]) -> AttemptFailed:
        assert isinstance(events[-1], AttemptFailed), events
        return events[-1]

    return last


@pytest.fixture
def materialized() -> Callable[[list[Any]], dict[str, AssetMaterialized]]:
    """The materializations among events, by asset."""
    return lambda events: {body.asset: body for body in events if isinstance(body, AssetMaterialized)}


@pytest.fixture
def verdicts() -> Callable[[list[Any]], dict[str, CheckEvaluated]]:
    """The verdicts among events, by check."""
    return lambda events: {body.check: body for body in events if isinstance(body, CheckEvaluated)}
