"""Whatever the times and outages: each tick is launched or missed once, and none that is not due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import takewhile

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.cron import Cron, ticks
from hedgerow_scheduler.automation.schedules import GRACE, MOST_AT_ONCE, MOST_COUNTED, CatchUp, due, passed

TIMES = st.builds(
    Cron,
    st.sampled_from(
        ["*/15 * * * *", "7 * * * *", "30 2 * * *", "0 */3 * * *", "0 0 L * *", "0 0 29 2 *", "0 1-3 * * 1-5"]
    ),
    st.sampled_from(["UTC", "Europe/Oslo", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]),
)
STARTS = st.builds(
    lambda day, minutes: datetime.fromisoformat(f"{day}T00:00+00:00") + timedelta(minutes=minutes),
    st.sampled_from(["2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-04-05", "2026-10-04", "2028-02-28", "2011-12-29"]),
    st.integers(-2000, 2000),
)  # fmt: skip
LOOKS = st.lists(st.sampled_from([1, 30, 59, 60, 61, 600, 3600, 20_000, 86_400]), min_size=1, max_size=12)


def expected(times: Cron, start: datetime, end: datetime) -> list[datetime]:
    return list(takewhile(lambda tick: tick <= end, ticks(times, start)))


@given(TIMES, st.sampled_from(["skip", "last", "all"]), STARTS, LOOKS)
def test_each_tick_is_launched_or_missed_once(
    times: Cron, catch_up: CatchUp, start: datetime, looks: list[int]
) -> None:
    last = now = start
    launched: list[datetime] = []
    missed: list[datetime] = []
    for seconds in looks:
        now += timedelta(seconds=seconds)
        while found := due(times, catch_up, last, now):
            assert len(found.launch) <= MOST_AT_ONCE
            assert all(last < tick <= now for tick in found.launch)
            launched += found.launch
            if found.missed is not None:
                assert catch_up != "all"
                gone = expected(times, last, found.missed.last)
                assert (gone[0], gone[-1]) == (found.missed.first, found.missed.last)
                assert found.missed.count == min(len(gone), MOST_COUNTED)
                missed += gone
            if catch_up == "skip":
                assert all(now - tick < GRACE for tick in found.launch)
            last = found.last
    assert sorted(launched + missed) == expected(times, start, now)
    if catch_up == "all":
        assert launched == expected(times, start, now)


@given(TIMES, STARTS, st.integers(0, 200_000))
def test_a_paused_schedule_launches_nothing_and_its_ticks_are_behind_it(
    times: Cron, start: datetime, seconds: int
) -> None:
    now = start + timedelta(seconds=seconds)
    found = passed(times, start, now)
    ticked = expected(times, start, now)
    if found is None:
        assert ticked == []
        return
    assert found.launch == ()
    assert found.missed is not None
    assert (found.missed.first, found.missed.last, found.last) == (ticked[0], ticked[-1], ticked[-1])
    assert passed(times, found.last, now) is None
    assert due(times, "all", found.last, now) is None
    assert found.last.tzinfo is UTC
