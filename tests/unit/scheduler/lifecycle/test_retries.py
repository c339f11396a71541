"""Retries: the verdict on every way in which an attempt ends without success, and how long a retry waits."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.manifest.model import Retry
from hedgerow.protocol.events import FailureReason
from hedgerow_scheduler.lifecycle.retries import (
    ENDS_AS,
    INFRASTRUCTURE_RETRIES,
    POISON_DEATHS,
    Verdict,
    after_failure,
    after_loss,
    retry_delay,
)
from hedgerow_scheduler.lifecycle.states import StepState

TWICE = Retry(2, delay_ms=1000, jitter=False)
S = StepState
WAIT_1S, WAIT_2S = timedelta(seconds=1), timedelta(seconds=2)


@pytest.mark.parametrize(
    ("reason", "retryable", "failures", "deaths", "verdict"),
    [
        ("user_error", True, 0, 0, Verdict(S.RETRY_WAIT, WAIT_1S, "failures")),
        ("user_error", True, 1, 0, Verdict(S.RETRY_WAIT, WAIT_2S, "failures")),
        ("user_error", True, 2, 0, Verdict(S.FAILED, spends="failures")),
        ("user_error", False, 0, 0, Verdict(S.FAILED, spends="failures")),
        ("timed_out", True, 0, 0, Verdict(S.RETRY_WAIT, WAIT_1S, "failures")),
        ("timed_out", True, 2, 0, Verdict(S.FAILED, spends="failures")),
        ("runner_lost", True, 2, 0, Verdict(S.RETRY_WAIT, spends="deaths")),
        ("runner_lost", True, 0, 1, Verdict(S.RETRY_WAIT, spends="deaths")),
        ("runner_lost", True, 0, 2, Verdict(S.POISONED, spends="deaths")),
        ("runner_lost", False, 0, 0, Verdict(S.RETRY_WAIT, spends="deaths")),
        ("interrupted", True, 9, 9, Verdict(S.READY)),
        ("refused", True, 9, 9, Verdict(S.READY)),
        ("check_failed", True, 0, 0, Verdict(S.FAILED)),
        ("bad_order", True, 0, 0, Verdict(S.FAILED)),
        ("cancelled", True, 0, 0, Verdict(S.CANCELLED)),
    ],
)
def test_the_verdict_on_a_failure(
    reason: FailureReason, retryable: bool, failures: int, deaths: int, verdict: Verdict
) -> None:
    assert after_failure(reason, retryable, TWICE, failures, deaths, 0.5) == verdict


def test_without_a_retry_policy_the_first_error_is_final() -> None:
    assert after_failure("user_error", True, Retry(), 0, 0, 0.0).state is S.FAILED


def test_the_third_death_of_a_runner_parks_the_step() -> None:
    states = [after_failure("runner_lost", True, Retry(), 0, deaths, 0.0).state for deaths in range(3)]
    assert states == [S.RETRY_WAIT, S.RETRY_WAIT, S.POISONED]
    assert POISON_DEATHS == 3


def test_five_losses_are_forgiven_at_the_platforms_expense() -> None:
    assert [after_loss(losses).state for losses in range(6)] == [S.RETRY_WAIT] * INFRASTRUCTURE_RETRIES + [S.FAILED]
    assert {after_loss(losses).spends for losses in range(6)} == {"losses"}


def test_every_reason_has_a_verdict_and_an_end_of_its_attempt() -> None:
    assert set(ENDS_AS) == set(get_args(FailureReason))
    for reason in get_args(FailureReason):
        assert isinstance(after_failure(reason, True, TWICE, 0, 0, 0.0), Verdict)


@given(
    st.sampled_from(get_args(FailureReason)), st.booleans(), st.integers(0, 9), st.integers(0, 2), st.floats(0, 0.999)
)
def test_only_user_errors_and_timeouts_spend_the_users_retries(
    reason: FailureReason, retryable: bool, failures: int, deaths: int, noise: float
) -> None:
    verdict = after_failure(reason, retryable, Retry(5), failures, deaths, noise)
    assert (verdict.spends == "failures") == (reason in ("user_error", "timed_out"))
    assert (verdict.spends == "deaths") == (reason == "runner_lost")
    assert verdict.delay == timedelta(0) or verdict.state is S.RETRY_WAIT


@pytest.mark.parametrize(
    ("backoff", "seconds"),
    [("constant", [10, 10, 10, 10]), ("linear", [10, 20, 30, 40]), ("exponential", [10, 20, 40, 80])],
)
def test_delays_grow_as_the_policy_says(backoff: str, seconds: list[int]) -> None:
    policy = Retry(9, delay_ms=10_000, backoff=backoff, jitter=False)  # type: ignore[arg-type]
    assert [retry_delay(policy, failures, 0.7).total_seconds() for failures in range(4)] == seconds


POLICIES = st.builds(
    Retry,
    st.integers(0, 100),
    delay_ms=st.integers(0, 10_000_000),
    backoff=st.sampled_from(["constant", "linear", "exponential"]),
    max_delay_ms=st.integers(0, 10_000_000),
    jitter=st.booleans(),
)
NOISE = st.floats(0, 1, exclude_max=True)


@given(POLICIES, st.integers(0, 10_000), NOISE)
def test_a_delay_is_never_longer_than_the_cap_nor_shorter_than_half_of_what_is_due(
    policy: Retry, failures: int, noise: float
) -> None:
    delay = retry_delay(policy, failures, noise)
    due = retry_delay(Retry(**{**_fields(policy), "jitter": False}), failures, noise)
    assert timedelta(0) <= due <= timedelta(milliseconds=policy.max_delay_ms)
    assert (due / 2 <= delay <= due) if policy.jitter else delay == due


@given(POLICIES, st.integers(0, 1000), NOISE)
def test_a_later_retry_never_comes_sooner(policy: Retry, failures: int, noise: float) -> None:
    assert retry_delay(policy, failures, noise) <= retry_delay(policy, failures + 1, noise)


def _fields(policy: Retry) -> dict[str, object]:
    return {name: getattr(policy, name) for name in policy.__struct_fields__}
