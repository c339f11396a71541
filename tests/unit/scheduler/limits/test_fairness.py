"""Fair shares: the bounds of start-time fair queueing, for any weights, costs and absences."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import floor

from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow_scheduler.limits import fairness
from hedgerow_scheduler.limits.fairness import FairShares

WEIGHTS = st.lists(st.floats(0.05, 20), min_size=2, max_size=6)


def next_of(shares: FairShares[int], weights: list[float], eligible: list[int]) -> int:
    return min(eligible, key=lambda key: (shares.start(key, weights[key]), key))


@settings(max_examples=200)
@given(WEIGHTS, st.data())
def test_services_of_two_that_always_wait_differ_by_no_more_than_one_of_each(
    weights: list[float], data: st.DataObject
) -> None:
    shares: FairShares[int] = FairShares()
    keys = range(len(weights))
    served, largest = Counter(dict.fromkeys(keys, 0.0)), Counter(dict.fromkeys(keys, 0.0))
    away = {key for key in keys if key >= 2 and data.draw(st.booleans())}
    for _ in range(data.draw(st.integers(1, 80))):
        # The first two always wait; the others come and go.
        eligible = [key for key in keys if key < 2 or (key not in away) or data.draw(st.booleans())]
        key = next_of(shares, weights, eligible)
        cost = float(data.draw(st.integers(1, 5)))
        shares.serve(key, 1.0, weights[key])
        shares.charge(key, cost - 1)  # as a message of several orders does
        served[key] += cost
        largest[key] = max(largest[key], cost)
        ahead = served[0] / weights[0] - served[1] / weights[1]
        assert abs(ahead) <= largest[0] / weights[0] + largest[1] / weights[1] + 1e-6


@settings(max_examples=200)
@given(WEIGHTS, st.integers(0, 60))
def test_a_head_waits_for_no_more_starts_of_others_than_the_bound_says(weights: list[float], before: int) -> None:
    shares: FairShares[int] = FairShares()
    others = list(range(1, len(weights)))
    for _ in range(before):
        key = next_of(shares, weights, others)
        shares.serve(key, 1.0, weights[key])
    passed = 0
    while (key := next_of(shares, weights, [0, *others])) != 0:
        shares.serve(key, 1.0, weights[key])
        passed += 1
    assert passed <= sum(floor(weights[other] / weights[0]) + 1 for other in others)


@given(WEIGHTS)
def test_absence_earns_nothing(weights: list[float]) -> None:
    shares: FairShares[int] = FairShares()
    for _ in range(100):
        shares.serve(1, 1.0, weights[1])
    shares.serve(0, 1.0, weights[0])  # at once, as it was away
    order = []
    for _ in range(40):
        key = next_of(shares, weights, [0, 1])
        shares.serve(key, 1.0, weights[key])
        order.append(key)
    counts = Counter(order)
    assert abs((counts[0] + 1) / weights[0] - counts[1] / weights[1]) <= 1 / weights[0] + 1 / weights[1] + 1e-6


def test_a_changed_weight_acts_on_the_very_next_start() -> None:
    shares: FairShares[str] = FairShares()
    shares.serve("slow", 1.0, 0.001)
    shares.serve("other")
    assert shares.lead("slow", 0.001) > 900
    assert shares.lead("slow", 1.0) <= 1


def test_virtual_time_never_goes_back_and_forgetting_changes_no_turn() -> None:
    plain: FairShares[int] = FairShares()
    pruned: FairShares[int] = FairShares()
    times = []
    for number in range(3000):
        key = number * 7919 % 1500
        assert plain.start(key) == pruned.start(key)
        plain.serve(key)
        pruned.serve(key)
        pruned._prune()
        times.append(plain.virtual_time)
    assert all(earlier <= later for earlier, later in pairwise(times))


def test_those_who_are_gone_are_forgotten_in_the_end() -> None:
    shares: FairShares[int] = FairShares()
    for key in range(20_000):
        shares.serve(-1)
        shares.serve(key)
    assert len(shares._last) <= fairness.PRUNE_AT + 1
