"""Whatever becomes of a sensor's evaluations: it goes on from its last recorded cursor, and is neither rushed nor forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.manifest.model import Sensor
from hedgerow_scheduler.automation.sensors import LONGEST_BACKOFF, Outcome, SensorStanding, after

START = datetime(2026, 11, 26, tzinfo=UTC)
FAILURES = (Outcome.FAILED, Outcome.TIMED_OUT)
evaluations = st.tuples(st.sampled_from(list(Outcome)), st.integers(0, 7_200), st.none() | st.text(max_size=3))


@given(st.integers(1_000, 86_400_000), st.lists(evaluations, max_size=30))
def test_a_sensor_goes_on_from_its_last_cursor_at_its_own_pace(
    every_ms: int, done: list[tuple[Outcome, int, str | None]]
) -> None:
    sensor, every = Sensor("s", every_ms=every_ms), timedelta(milliseconds=every_ms)
    known, now, cursor, in_a_row = SensorStanding("t", "l", "s", next_at=START), START, None, 0
    for number, (outcome, took_s, moved) in enumerate(done, 1):
        assert known.next_at is not None
        began = max(now, known.next_at)
        now = began + timedelta(seconds=took_s)
        moved = moved if outcome in (Outcome.LAUNCHED, Outcome.SKIPPED) else None
        known = after(known, sensor, outcome, began, now, moved)
        cursor = cursor if moved is None else moved
        in_a_row = in_a_row + 1 if outcome in FAILURES else in_a_row if outcome is Outcome.LOST else 0
        assert (known.number, known.cursor, known.failures) == (number, cursor, in_a_row)
        assert known.next_at is not None
        assert now <= known.next_at <= now + max(every, LONGEST_BACKOFF)
        if outcome is not Outcome.LOST:
            assert known.next_at >= began + every
