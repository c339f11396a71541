"""Properties of partitions, over zones that set their clocks in every way we know of."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.partitions import (
    Partitions,
    contains,
    count,
    join_key,
    key_range,
    keys,
    mapping,
    split_key,
    static,
    upstream_keys,
    window,
)
from hedgerow.partitions.calendar import span_at, span_of, spans_before, spans_from
from hedgerow.partitions.model import Cadence, TimePartitions

ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Oslo",
        "America/New_York",
        "America/Sao_Paulo",
        "America/Havana",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "Africa/Casablanca",
    ]
)
CRONS = ["0 6 * * MON-FRI", "30 */3 * * *", "0 0 L * *", "30 1,2 * * *", "*/30 0-3 * 3,10,11 *"]
CADENCES: st.SearchStrategy[Cadence] = st.sampled_from(["hour", "day", "week", "month", *CRONS])
DAYS = st.dates(date(2005, 1, 1), date(2026, 12, 31))
EPOCH = datetime(2005, 1, 1, tzinfo=UTC)
INSTANTS = st.integers(0, 22 * 365 * 86_400).map(lambda seconds: EPOCH + timedelta(seconds=seconds))


def floor(cadence: Cadence, day: date) -> date:
    """A day on which a window of this cadence starts."""
    if cadence == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if cadence == "month" else day


@st.composite
def time_partitions(draw: st.DrawFn) -> TimePartitions:
    cadence, tz = draw(CADENCES), draw(ZONES)
    spans = spans_from(cadence, tz, floor(cadence, draw(DAYS)))
    start = next(spans)
    last = next(islice(spans, draw(st.integers(0, 60)), None))
    return TimePartitions(cadence, start.key, last.key if draw(st.booleans()) else None, tz)


@given(CADENCES, ZONES, DAYS)
def test_windows_tile_time_and_each_is_found_by_its_key_and_by_its_instants(
    cadence: Cadence, tz: str, day: date
) -> None:
    spans = list(islice(spans_from(cadence, tz, floor(cadence, day)), 30))
    assert all(one.end == other.start for one, other in pairwise(spans))
    assert len({span.key for span in spans}) == len(spans)
    for span in spans:
        assert span.start < span.end
        assert span_of(cadence, tz, span.key) == span
        assert span_at(cadence, tz, span.start) == span
        assert span_at(cadence, tz, span.end - timedelta(microseconds=1)) == span
        # A window starts at the local time that its key names, unless the clocks skipped that very moment.
        local = span.start.astimezone(ZoneInfo(tz))
        assert local.isoformat().startswith(span.key.replace("b", ""))


@given(CADENCES, ZONES, INSTANTS)
def test_every_instant_lies_in_one_window_and_the_one_before_ends_where_it_starts(
    cadence: Cadence, tz: str, instant: datetime
) -> None:
    span = span_at(cadence, tz, instant)
    assert span.start <= instant < span.end
    assert next(spans_before(cadence, tz, span)).end == span.start


@given(time_partitions(), st.timedeltas(timedelta(days=-2), timedelta(days=90)))
def test_count_and_contains_agree_with_the_list_of_keys(partitions: TimePartitions, since_start: timedelta) -> None:
    first = span_of(partitions.cadence, partitions.tz, partitions.start)
    assert first is not None
    now = first.start + since_start
    existing = keys(partitions, now)
    assert count(partitions, now) == len(existing)
    assert all(contains(partitions, key, now) for key in existing)
    windows = [span for key in existing if (span := window(partitions, key))]
    assert all(end <= now for _, end in windows)
    assert all(one[1] == other[0] for one, other in pairwise(windows))
    if existing:
        assert existing[0] == partitions.start
        assert key_range(partitions, existing[0], existing[-1], now) == existing


@given(CADENCES, ZONES, CADENCES, ZONES, DAYS, st.integers(-40, 40))
def test_a_time_partition_reads_exactly_the_upstream_windows_that_overlap_it(
    cadence: Cadence, tz: str, upstream_cadence: Cadence, upstream_tz: str, day: date, shift: int
) -> None:
    down = next(spans_from(cadence, tz, floor(cadence, day)))
    downstream = TimePartitions(cadence, down.key, tz=tz)
    before = timedelta(days=300 if "11" in upstream_cadence else 70)
    run = spans_from(upstream_cadence, upstream_tz, floor(upstream_cadence, day - before))
    around = list(takewhile(lambda span: span.start < down.end + timedelta(days=2), run))
    first = around[max(0, min(len(around) - 1, len(around) // 2 + shift))]
    upstream = TimePartitions(upstream_cadence, first.key, tz=upstream_tz)
    expected = [
        span.key for span in around if span.start < down.end and span.end > down.start and span.start >= first.start
    ]
    assert list(upstream_keys(None, downstream, upstream, down.key, down.start)) == expected


@given(time_partitions(), st.integers(-5, 5), st.integers(0, 5))
def test_a_window_mapping_reads_consecutive_partitions(partitions: TimePartitions, start: int, length: int) -> None:
    endless = msgspec.structs.replace(partitions, end=None)
    run = list(
        islice(spans_from(partitions.cadence, partitions.tz, date.fromisoformat(f"{partitions.start}-01"[:10])), 40)
    )
    at = next(index for index, span in enumerate(run) if span.key == partitions.start) + 10
    expected = tuple(span.key for span in run[at + start : at + start + length + 1])
    assert upstream_keys(mapping.window(start, start + length), endless, endless, run[at].key, run[0].start) == expected


@given(time_partitions(), st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=4, unique=True))
def test_keys_of_a_product_come_apart_and_together_and_all_exist(partitions: TimePartitions, names: list[str]) -> None:
    both = partitions * static(*names, dim="name")
    now = (window(partitions, partitions.start) or (EPOCH, EPOCH))[1] + timedelta(days=40)
    existing = keys(both, now)
    assert len(set(existing)) == len(existing) == count(both, now)
    for key in existing[:50]:
        assert contains(both, key, now)
        assert join_key(both, split_key(both, key)) == key


@given(time_partitions())
def test_partitions_survive_the_wire(partitions: TimePartitions) -> None:
    both = partitions * static("a", dim="name")
    assert msgspec.json.decode(msgspec.json.encode(both), type=Partitions) == both
