"""The outbox, one turn after the other, on its real journal: what it does when disk or broker fail, and when it wants to be called again."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest
import redis

from hedgerow.protocol import events
from hedgerow.protocol.envelope import WIRE_VERSION, Envelope, decode_envelope, encode_envelope, split_batch
from hedgerow_workers.broker import Command
from hedgerow_workers.journal import Journal
from hedgerow_workers.journals import JournalFolder
from hedgerow_workers.outbox import ACK_POLL_S, ADOPT_S, CLOSING_POLL_S, DISK_RETRY_S, RETRY_S, Outbox, encode

EVENT = encode(events.WorkerStopped("why"))


class Broker:
    """Takes events and tells what is acknowledged, unless it is `away`."""

    def __init__(self) -> None:
        self.away = False
        self.taken: list[tuple[str, int]] = []
        self.acked: dict[str, int] = {}

    def ask(self, commands: Sequence[Command]) -> list[object]:
        if self.away:
            raise redis.ConnectionError("away")
        return [self._answer(command) for command in commands]

    def _answer(self, command: Command) -> object:
        if command[0] == "XADD":
            batch = command[-1]
            assert isinstance(batch, bytes)
            self.taken += [(each.worker, each.seq) for each in map(decode_envelope, split_batch(batch))]
            return b"1-0"
        acked = self.acked.get(str(command[2]))
        return None if acked is None else str(acked).encode()


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def outbox(broker: Broker, tmp_path: Path) -> Outbox:
    outbox = Outbox(broker, "d", "sales", "me", JournalFolder(tmp_path))
    assert outbox.turn(0.0) == ADOPT_S
    return outbox


def _fail(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_is_put_is_sent_in_the_next_turn_and_acknowledgements_are_asked_for(
    outbox: Outbox, broker: Broker
) -> None:
    outbox.put([EVENT, EVENT])
    assert outbox.is_called
    assert outbox.turn(1.0) == 1.0 + ACK_POLL_S
    assert broker.taken == [("me", 1), ("me", 2)]
    assert not outbox.is_called

    broker.acked["me"] = 2
    assert outbox.turn(2.0) == ADOPT_S
    assert outbox.pending == 0


def test_a_broker_that_is_away_is_tried_again_soon(outbox: Outbox, broker: Broker) -> None:
    broker.away = True
    outbox.put([EVENT])
    assert outbox.turn(1.0) == 1.0 + RETRY_S
    broker.away = False
    outbox.turn(1.0 + RETRY_S)
    assert broker.taken == [("me", 1)]


def test_while_the_disk_takes_nothing_what_it_holds_is_sent_and_acknowledged(
    outbox: Outbox, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.away = True
    outbox.put([EVENT])
    outbox.turn(1.0)
    with monkeypatch.context() as full:
        full.setattr(Journal, "append", _fail)
        outbox.put([EVENT])
        outbox.turn(2.0)
        assert not outbox.is_called
        broker.away = False
        assert outbox.turn(2.5) <= 2.0 + DISK_RETRY_S
        assert broker.taken == [("me", 1)]
        broker.acked["me"] = 1
        outbox.turn(3.2)
        assert outbox.pending == 1
    outbox.turn(4.2)
    assert broker.taken == [("me", 1), ("me", 2)]

    outbox.resend("me", 0)
    assert outbox.is_called
    outbox.turn(4.3)
    assert broker.taken[2:] == [("me", 2)]


def test_a_disk_that_cannot_be_read_is_tried_again(
    outbox: Outbox, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.away = True
    outbox.put([EVENT])
    outbox.turn(1.0)
    broker.away = False
    with monkeypatch.context() as broken:
        broken.setattr(Journal, "read", _fail)
        assert outbox.turn(2.0) > 2.0
        assert broker.taken == []
    outbox.turn(100.0)
    assert broker.taken == [("me", 1)]


def test_an_outbox_that_is_told_to_finish_is_delivered_when_all_is_acknowledged(
    outbox: Outbox, broker: Broker, tmp_path: Path
) -> None:
    outbox.put([EVENT])
    outbox.finish()
    outbox.turn(1.0)
    assert not outbox.delivered
    broker.acked["me"] = 1
    outbox.turn(1.0 + CLOSING_POLL_S)
    assert outbox.delivered
    assert outbox.let_go()
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_worker_left_is_adopted_sent_and_removed(broker: Broker, tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "dead")
    outbox = Outbox(broker, "d", "sales", "dead2", JournalFolder(tmp_path))
    outbox.put([EVENT])
    outbox.turn(0.0)  # the other lives: its journal is locked
    journal.append([_encoded("dead", 1), _encoded("dead", 2)])
    journal.close(delete=False)

    broker.acked |= {"dead2": 1, "dead": 1}
    outbox.turn(1.0)
    outbox.turn(ADOPT_S)
    outbox.turn(ADOPT_S + 0.1)
    assert broker.taken == [("dead2", 1), ("dead", 2)]
    broker.acked["dead"] = 2
    outbox.turn(ADOPT_S + 1.0)
    outbox.turn(ADOPT_S + 2.0)
    assert [path.name for path in tmp_path.iterdir()] == ["dead2"]
    assert broker.taken == [("dead2", 1), ("dead", 2)]


def test_a_folder_with_what_is_no_outbox_harms_none(
    broker: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "nonsense.events").write_text("")
    outbox = Outbox(broker, "d", "sales", "me", JournalFolder(tmp_path))
    outbox.put([EVENT])
    for now in range(0, 100, 5):
        outbox.turn(now)
        broker.acked["me"] = 1
    assert broker.taken == [("me", 1)]
    assert sum("not an outbox" in text for text in caplog.messages) == 1


def _encoded(worker: str, number: int) -> bytes:
    kind, body = EVENT
    return encode_envelope(Envelope(f"{worker}-{number}", kind, WIRE_VERSION, body, 0, worker, number))
