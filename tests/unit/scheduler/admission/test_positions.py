"""Positions: how many steps come first, against turns that are really taken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hedgerow_scheduler.admission.positions import Crowd, ahead_of

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def crowd(run: str, steps: int, band: int = 0, urgency: int = 0, sharer: str = "", weight: float = 1.0) -> Crowd:
    """Ready steps of a run; runs were created in the order of their names."""
    return Crowd(run, NOW + timedelta(seconds=ord(run)), urgency, band, steps, sharer, weight)


def test_alone_a_step_stands_where_its_run_has_it() -> None:
    assert ahead_of(crowd("a", 9), 4, [crowd("a", 9)]) == 4


def test_higher_bands_come_first_and_lower_ones_do_not_count() -> None:
    mine = crowd("a", 2, band=1)
    assert ahead_of(mine, 0, [mine, crowd("b", 50, band=2), crowd("c", 70, band=0)]) == 50


def test_a_small_run_passes_a_large_one() -> None:
    large, small = crowd("a", 10_000), crowd("b", 3)
    assert [ahead_of(small, place, [large, small]) for place in range(3)] == [1, 3, 5]
    assert ahead_of(large, 9_999, [large, small]) == 10_002


def test_teams_that_share_a_pool_take_turns_by_weight() -> None:
    mine = crowd("a", 10, sharer="sales", weight=1.0)
    others = crowd("b", 100, sharer="ml", weight=3.0)
    assert ahead_of(mine, 4, [mine, others]) == 4 + 15
    assert ahead_of(others, 14, [mine, others]) == 14 + 5


def test_an_urgent_run_of_another_team_comes_first_as_a_whole() -> None:
    mine = crowd("a", 10, sharer="sales")
    assert ahead_of(mine, 0, [mine, crowd("b", 40, 2, 2, "ml"), crowd("c", 40, -1, -1, "hr")]) == 40


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.data())
def test_in_one_band_it_is_the_place_in_turns_one_by_one(sizes: list[int], data: st.DataObject) -> None:
    crowds = [crowd(chr(97 + index), size) for index, size in enumerate(sizes)]
    mine = data.draw(st.sampled_from(crowds))
    place = data.draw(st.integers(0, mine.steps - 1))
    order = [(turn, one.run_id) for turn in range(max(sizes)) for one in crowds if turn < one.steps]
    assert ahead_of(mine, place, crowds) == order.index((place, mine.run_id))
