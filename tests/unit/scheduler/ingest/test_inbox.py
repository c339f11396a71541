"""The inbox leaves the entries of busy teams together for a moment, and nobody else's."""

from __future__ import annotations

import threading
from time import monotonic

from hedgerow_scheduler.ingest.fold import Entry
from hedgerow_scheduler.ingest.inbox import Batch, Inbox

LONG_S = 20.0
NEVER = threading.Event()
BUSY = frozenset({"sales"})


def batch(*teams: str) -> Batch:
    return Batch("redis://", tuple(Entry(team, f"{number}-0", b"[]") for number, team in enumerate(teams)), teams, 1)


def waited(inbox: Inbox, wait_s: float) -> float:
    began = monotonic()
    inbox.gather(BUSY, wait_s)
    return monotonic() - began


def test_entries_of_busy_teams_are_left_together() -> None:
    inbox = Inbox()
    inbox.put(batch("sales", "sales"), NEVER)
    assert waited(inbox, 0.05) >= 0.05


def test_an_entry_of_another_team_is_not_kept_waiting() -> None:
    inbox = Inbox()
    inbox.put(batch("sales", "ml"), NEVER)
    assert waited(inbox, LONG_S) < LONG_S


def test_nor_one_that_comes_meanwhile() -> None:
    inbox = Inbox()
    threading.Timer(0.05, inbox.put, [batch("ml"), NEVER]).start()
    assert waited(inbox, LONG_S) < LONG_S


def test_what_was_taken_out_counts_no_more() -> None:
    inbox = Inbox()
    inbox.put(batch("ml"), NEVER)
    inbox.take()
    assert waited(inbox, 0.05) >= 0.05
