"""Token buckets: no window lets more through than its burst and rate allow, whatever is changed and whoever leads."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scheduling import NOW

from hedgerow_scheduler.limits.bucket import ALMOST, TokenBucket

GAPS = st.floats(0, 20, allow_nan=False)
RATES = st.floats(0.01, 50, allow_nan=False)
BURSTS = st.floats(1, 20, allow_nan=False)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def full(rate: float, burst: float) -> TokenBucket:
    return TokenBucket(rate, burst, burst, NOW)


def most_in_a_window(taken: list[datetime], rate: float, burst: float) -> None:
    """Fails if any window, from one start to another, both included, holds more starts than it may."""
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            width = (taken[last] - taken[first]).total_seconds()
            assert last - first + 1 <= burst + rate * width + 1e-6


@settings(max_examples=200)
@given(st.lists(st.tuples(GAPS, st.integers(0, 10)), max_size=25), RATES, BURSTS)
def test_in_every_window_at_most_burst_and_rate_times_its_width_are_taken(
    history: list[tuple[float, int]], rate: float, burst: float
) -> None:
    bucket, taken = full(rate, burst), []
    for moment, (_, wanted) in zip(accumulate(gap for gap, _ in history), history, strict=True):
        now = at(moment)
        for _ in range(wanted):
            if bucket.has(now):
                bucket.take(now)
                taken.append(now)
    most_in_a_window(taken, rate, burst)


@settings(max_examples=200)
@given(
    st.lists(st.tuples(GAPS, st.sampled_from(["take", "take", "take", "lead", "back", "give"])), max_size=40),
    RATES,
    BURSTS,
)
def test_a_new_leader_or_a_clock_that_goes_backwards_gives_no_token(
    history: list[tuple[float, str]], rate: float, burst: float
) -> None:
    bucket, taken, moment = full(rate, burst), [], 0.0
    for gap, action in history:
        if action == "back":
            bucket.refill(at(moment - gap))
            continue
        moment += gap
        now = at(moment)
        if action == "lead":  # what the last transaction recorded is all that the next leader knows
            bucket = TokenBucket(rate, burst, bucket.tokens, bucket.at)
        elif bucket.has(now):
            bucket.take(now)
            if action == "give":
                bucket.give_back()
            else:
                taken.append(now)
    most_in_a_window(taken, rate, burst)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.floats(0.01, 5), RATES, BURSTS, st.integers(0, 30)), min_size=1, max_size=12))
def test_a_changed_rate_counts_from_its_moment_on(history: list[tuple[float, float, float, int]]) -> None:
    bucket, moment, taken, earned = full(*history[0][1:3]), 0.0, 0, 0.0
    highest = history[0][2]
    for gap, rate, burst, wanted in history:
        moment += gap
        earned += bucket.rate * gap
        bucket.change(rate, burst, at(moment))
        highest = max(highest, burst)
        for _ in range(wanted):
            if bucket.has(at(moment)):
                bucket.take(at(moment))
                taken += 1
    assert taken <= history[0][2] + earned + 1e-6
    assert bucket.tokens <= highest


@given(RATES, BURSTS, st.floats(0, 30))
def test_a_token_is_there_when_it_is_due_and_not_before(rate: float, burst: float, drained: float) -> None:
    bucket = full(rate, burst)
    while bucket.has(at(drained)):
        bucket.take(at(drained))
    due = bucket.due(at(drained))
    assert due is not None
    early = (due - at(drained)).total_seconds() - 2e-6
    if early > 0:
        probe = TokenBucket(rate, burst, bucket.tokens, bucket.at)
        assert probe.refill(at(drained) + timedelta(seconds=early)) < 1 + ALMOST
    assert bucket.refill(due + timedelta(microseconds=1)) >= 1 - 1e-6


@given(RATES, BURSTS)
def test_a_bucket_left_alone_fills_up_to_its_burst_and_no_further(rate: float, burst: float) -> None:
    bucket = full(rate, burst)
    while bucket.has(NOW):
        bucket.take(NOW)
    assert bucket.refill(at(burst / rate + 1)) == burst
    assert bucket.refill(at(1_000_000)) == burst


def test_a_rate_of_nothing_is_never_due() -> None:
    assert TokenBucket(0.0, 1.0, 0.0, NOW).due(NOW) is None


@pytest.mark.parametrize("rate", [5e-324, 1e-308, 1e-12])
def test_a_rate_of_almost_nothing_is_due_far_ahead(rate: float) -> None:
    due = TokenBucket(rate, 1.0, 0.0, NOW).due(NOW)
    assert due is not None
    assert timedelta(days=3600) < due - NOW < timedelta(days=3700)
