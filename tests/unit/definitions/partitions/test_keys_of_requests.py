"""Keys that people ask for: what exists, what does not, and what they are told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hedgerow.errors import RequestError
from hedgerow.partitions import (
    Partitions,
    check_key,
    count,
    daily,
    join_key,
    key_range,
    keys,
    monthly,
    split_key,
    static,
    window,
)

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
DAYS = daily("2024-01-01")
COUNTRIES = static("norway", "sweden", "denmark", dim="country")
BOTH = DAYS * COUNTRIES


@pytest.mark.parametrize(
    ("partitions", "key", "code", "words"),
    [
        (DAYS, "2024-02-30", "HR-Q101", "There are 2024-01-01..2024-02-29 (day, UTC)."),
        (DAYS, "2023-12-31", "HR-Q101", "2024-01-01..2024-02-29"),
        (DAYS, "2024-03-01", "HR-Q102", "not complete before 2024-03-02T00:00+00:00"),
        (DAYS, None, "HR-Q101", "no partition was given"),
        (None, "2024-01-01", "HR-Q101", "not partitioned"),
        (COUNTRIES, "norwy", "HR-Q101", "Did you mean 'norway'?"),
        (COUNTRIES, "xyz", "HR-Q101", "There are: norway, sweden, denmark."),
        (BOTH, "2024-01-01", "HR-Q101", "must join 2 keys, time, country"),
        (BOTH, "2024-01-01|swedn", "HR-Q101", "in dimension 'country'"),
        (monthly("2030-01"), "2030-01", "HR-Q102", "There are none yet; the first starts at 2030-01"),
    ],
)
def test_a_key_that_does_not_exist_is_refused_with_what_does(
    partitions: Partitions | None, key: str | None, code: str, words: str
) -> None:
    with pytest.raises(RequestError) as raised:
        check_key(partitions, key, NOW)
    assert raised.value.code == code
    assert words in str(raised.value)


def test_keys_that_exist_pass() -> None:
    check_key(None, None, NOW)
    check_key(DAYS, "2024-02-29", NOW)
    check_key(BOTH, "2024-02-29|sweden", NOW)


def test_a_range_holds_both_its_ends() -> None:
    assert key_range(DAYS, "2024-02-28", "2024-02-29", NOW) == ("2024-02-28", "2024-02-29")
    assert key_range(COUNTRIES, "norway", "sweden", NOW) == ("norway", "sweden")


def test_a_range_of_a_product_is_the_product_of_ranges() -> None:
    assert key_range(BOTH, "2024-01-01|norway", "2024-01-02|sweden", NOW) == (
        "2024-01-01|norway",
        "2024-01-01|sweden",
        "2024-01-02|norway",
        "2024-01-02|sweden",
    )


@pytest.mark.parametrize(
    ("first", "last", "code"),
    [("2024-02-02", "2024-02-01", "HR-Q103"), ("2024-02-01", "2024-04-01", "HR-Q102"), ("x", "2024-02-01", "HR-Q101")],
)
def test_a_range_that_runs_backwards_or_ends_nowhere_is_refused(first: str, last: str, code: str) -> None:
    with pytest.raises(RequestError) as raised:
        key_range(DAYS, first, last, NOW)
    assert raised.value.code == code


def test_the_last_dimension_of_a_product_varies_fastest() -> None:
    assert keys(BOTH, NOW)[:4] == ("2024-01-01|norway", "2024-01-01|sweden", "2024-01-01|denmark", "2024-01-02|norway")
    assert count(BOTH, NOW) == 60 * 3


def test_a_key_comes_apart_by_dimension_and_together_again() -> None:
    assert split_key(BOTH, "2024-01-01|norway") == {"time": "2024-01-01", "country": "norway"}
    assert join_key(BOTH, {"country": "norway", "time": "2024-01-01"}) == "2024-01-01|norway"
    with pytest.raises(RequestError):
        join_key(BOTH, {"time": "2024-01-01"})


def test_only_partitions_with_one_dimension_of_time_have_a_window() -> None:
    assert window(COUNTRIES, "norway") is None
    assert window(BOTH, "2024-01-01|norway") == window(DAYS, "2024-01-01")
