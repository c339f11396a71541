"""How the events of an attempt reach the outbox, and what it does without a broker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hedgerow import clock
from hedgerow.errors import Problem
from hedgerow.protocol import events
from hedgerow.protocol.envelope import decode_envelope
from hedgerow.protocol.orders import StepOrder
from hedgerow_workers.attempts import Attempt, Attempts
from hedgerow_workers.broker import Line, connect
from hedgerow_workers.journal import Journal
from hedgerow_workers.journals import JournalFolder
from hedgerow_workers.outbox import EventTooLargeError, Outbox, Shipment, encode
from hedgerow_workers.report import HOLD_S, Report

ORDER = StepOrder("d", "sales", "l", "q", "run", "step", "attempt", 1, "m", "c", ("c",))
NOBODY = "redis://127.0.0.1:1/0"


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(Line(connect(NOBODY)), "d", "sales", "me", JournalFolder(tmp_path))
    outbox.start()
    yield outbox
    outbox.close(0.1)


def _kept(outbox: Outbox, number: int) -> list[tuple[str, Any]]:
    """What the outbox left on disk, once it holds `number` events."""
    deadline = time.monotonic() + 5
    while outbox._own.journal.last < number and time.monotonic() < deadline:
        time.sleep(0.01)
    outbox.close(0.1)
    journal = Journal(outbox.directory, -1)
    envelopes = [decode_envelope(data) for data in journal.read(0, 10**9, 10**9)]
    assert [envelope.seq for envelope in envelopes] == list(range(1, number + 1))
    assert {envelope.worker for envelope in envelopes} == {"me"}
    return [(each.kind, msgspec.json.decode(each.body, type=events.KINDS[each.kind])) for each in envelopes]


@pytest.fixture
def attempts() -> Attempts:
    return Attempts()


@pytest.fixture
def attempt(attempts: Attempts) -> Attempt:
    attempt = Attempt(ORDER, "token")
    attempts.add(attempt)
    return attempt


@pytest.fixture
def report(outbox: Outbox, attempts: Attempts) -> Report:
    return Report(outbox, attempts)


def test_without_a_broker_events_are_kept_on_disk_in_order(outbox: Outbox, report: Report, attempt: Attempt) -> None:
    report.started(attempt)
    report.end(attempt, events.AttemptSucceeded("attempt", "token", 1.5), "/logs/a.log")
    report.flush()

    assert outbox.sent == 0
    kept = _kept(outbox, 2)
    assert [kind for kind, _ in kept] == ["attempt_started", "attempt_succeeded"]
    assert kept[1][1].log == "/logs/a.log"


def test_an_attempt_is_over_when_its_last_event_is_in_the_outbox_and_held_until_that_is_sent(
    report: Report, attempt: Attempt, attempts: Attempts
) -> None:
    report.started(attempt)
    report.end(attempt, events.AttemptSucceeded("attempt", "token", 1.5), "")
    assert attempts.running() == [attempt]

    report.flush()
    assert attempts.running() == []
    assert [held.attempt_id for held in attempts.holds(sent=1)] == ["attempt"]
    assert attempts.holds(sent=2) == ()


def test_events_are_held_back_for_a_moment_only(outbox: Outbox, report: Report, attempt: Attempt) -> None:
    report.started(attempt)
    report.flush_if_due(clock.monotonic())
    assert outbox.pending == 0
    report.flush_if_due(clock.monotonic() + HOLD_S)
    assert outbox.pending == 1


def test_a_step_whose_event_is_too_large_cannot_succeed(outbox: Outbox, report: Report, attempt: Attempt) -> None:
    report.add(attempt, events.AssetMaterialized("attempt", "c", "token", metadata={"text": "x" * 300_000}))
    report.end(attempt, events.AttemptSucceeded("attempt", "token"), "")
    report.flush()

    ((kind, failed),) = _kept(outbox, 1)
    assert (kind, failed.reason, failed.retryable) == ("attempt_failed", "user_error", False)
    assert failed.error.code == "HR-X106"
    assert "asset_materialized" in failed.error.message


def test_a_huge_error_is_cut_so_that_it_can_be_told(outbox: Outbox, report: Report, attempt: Attempt) -> None:
    error = Problem("HR-X001", "m" * 500_000, "r", traceback="start" + "t" * 500_000 + "end")
    report.end(attempt, events.AttemptFailed("attempt", "user_error", error, "token"), "")
    report.flush()

    ((_, failed),) = _kept(outbox, 1)
    assert len(failed.error.message) < 40_000
    assert failed.error.traceback.endswith("end")


def test_events_over_the_cap_are_refused() -> None:
    with pytest.raises(EventTooLargeError, match="KiB"):
        encode(events.AttemptSkipped("attempt", "x" * events.MAX_EVENT_BYTES))


def test_events_nobody_acknowledges_are_sent_again_ever_more_rarely_until_someone_does(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "me")
    journal.append([b"{}", b"{}", b"{}"])
    shipment = Shipment("me", journal)
    again: list[int] = []
    for now in range(1, 3600):
        shipment.sent = 3
        shipment.rewind_if_overdue(now)
        if shipment.sent == 0:
            again.append(now)
    gaps = [later - sooner for sooner, later in pairwise(again)]
    assert gaps == [21, 41, 81, 161, 321, 601, 601, 601, 601][: len(gaps)]
    assert len(gaps) > 6

    shipment.acknowledge(1, 3600)
    assert shipment.resend_s == 10
    shipment.rewind_if_overdue(3611)
    assert (shipment.sent, shipment.resend_s) == (1, 20)
    shipment.rewind_as_asked(0, 3612)
    assert (shipment.sent, shipment.resend_s) == (1, 10)
    journal.close(delete=True)
