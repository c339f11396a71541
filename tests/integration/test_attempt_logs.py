"""Live tails of running attempts, from the worker over the broker to whoever asks; and what is said where lines are missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from hedgerow.protocol import names
from hedgerow.protocol.logs import TailEntry
from hedgerow.protocol.orders import StepOrder
from hedgerow_scheduler.api.logs import AttemptLog, Logs
from hedgerow_scheduler.metadata.read_runs import Attempt
from hedgerow_workers import log_tail
from hedgerow_workers.attempts import Attempt as Held
from hedgerow_workers.attempts import Attempts
from hedgerow_workers.broker import BrokerErrors
from hedgerow_workers.log_tail import LogFollower
from hedgerow_workers.metrics import Metrics

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
        fields: dict[Any, Any] = {**TailEntry(number * len(line), line.encode(), number).fields()}
        broker.xadd(names.log_stream("dev", "sales", ID), fields)
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
    assert read.text == "… 5 lines dropped here: the live tail holds them no longer\n" + whole[50:]
    assert (read.offset, read.next_offset, read.dropped_lines, read.dropped_bytes) == (50, len(whole), 5, 50)


def test_of_a_long_tail_the_end_is_shown(broker: redis.Redis, broker_url: str, tmp_path: Path) -> None:
    whole = write(broker, 200)
    read = Logs("dev", str(tmp_path), lambda _: broker_url).read(attempt(), 0, 100)
    assert read.text == "… 190 lines dropped here: one answer holds no more\n" + whole[-100:]
    assert (read.next_offset, read.dropped_lines) == (len(whole), 190)


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


class Followed:
    """An attempt of a worker, which prints into its spool; `send` is one turn of the worker's follower."""

    def __init__(self, broker_url: str, folder: Path) -> None:
        order = StepOrder("dev", "sales", "sales", "default", "run", "step", ID, 1, "manifest", "a", ("a",))
        attempt, attempts = Held(order, "token"), Attempts()
        attempt.started_at = 0.0
        attempt.log_path = str(folder / "spool")
        attempts.add(attempt)
        self.spool = folder / "spool"
        self.metrics = Metrics(1)
        self.client = redis.Redis.from_url(broker_url)
        self.follower = LogFollower(self.client, "dev", "sales", attempts, self.metrics.lines_dropped)
        self.logs = Logs("dev", str(folder), lambda _: broker_url)

    def print(self, *lines: str) -> None:
        with self.spool.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    def send(self, turns: int = 1) -> None:
        for _ in range(turns):
            self.follower.follow(10.0)

    def read(self, offset: int = 0) -> AttemptLog:
        return self.logs.read(attempt(), offset, 1 << 20)


@pytest.fixture
def followed(broker_url: str, tmp_path: Path) -> Followed:
    return Followed(broker_url, tmp_path)


def test_what_a_broker_does_not_take_for_a_while_comes_later_and_nothing_is_missing(followed: Followed) -> None:
    followed.print("one")
    followed.send()
    limit = followed.client.config_get("maxmemory")["maxmemory"]
    followed.client.config_set("maxmemory", 1)
    try:
        followed.print("two")
        with pytest.raises(BrokerErrors):
            followed.send()
    finally:
        followed.client.config_set("maxmemory", limit)
    followed.print("three")
    followed.send()
    assert followed.read().text == "one\ntwo\nthree\n"
    assert followed.read().dropped_bytes == 0


def test_what_is_printed_while_the_broker_is_away_for_long_is_counted_and_named(followed: Followed) -> None:
    followed.print("before")
    followed.send()
    limit = followed.client.config_get("maxmemory")["maxmemory"]
    followed.client.config_set("maxmemory", 1)
    try:
        for _ in range(3):
            followed.print(*(f"meanwhile {number:06}" for number in range(50_000)))
            with pytest.raises(BrokerErrors):
                followed.send()
    finally:
        followed.client.config_set("maxmemory", limit)
    followed.send(80)
    seen = followed.read()
    lines = seen.text.splitlines()
    kept = len(lines) - 2
    assert lines[:2] == ["before", f"… {150_000 - kept:,} lines dropped here: the broker could not be reached"]
    assert lines[-1] == "meanwhile 049999"
    assert seen.dropped_lines == followed.metrics.log_lines_dropped["broker"] == 150_000 - kept
    assert seen.next_offset == followed.spool.stat().st_size
    followed.print("after")
    followed.send()
    assert followed.read(seen.next_offset).text == "after\n"


