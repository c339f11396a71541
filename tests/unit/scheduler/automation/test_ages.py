"""The ages of partitions without time, in whatever order they are told."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from support.scheduling import NOW

from hedgerow.freshness import fresh_within
from hedgerow.partitions import static
from hedgerow_scheduler.automation.aging import Ages, Frames
from hedgerow_scheduler.partitions.spaces import space_of

POLICY = fresh_within("10s", warn="5s")
SPACE = space_of(static(*(f"k{number}" for number in range(6))))
# Seconds until something is told, which partition, and how many seconds ago it was made: it had to wait for its checks.
MAKES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 12)), max_size=30)


@given(MAKES)
def test_a_partition_is_as_old_as_what_was_made_of_it_last_whenever_that_is_told(
    makes: list[tuple[int, int, int]],
) -> None:
    ages, frames, now = Ages(), Frames(), NOW
    made = {}
    for later, ordinal, before in makes:
        now += timedelta(seconds=later)
        made[ordinal] = now - timedelta(seconds=before)
        ages.make(ordinal, made[ordinal])
        found = ages.judge(frames, POLICY, SPACE, now)
        old = {each: (now - at).total_seconds() for each, at in made.items()}
        assert list(found.late) == sorted(each for each, age in old.items() if age >= 10)
        assert list(found.warned) == sorted(each for each, age in old.items() if 5 <= age < 10)
