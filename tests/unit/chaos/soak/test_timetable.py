"""When the faults of a soak strike."""

from __future__ import annotations

from itertools import pairwise

from chaos.soak.flat import FEWEST, FILL_S, Patience
from chaos.soak.sampler import EVERY_S
from chaos.soak.timetable import HOLE_S, timetable
from hypothesis import given
from hypothesis import strategies as st


@given(st.floats(60, 24 * 3600))
def test_the_faults_follow_one_another_and_all_end_before_the_load_does(seconds: float) -> None:
    planned = timetable(seconds)
    assert all(earlier.at + earlier.hold_s < later.at for earlier, later in pairwise(planned))
    assert planned[-1].at + planned[-1].hold_s < seconds
    assert {each.kind for each in planned} == {"valkey_flushed", "leader_killed", "worker_killed", "valkey_hole"}


def test_in_half_an_hour_the_hole_lasts_five_minutes_between_two_times_at_which_redis_is_full() -> None:
    seconds = 1800.0
    (flushed, *_, hole) = timetable(seconds)
    enough = FEWEST * EVERY_S
    assert hole.hold_s == HOLE_S
    assert flushed.at + FILL_S + enough < hole.at
    assert hole.at + hole.hold_s + Patience.of(seconds).settle_s + enough < seconds