def test_who_prints_faster_than_is_sent_is_shown_the_end_and_told_how_much_is_missing(followed: Followed) -> None:
    followed.print(*(f"line {number:06}" for number in range(400_000)))
    followed.send(2)
    read = followed.read()
    marker, *lines = read.text.splitlines()
    assert marker == f"… {400_000 - len(lines):,} lines dropped here: more is printed than is shown live"
    assert lines[-1] == "line 399999"
    assert followed.metrics.log_lines_dropped["rate"] == read.dropped_lines == 400_000 - len(lines)


def test_what_the_capped_stream_has_trimmed_is_counted_in_front_of_the_rest(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_tail, "MAX_ENTRIES", 50)
    for number in range(400):
        followed.print(f"line {number}")
        followed.send()
    read = followed.read()
    marker, *lines = read.text.splitlines()
    assert 50 <= len(lines) < 400
    assert marker == f"… {400 - len(lines)} lines dropped here: the live tail holds them no longer"
    assert lines == [f"line {number}" for number in range(400 - len(lines), 400)]


def test_a_broker_that_forgets_in_the_middle_loses_lines_and_not_their_number(followed: Followed) -> None:
    for number in range(6):
        followed.print(f"line {number}")
        followed.send()
    stream = names.log_stream("dev", "sales", ID)
    lost = [entry for entry, _ in followed.client.xrange(stream)][2:5]
    followed.client.xdel(stream, *lost)
    assert followed.read().text == "line 0\nline 1\n… 3 lines dropped here: the broker has lost them\nline 5\n"
    followed.client.delete(stream)
    followed.print("line 6")
    followed.send()
    assert followed.read().text == "… 6 lines dropped here: the live tail holds them no longer\nline 6\n"


def test_a_line_longer_than_an_entry_is_not_cut(followed: Followed) -> None:
    long = "x" * 100_000
    followed.print("short", long, "end")
    followed.send(10)
    read = followed.read()
    assert (read.text, read.dropped_bytes) == (f"short\n{long}\nend\n", 0)


def test_where_parts_of_a_line_are_missing_bytes_are_counted(followed: Followed) -> None:
    followed.print("short")
    followed.send()
    with followed.spool.open("a") as file:
        file.write("x" * 2_000_000)
    followed.send()
    read = followed.read()
    assert (
        read.text.splitlines()[1] == f"… {read.dropped_bytes:,} bytes dropped here: more is printed than is shown live"
    )
    assert read.dropped_bytes + read.text.count("x") == 2_000_000


def test_a_log_that_storage_did_not_take_is_said_to_be_missing_from_where_the_tail_ends(followed: Followed) -> None:
    followed.print("one", "two")
    followed.send()
    told = followed.logs.read(attempt("succeeded", "dropped:storage:5:23"), 0, 1 << 20)
    assert told.text == "one\ntwo\n… 3 lines dropped here: storage did not take the log\n"
    assert (told.dropped_lines, told.dropped_bytes, told.next_offset) == (3, 15, 23)
    assert followed.logs.read(attempt("succeeded", "dropped:storage:5:23"), 23, 1 << 20).text == ""
    followed.client.flushdb()
    told = followed.logs.read(attempt("succeeded", "dropped:storage:5:23"), 0, 1 << 20)
    assert told.text == "… 5 lines dropped here: storage did not take the log\n"


def test_a_log_that_is_not_where_it_should_be_is_said_to_be_missing(followed: Followed, tmp_path: Path) -> None:
    followed.print("one")
    followed.send()
    url = f"{tmp_path}/_logs/sales/run/{ID}.log"
    told = followed.logs.read(attempt("succeeded", url), 0, 1 << 20)
    assert told.text == "one\n… lines may be missing here: storage has not got the log, or not yet\n"
    lost = followed.logs.read(attempt("lost"), 0, 1 << 20)
    assert lost.text == "one\n… lines may be missing here: contact with the worker was lost\n"


def test_without_a_broker_too_it_is_said_what_storage_did_not_take(tmp_path: Path) -> None:
    logs = Logs("dev", str(tmp_path), lambda _: "redis://127.0.0.1:1/0")
    told = logs.read(attempt("succeeded", "dropped:storage:5:23"), 0, 100)
    assert told.text == "… 5 lines dropped here: storage did not take the log\n"
