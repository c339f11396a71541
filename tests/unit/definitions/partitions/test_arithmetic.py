"""Windows that are found by arithmetic are those that are found by walking."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.errors import RequestError
from hedgerow.partitions import algebra, resolution
from hedgerow.partitions.calendar import last_before, span_at, spans_before
from hedgerow.partitions.model import All, ByDim, StaticPartitions, TimePartitions, Window

ZONES = ("UTC", "Europe/Oslo", "Pacific/Apia", "Pacific/Kwajalein", "Australia/Lord_Howe", "America/Sao_Paulo")
CADENCES = ("hour", "day", "week", "month", "0 6,18 * * *", "30 2 * * *")
FIRST = datetime(1950, 1, 1, tzinfo=UTC)
INSTANTS = st.integers(0, 90 * 366 * 24 * 60).map(lambda minutes: FIRST + timedelta(minutes=minutes))


@given(st.sampled_from(CADENCES), st.sampled_from(ZONES), INSTANTS, st.integers(0, 80))
def test_the_windows_before_another_are_the_same_from_either_end(
    cadence: str, tz: str, instant: datetime, count: int
) -> None:
    span = span_at(cadence, tz, instant)
    assert last_before(cadence, tz, span, count) == list(islice(spans_before(cadence, tz, span), count))[::-1]


@given(st.sampled_from(ZONES), INSTANTS, st.integers(0, 2_000))
def test_hours_are_counted_as_by_walking(tz: str, start: datetime, later: int) -> None:
    first = span_at("hour", tz, start)
    partitions = TimePartitions("hour", first.key, tz=tz)
    last = next(islice(algebra.spans(partitions), later, None))
    walked = sum(1 for _ in takewhile(lambda span: span.end <= last.end, algebra.spans(partitions)))
    assert algebra.count(partitions, last.end) == walked == later + 1


def test_a_step_that_would_read_very_many_partitions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolution, "MAX_READ", 20)
    partitions = TimePartitions("day", "2024-01-01") * StaticPartitions(tuple("abcde"), "key")
    now = datetime(2024, 6, 1, tzinfo=UTC)

    def read(start: int) -> int:
        mapping = ByDim((("key", All()), ("time", Window(start, 0))))
        return len(resolution.upstream_keys(mapping, partitions, partitions, "2024-03-01|a", now))

    assert read(-3) == 20
    with pytest.raises(RequestError, match="would read 25 partitions"):
        read(-4)
