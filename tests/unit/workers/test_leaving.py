"""When a worker leaves, with which exit code, and how long it is patient."""

from __future__ import annotations

import math

from hedgerow_workers.leaving import EXIT_CODE_CHANGED, Leaving


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def leaving(grace_s: float = 60.0) -> tuple[Leaving, Clock, list[int]]:
    began, clock = list[int](), Clock()
    return Leaving(grace_s, began.append, clock), clock, began


def test_the_first_reason_counts_and_is_told_once() -> None:
    found, _, began = leaving()
    found.begin(70, "the consumer was stuck")
    found.begin(0, "asked to stop")
    assert (found.has_begun, found.code, found.why, began) == (True, 70, "the consumer was stuck", [70])
    assert not found.hurried


def test_what_runs_has_the_grace_from_when_it_was_asked_less_what_ending_it_takes() -> None:
    found, clock, _ = leaving(60.0)
    found.told("got SIGTERM")
    clock.now = 130.0
    found.begin(0, "asked to stop")
    assert found.patience_ends() == 145.0
    short, _, _ = leaving(10.0)
    short.told("got SIGTERM")
    assert short.patience_ends() == 105.0


def test_other_code_waits_without_end_until_someone_asks() -> None:
    found, clock, began = leaving()
    found.begin(EXIT_CODE_CHANGED, "the code has changed")
    assert (found.is_asked_for, found.patience_ends()) == (False, math.inf)
    clock.now = 1_000.0
    found.told("got SIGTERM")
    assert (found.patience_ends(), found.code, began) == (1_045.0, EXIT_CODE_CHANGED, [EXIT_CODE_CHANGED])
    assert not found.hurried


def test_who_is_told_again_hurries() -> None:
    found, _, _ = leaving()
    found.told("got SIGINT")
    found.told("got SIGINT")
    assert found.hurried
    other, _, _ = leaving()
    other.hurry()
    assert (other.hurried, other.has_begun) == (True, False)
