"""Each team has a lane: busy teams' entries come together for a moment, floods wait for their turn, and nobody else does."""

from __future__ import annotations

import threading
from time import monotonic

from hypothesis import given
from hypothesis import strategies as st

from hedgerow_scheduler.ingest.fold import Entry
from hedgerow_scheduler.ingest.inbox import (
    LANE_BYTES,
    PORTION_BYTES,
    Batch,
    ClaimAnswer,
    Inbox,
    Message,
    StreamLost,
)

LONG_S = 20.0
BUSY = frozenset({"sales"})
TERM = 1


def batch(team: str, *numbers: int, size: int = 2, generation: int = TERM) -> Batch:
    return Batch(
        team,
        tuple(Entry(team, f"{number}-0", b"x" * size) for number in numbers),
        True,
        generation,
        read_at=float(max(numbers, default=0)),
    )


def inbox_with(*messages: Message) -> Inbox:
    found = Inbox()
    found.begin_term(TERM)
    for message in messages:
        found.put(message)
    return found


def waited(inbox: Inbox, wait_s: float) -> float:
    began = monotonic()
    inbox.gather(BUSY, wait_s)
    return monotonic() - began


def entries(messages: list[Message], team: str) -> list[str]:
    batches = [message for message in messages if isinstance(message, Batch) and message.team == team]
    return [entry.id for found in batches for entry in found.entries]


def test_entries_of_busy_teams_are_left_together() -> None:
    assert waited(inbox_with(batch("sales", 1, 2)), 0.05) >= 0.05


def test_that_there_was_nothing_to_read_ends_no_pause_and_rings_no_bell() -> None:
    inbox = inbox_with(batch("ml"))
    assert waited(inbox, 0.05) >= 0.05
    assert not inbox.bell.is_set()


def test_an_entry_of_another_team_is_not_kept_waiting() -> None:
    assert waited(inbox_with(batch("sales", 1), batch("ml", 1)), LONG_S) < LONG_S


def test_nor_one_that_comes_meanwhile() -> None:
    inbox = inbox_with()
    threading.Timer(0.05, inbox.put, [batch("ml", 1)]).start()
    assert waited(inbox, LONG_S) < LONG_S


def test_what_was_taken_out_counts_no_more() -> None:
    inbox = inbox_with(batch("ml", 1))
    inbox.take()
    assert waited(inbox, 0.05) >= 0.05


def test_a_cycle_takes_all_of_a_quiet_team_and_a_portion_of_a_flood() -> None:
    flood = batch("evil", *range(1000), size=PORTION_BYTES // 100)
    inbox = inbox_with(flood, batch("good", 1, 2))
    inbox.bell.clear()
    taken = inbox.take()
    assert entries(taken, "good") == ["1-0", "2-0"]
    assert entries(taken, "evil") == [f"{number}-0" for number in range(50)]
    assert inbox.bell.is_set()


def test_what_is_left_of_a_batch_was_not_read_to_the_end() -> None:
    inbox = inbox_with(batch("evil", 1, 2, size=PORTION_BYTES))
    first, second = inbox.take(), inbox.take()
    assert [message.is_drained for message in first + second if isinstance(message, Batch)] == [False, True]


def test_the_end_was_reached_when_it_was_last_read() -> None:
    inbox = inbox_with(batch("sales", 1), Batch("sales", (), True, TERM, read_at=9.0))
    assert [message.read_at for message in inbox.take() if isinstance(message, Batch)] == [9.0]


def test_nothing_is_taken_of_a_held_team_and_others_are_not_held() -> None:
    inbox = inbox_with(batch("evil", 1), batch("good", 1))
    inbox.hold("evil", LONG_S)
    inbox.bell.clear()
    assert entries(inbox.take(), "evil") == []
    assert not inbox.bell.is_set()
    left = inbox.held_s()
    assert left is not None
    assert 0 < left <= LONG_S


def test_what_is_held_comes_when_the_time_is_over() -> None:
    inbox = inbox_with(batch("evil", 1))
    inbox.hold("evil", 0.0)
    assert inbox.held_s() is None
    assert entries(inbox.take(), "evil") == ["1-0"]


def test_a_lane_is_full_by_itself() -> None:
    inbox = inbox_with(batch("evil", *range(4), size=LANE_BYTES // 4), batch("good", 1))
    assert inbox.is_full("evil")
    assert not inbox.is_full("good")
    while entries(inbox.take(), "evil"):
        pass
    assert not inbox.is_full("evil")


def test_what_an_earlier_term_read_is_not_taken_but_claims_are_as_they_are() -> None:
    inbox = inbox_with(batch("sales", 1), ClaimAnswer("a", None))
    inbox.begin_term(TERM + 1)
    inbox.put(batch("sales", 2))
    inbox.put(StreamLost("sales", TERM))
    assert inbox.take() == [ClaimAnswer("a", None)]


def test_a_loss_comes_after_what_was_read_before_it() -> None:
    inbox = inbox_with(batch("sales", 1), batch("sales"), StreamLost("sales", TERM), batch("sales", 2))
    kinds = [message if isinstance(message, StreamLost) else message.entries[0].id for message in inbox.take()]  # type: ignore[union-attr]
    assert kinds == ["1-0", StreamLost("sales", TERM), "2-0"]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.lists(st.sampled_from([0, 1, 5_000, 200_000, 900_000]), max_size=6)),
        max_size=12,
    )
)
def test_everything_comes_out_once_in_the_order_of_its_team(reads: list[tuple[str, list[int]]]) -> None:
    inbox, sent, number = inbox_with(), dict[str, list[str]](), 0
    for team, sizes in reads:
        found = []
        for size in sizes:
            number += 1
            found.append(Entry(team, f"{number}-0", b"x" * size))
        sent.setdefault(team, []).extend(entry.id for entry in found)
        inbox.put(Batch(team, tuple(found), True, TERM, float(number)))
    out: dict[str, list[str]] = {team: [] for team in sent}
    last: dict[str, bool] = {}
    while taken := inbox.take():
        for message in taken:
            assert isinstance(message, Batch)
            out[message.team].extend(entry.id for entry in message.entries)
            last[message.team] = message.is_drained
    assert out == sent
    assert all(last.values())
