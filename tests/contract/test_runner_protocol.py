"""The documented runner protocol: its example is what we speak, and a runner without Hedgerow passes as one of ours."""

from __future__ import annotations

import hashlib
import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hedgerow.errors import CODES
from hedgerow.manifest.model import Manifest
from hedgerow.protocol.envelope import WIRE_VERSION, Envelope, decode_envelope, encode_body, encode_envelope
from hedgerow.protocol.events import KINDS as EVENT_KINDS
from hedgerow.protocol.events import AssetMaterialized, AttemptFailed, AttemptSucceeded
from hedgerow.protocol.orders import StepOrder
from hedgerow.protocol.runner import KIND_OF, Execute, Load, Loaded
from hedgerow.protocol.runner import KINDS as RUNNER_KINDS
from hedgerow.storage import Reader, load

DOCS = Path(__file__).parents[2] / "docs" / "reference"
PAGE = (DOCS / "runner-protocol.md").read_text()
FRAMES = [
    (line[0], line[2:].encode())
    for line in re.search(r"```transcript\n(.*?)```", PAGE, re.DOTALL).group(1).splitlines()  # type: ignore[union-attr]
]
KINDS: dict[str, Any] = {**EVENT_KINDS, **RUNNER_KINDS}


@pytest.mark.parametrize(
    ("sender", "frame"), FRAMES, ids=lambda part: "" if isinstance(part, str) else part[55:90].decode()
)
def test_each_frame_of_the_example_is_a_message_we_speak(sender: str, frame: bytes) -> None:
    envelope = decode_envelope(frame)
    assert envelope.v == WIRE_VERSION
    assert (sender == ">") == (envelope.kind in ("load", "execute"))
    body = msgspec.json.decode(envelope.body, type=KINDS[envelope.kind])
    # Nothing in the example is misspelt or left over: all that it says survives our own types.
    assert msgspec.json.decode(encode_body(body)).items() >= msgspec.json.decode(envelope.body).items()


def test_the_example_is_a_conversation_that_the_rules_allow() -> None:
    kinds = [decode_envelope(frame).kind for _, frame in FRAMES]
    assert kinds == [
        "load", "loaded", "execute", "asset_materialized", "check_evaluated", "attempt_succeeded", "execute", "attempt_failed",
    ]  # fmt: skip
    loaded = msgspec.json.decode(decode_envelope(FRAMES[1][1]).body, type=Loaded)
    assert hashlib.sha256(loaded.manifest.encode()).hexdigest() == loaded.hash
    assert msgspec.json.decode(loaded.manifest, type=Manifest).team == "visitors"
    size = len(FRAMES[0][1])
    assert f"`00 00 00 {size:02x}`, since it has {size} bytes" in PAGE


def test_every_error_code_that_the_page_names_exists() -> None:
    assert set(re.findall(r"HR-[A-Z]\d{3}", PAGE)) <= set(CODES)


class Worker:
    """The worker's end of a runner started as an executable, as `[code] python` names it."""

    def __init__(self, executable: Path, folder: Path) -> None:
        orders_read, self.orders = os.pipe()
        self.events, events_write = os.pipe()
        environment = {**os.environ, "HEDGEROW_ORDERS_FD": str(orders_read), "HEDGEROW_EVENTS_FD": str(events_write)}
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(executable), "-m", "hedgerow.runner"],
            env=environment,
            cwd=folder,
            pass_fds=(orders_read, events_write),
            start_new_session=True,
        )
        os.close(orders_read)
        os.close(events_write)

    def send(self, body: Any) -> None:
        data = encode_envelope(Envelope("1", KIND_OF[type(body)], WIRE_VERSION, encode_body(body)))
        os.write(self.orders, len(data).to_bytes(4, "big") + data)

    def receive(self) -> Any:
        size = int.from_bytes(self._read(4), "big")
        envelope = decode_envelope(self._read(size))
        return msgspec.json.decode(envelope.body, type=KINDS[envelope.kind])

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            assert select.select([self.events], [], [], 30)[0], "the runner says nothing"
            chunk = os.read(self.events, size - len(data))
            assert chunk, "the runner has ended"
            data += chunk
        return data

    def close(self) -> int:
        os.close(self.orders)
        os.close(self.events)
        return self.process.wait(30)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    one = Worker(DOCS / "minimal_runner.py", tmp_path)
    yield one
    if one.process.poll() is None:
        one.process.kill()
        one.process.wait()


def test_a_runner_without_hedgerow_loads_executes_and_ends(worker: Worker, tmp_path: Path) -> None:
    assert "hedgerow" not in re.findall(
        r"^(?:import|from) (\w+)", (DOCS / "minimal_runner.py").read_text(), re.MULTILINE
    )
    worker.send(Load(str(tmp_path / "hedgerow.toml")))
    loaded = worker.receive()
    assert loaded.hash == hashlib.sha256(loaded.manifest.encode()).hexdigest()
    assert [asset.key for asset in msgspec.json.decode(loaded.manifest, type=Manifest).assets] == ["greeting"]

    order = StepOrder(
        "dev", "visitors", "visitors", "default", "r", "greeting", "a1", 1, loaded.hash, "greeting", ("greeting",),
        output=f"file://{tmp_path}/out",
    )  # fmt: skip
    worker.send(Execute(order, str(tmp_path / "log")))
    output, end = worker.receive(), worker.receive()
    assert isinstance(output, AssetMaterialized)
    assert isinstance(end, AttemptSucceeded)
    assert load((output.reference,), str, Reader("greeting")) == "hello, world"
    assert (tmp_path / "log").read_text() == "greeting the world\n"

    worker.send(Execute(msgspec.structs.replace(order, assets=("other",))))
    failed = worker.receive()
    assert isinstance(failed, AttemptFailed)
    assert failed.reason == "bad_order"
    assert worker.close() == 0
