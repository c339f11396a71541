"""A worker and a scheduler get to know each other: what the worker serves is in force soon after it began to serve."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.locations import TWO_ASSETS, write_location
from support.processes import eventually, python, running
from support.worker_bench import DEPLOYMENT, TEAM, FakeScheduler, fake_location, log_of, running_worker

from hedgerow.protocol import control, names
from hedgerow.protocol.envelope import WIRE_VERSION, Envelope, encode_body, encode_envelope
from hedgerow.protocol.events import STREAM_FIELD
from hedgerow_scheduler.embedded.probes import Metadata

pytestmark = [pytest.mark.servers, pytest.mark.processes]

# Less than the time after which a scheduler asks again: what is said first has to be heard.
SOON_S = 4.0


@pytest.fixture
def metadata(database_url: str, broker_url: str, tmp_path: Path) -> Iterator[Metadata]:
    """Of a platform whose scheduler leads and knows no team."""
    environ = {
        **os.environ,
        "HEDGEROW_NAME": DEPLOYMENT,
        "HEDGEROW_DATABASE": database_url,
        "HEDGEROW_BROKER": broker_url,
        "HEDGEROW_STORAGE": str(tmp_path / "storage"),
    }
    command = python("-m", "hedgerow_scheduler.service.main", "--root", tmp_path)
    metadata = Metadata(database_url)
    with running(command, log=tmp_path / "scheduler.log", environ=environ):
        eventually(lambda: "leading" in (tmp_path / "scheduler.log").read_text(), within=20)
        yield metadata
    metadata.close()


def test_five_workers_of_new_teams_are_heard_each_at_once(metadata: Metadata, broker_url: str, tmp_path: Path) -> None:
    for number in range(5):
        location = write_location(tmp_path / f"team{number}", f"team{number}", _assets_of(number))
        metadata.register([f"team{number}"])
        # No second heartbeat comes before it must have been heard.
        seldom = {"HEDGEROW_HEARTBEAT_S": "9", "HEDGEROW_LEASE_S": "20"}
        with running_worker(location, broker_url, environ=seldom) as worker:
            eventually(lambda location=location: "ready:" in log_of(location), within=20)
            eventually(lambda pid=worker.pid: metadata.hears([pid]), within=SOON_S, what=f"worker {number} is heard")


def _assets_of(number: int) -> str:
    return TWO_ASSETS.replace("numbers", f"numbers{number}").replace("total", f"total{number}")


def test_a_worker_hears_all_that_is_said_after_its_first_sign_of_life_and_nothing_from_before(
    broker_url: str, tmp_path: Path
) -> None:
    location = fake_location(tmp_path / "sales")
    scheduler = FakeScheduler(broker_url)
    stream = names.control_stream(DEPLOYMENT, TEAM)
    # The broker's clock is far behind the worker's.
    for _ in range(1500):
        scheduler.redis.xadd(stream, {STREAM_FIELD: b"not a message"}, id="1-*")
    with running_worker(location, broker_url):
        manifest = scheduler.await_event("manifest_published").hash
        envelope = Envelope("", "send_manifest", WIRE_VERSION, encode_body(control.SendManifest(manifest)))
        scheduler.redis.xadd(stream, {STREAM_FIELD: encode_envelope(envelope)}, id="1-*")
        assert scheduler.await_event("manifest_chunk", within=SOON_S).hash == manifest
    assert "can't be read" not in log_of(location)
