"""Service times: how many orders are sent ahead of the slots, from how long steps last."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow_scheduler.lifecycle.service_time import MAX_BATCH, MAX_BUFFER, SAMPLES, ServiceTime, StepTime


def lasting(*seconds: float) -> ServiceTime:
    found = ServiceTime()
    for each in seconds:
        found.took(each)
    return found


def test_before_anything_is_known_nothing_is_sent_ahead() -> None:
    assert ServiceTime().buffer(100) == 0


@pytest.mark.parametrize(("seconds", "slots", "ahead"), [(3600, 8, 0), (0.05, 2, 2), (0.025, 2, 4), (0.01, 1, 5)])
def test_short_steps_have_as_many_sent_ahead_as_end_within_a_round_trip(seconds: float, slots: int, ahead: int) -> None:
    assert lasting(seconds).buffer(slots) == ahead


def test_the_average_follows_what_steps_take_now() -> None:
    assert lasting(0.01, *[10.0] * 60).buffer(2) == 0
    assert lasting(10.0, *[0.01] * 100).buffer(2) > 4


def test_steps_that_do_nothing_have_a_bounded_number_sent_ahead() -> None:
    assert lasting(0.0).buffer(10_000) == MAX_BUFFER


@given(st.lists(st.floats(allow_nan=False), max_size=20), st.integers(0, 100_000))
def test_whatever_a_worker_says_the_buffer_stays_within_its_bounds(seconds: list[float], slots: int) -> None:
    assert 0 <= lasting(*seconds).buffer(slots) <= MAX_BUFFER


def timed(*seconds: float) -> StepTime:
    found = StepTime()
    for each in seconds:
        found.took(each)
    return found


def test_steps_share_a_message_only_once_enough_is_known_of_them() -> None:
    assert [timed(*[0.001] * count).batch() for count in (0, 1, SAMPLES - 1, SAMPLES)] == [1, 1, 1, 20]


def test_one_slow_step_makes_messages_short_at_once_and_many_quick_ones_make_them_long_again() -> None:
    assert timed(*[0.0001] * 50).batch() == MAX_BATCH
    assert timed(*[0.0001] * 50, 1.0).batch() == 1
    assert timed(*[0.0001] * 50, 1.0, *[0.0001] * 200).batch() == MAX_BATCH


@given(st.lists(st.floats(allow_nan=False), max_size=20), st.integers(1, 1000))
def test_whatever_a_worker_says_a_message_stays_within_its_bounds(seconds: list[float], most: int) -> None:
    assert 1 <= timed(*seconds).batch(most) <= most
