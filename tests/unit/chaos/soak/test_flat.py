"""The rule for what counts as flat, on made-up courses."""

from __future__ import annotations

import pytest
from chaos.soak.flat import FILL_S, JUDGED, Bound, Patience, Trouble, course, judge, slope, steady, told
from chaos.soak.series import Key, Points
from hypothesis import given
from hypothesis import strategies as st

HOUR = [float(second) for second in range(0, 3600, 5)]
PATIENCE = Patience.of(3600)
LEADER: Key = ("leader", "rss_mb")
KEYS: Key = ("redis", "keys")


def points(value: float, per_hour: float = 0.0) -> Points:
    return [(second, value + per_hour * second / 3600) for second in HOUR]


def test_what_stays_as_it_is_is_flat() -> None:
    found = judge({LEADER: points(200)}, (), PATIENCE)
    assert found.flat
    assert found.courses[LEADER].first == found.courses[LEADER].last == 200


def test_what_grows_by_more_than_a_tenth_and_its_allowance_is_not() -> None:
    found = judge({LEADER: points(200, per_hour=60)}, (), PATIENCE)
    assert not found.flat
    assert found.grown == (LEADER,)
    assert found.courses[LEADER].per_hour == pytest.approx(60)


def test_a_single_peak_is_no_growth() -> None:
    course_with_peak = [(second, 900.0 if second == 3500 else 200.0) for second in HOUR]
    assert judge({LEADER: course_with_peak}, (), PATIENCE).flat


def test_growth_while_it_warms_up_does_not_count() -> None:
    warming = [(second, min(200.0, 50 + second)) for second in HOUR]
    assert judge({LEADER: warming}, (), PATIENCE).flat


def test_what_a_fault_has_piled_up_does_not_count_until_it_has_settled() -> None:
    hole = Trouble(3000, 3300)
    piled = [(second, 5000.0 if 3000 <= second < 3350 else 200.0) for second in HOUR]
    assert judge({LEADER: piled}, (hole,), PATIENCE).flat
    assert not steady(3350, (hole,), PATIENCE)
    assert steady(3361, (hole,), PATIENCE)


def test_redis_is_asked_only_when_it_is_full() -> None:
    filling = [(second, min(second, FILL_S) * 1000) for second in HOUR]
    found = judge({KEYS: filling}, (), PATIENCE)
    assert found.flat
    assert found.courses[KEYS].first == FILL_S * 1000


def test_after_it_was_emptied_redis_is_not_asked_until_it_is_full_again() -> None:
    flushed = Trouble(1800, 1801, emptied=True)
    assert steady(1700, (flushed,), PATIENCE, fills=True)
    assert not steady(2500, (flushed,), PATIENCE, fills=True)
    assert steady(1802 + FILL_S, (flushed,), PATIENCE, fills=True)


def test_keys_that_are_never_removed_are_found_also_beyond_the_time_that_it_takes_to_fill() -> None:
    assert judge({KEYS: points(0, per_hour=5_000_000)}, (), PATIENCE).grown == (KEYS,)


def test_a_run_too_short_for_a_figure_says_so_and_is_not_flat_by_that() -> None:
    short = [(float(second), 1.0) for second in range(0, 240, 5)]
    found = judge({KEYS: short}, (), Patience.of(240))
    assert found.too_short == (KEYS,)
    assert not found.flat


def test_what_is_told_without_a_verdict_may_grow() -> None:
    series = {("platform", "steps_per_s"): points(1000, per_hour=1000), LEADER: points(1)}
    found = judge(series, (), PATIENCE)
    assert found.flat
    assert told(found)["platform"]["steps_per_s_last"] > told(found)["platform"]["steps_per_s_first"]


def test_the_figures_are_told_by_role() -> None:
    found = told(judge({LEADER: points(200)}, (), PATIENCE))
    assert found["leader"] == {"rss_mb_first": 200, "rss_mb_last": 200, "rss_mb_per_hour": 0}
    assert found["flat"] is True
    assert found["grown"] == []


def test_every_judged_figure_has_an_allowance() -> None:
    assert all(bound.allowance > 0 for bound in JUDGED.values())


@given(st.lists(st.floats(0, 1000), min_size=8, max_size=60), st.floats(-100, 100))
def test_the_slope_of_a_course_is_that_of_the_line_that_is_added_to_it(values: list[float], per_second: float) -> None:
    plain = [(float(second), value) for second, value in enumerate(values)]
    tilted = [(second, value + per_second * second) for second, value in plain]
    assert slope(tilted) == pytest.approx(slope(plain) + per_second, abs=1e-6)


@given(st.lists(st.floats(0, 1000), min_size=8, max_size=60))
def test_what_never_goes_up_is_always_flat(values: list[float]) -> None:
    falling = list(enumerate(sorted(values, reverse=True)))
    assert course([(float(second), value) for second, value in falling], Bound(1.0)).flat
