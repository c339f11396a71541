"""Live tails of running attempts, as the worker writes them to the broker."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from hedgerow.protocol import names
from hedgerow.protocol.events import LOG_OFFSET_FIELD, STREAM_FIELD
from hedgerow_scheduler.api.logs import Logs
from hedgerow_scheduler.metadata.read_runs import Attempt

pytestmark = pytest.mark.servers
ID = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
NOW = datetime(2024, 5, 1, tzinfo=UTC)


def attempt(state: str = "running", log: str = "") -> Attempt:
    return Attempt(
        id=ID, step_number=3, number=2, state=state, team="sales", queue="default", manifest_hash="", worker="", dispatched_at=NOW,
        started_at=NOW, ended_at=None, error=None, log=log,
    )  # fmt: skip


@pytest.fixture
def broker(broker_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(broker_url) as client:
        yield client


def write(broker: redis.Redis, count: int, drop: int = 0) -> str:
    """A tail of `count` numbered lines, the first `drop` gone; the whole text."""
    lines = [f"line {number:04}\n" for number in range(count)]
    for number, line in enumerate(lines[drop:], drop):
        entry = {STREAM_FIELD: line.encode(), LOG_OFFSET_FIELD: str(number * len(line)).encode()}
        broker.xadd(names.log_stream("dev", "sales", ID), entry)
    return "".join(lines)


def test_a_tail_is_read_from_where_the_reader_stopped(broker: redis.Redis, broker_url: str, tmp_path: Path) -> None:
    whole = write(broker, 120)
    logs = Logs("dev", str(tmp_path), lambda _: broker_url)
    first = logs.read(attempt(), 0, 1 << 20)
    assert (first.source, first.text, first.next_offset) == ("live", whole, len(whole))
    assert logs.read(attempt(), 15, 1 << 20).text == whole[15:]
    assert logs.read(attempt(), len(whole), 1 << 20).text == ""


def test_a_tail_whose_beginning_is_gone_says_so(broker: redis.Redis, broker_url: str, tmp_path: Path) -> None:
    whole = write(broker, 20, drop=5)
    read = Logs("dev", str(tmp_path), lambda _: broker_url).read(attempt(), 0, 1 << 20)
    assert (read.offset, read.text) == (50, whole[50:])


def test_of_a_long_tail_the_end_is_shown(broker: redis.Redis, broker_url: str, tmp_path: Path) -> None:
    whole = write(broker, 200)
    read = Logs("dev", str(tmp_path), lambda _: broker_url).read(attempt(), 0, 100)
    assert (read.text, read.next_offset) == (whole[-100:], len(whole))


def test_a_stored_log_is_read_in_parts_and_only_from_its_team_s_place(broker_url: str, tmp_path: Path) -> None:
    place = tmp_path / "_logs" / "sales" / "run" / "a.log"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"0123456789")
    logs = Logs("dev", str(tmp_path), lambda _: broker_url)
    part = logs.read(attempt("succeeded", str(place)), 2, 3)
    assert (part.text, part.offset, part.next_offset, part.more) == ("234", 2, 5, True)
    for elsewhere in ("/etc/hostname", f"{tmp_path}/_logs/sales/../ml/x.log", f"{tmp_path}/_logs/ml/x.log"):
        read = logs.read(attempt("succeeded", elsewhere), 0, 100)
        assert (read.source, read.text) == ("none", "")


def test_a_broker_that_is_away_costs_the_tail_only(tmp_path: Path) -> None:
    read = Logs("dev", str(tmp_path), lambda _: "redis://127.0.0.1:1/0").read(attempt(), 0, 100)
    assert (read.source, read.text) == ("none", "")
    assert read.note
