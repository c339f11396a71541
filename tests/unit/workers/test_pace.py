"""How many orders of a message are begun with at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hedgerow_workers.pace import AHEAD_S, MAX_PORTION, Pace


def test_what_comes_after_a_step_never_seen_waits_for_it() -> None:
    pace = Pace()
    pace.note(["known"], 0.0001)
    assert pace.portion(["known", "known", "new", "known"]) == 3


def test_a_long_step_is_remembered_for_many_short_ones() -> None:
    pace = Pace()
    for _ in range(100):
        pace.note(["a"], 0.0001)
    assert pace.portion(["a"] * 20) == MAX_PORTION
    pace.note(["a"], 10.0)
    short = 0
    while pace.portion(["a"] * 2) == 1:
        pace.note(["a"], 0.0001)
        short += 1
    assert short > 12


@given(
    seen=st.lists(st.tuples(st.sampled_from("abc"), st.floats(1e-6, 10)), max_size=20),
    waiting=st.lists(st.sampled_from("abcd"), min_size=1, max_size=30),
)
def test_all_but_the_last_of_a_portion_should_be_done_within_a_moment(
    seen: list[tuple[str, float]], waiting: list[str]
) -> None:
    pace = Pace()
    for computation, seconds in seen:
        pace.note([computation], seconds)
    count = pace.portion(waiting)

    def begins_s(at: int) -> float:
        return sum(pace.expected_s(each) for each in waiting[:at])

    assert 1 <= count <= min(len(waiting), MAX_PORTION)
    assert begins_s(count - 1) <= AHEAD_S
    assert count in (len(waiting), MAX_PORTION) or begins_s(count) > AHEAD_S
