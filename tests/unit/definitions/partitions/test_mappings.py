"""Which upstream partitions a step reads, and which mappings can't work."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hedgerow.errors import RequestError
from hedgerow.partitions import (
    Partitions,
    daily,
    default_mapping,
    hourly,
    mapping,
    monthly,
    static,
    upstream_keys,
    validate_mapping,
    weekly,
)
from hedgerow.partitions.model import All, ByDim, Mapping, Same

NOW = datetime(2024, 12, 31, 12, tzinfo=UTC)
DAYS = daily("2024-01-01", tz="Europe/Oslo")
HOURS = hourly("2024-01-01", tz="Europe/Oslo")
COUNTRIES = static("no", "se", "dk", dim="country")
NORDIC = static("no", "se", dim="country")
DAYS_BY_COUNTRY = DAYS * COUNTRIES


@pytest.mark.parametrize(
    ("downstream", "upstream", "expected"),
    [
        (DAYS, DAYS, Same()),
        (DAYS, HOURS, Same()),
        (None, DAYS, All()),
        (DAYS, None, All()),
        (DAYS_BY_COUNTRY, DAYS_BY_COUNTRY, Same()),
        (DAYS, DAYS_BY_COUNTRY, ByDim(())),
        (DAYS_BY_COUNTRY, DAYS, ByDim(())),
    ],
)
def test_the_default_mapping(downstream: Partitions | None, upstream: Partitions | None, expected: Mapping) -> None:
    assert default_mapping(downstream, upstream) == expected
    assert validate_mapping(None, downstream, upstream) is None


@pytest.mark.parametrize(
    ("chosen", "downstream", "upstream", "key", "expected"),
    [
        pytest.param(None, DAYS, DAYS, "2024-05-01", ("2024-05-01",), id="equal key"),
        pytest.param(
            None, DAYS, daily("2024-06-01", tz="Europe/Oslo"), "2024-05-01", (), id="before the upstream starts"
        ),
        pytest.param(None, DAYS, None, "2024-05-01", (None,), id="the one of an unpartitioned upstream"),
        pytest.param(None, None, None, None, (None,), id="neither partitioned"),
        pytest.param(None, None, static("a", "b"), None, ("a", "b"), id="everything for an unpartitioned downstream"),
        pytest.param(None, HOURS, DAYS, "2024-10-27T02b", ("2024-10-27",), id="hour to day"),
        pytest.param(None, DAYS, monthly("2024-01", tz="Europe/Oslo"), "2024-02-29", ("2024-02",), id="day to month"),
        pytest.param(
            None,
            weekly("2024-01-01"),
            monthly("2024-01"),
            "2024-01-29",
            ("2024-01", "2024-02"),
            id="week over two months",
        ),
        pytest.param(
            None, DAYS, daily("2024-01-01"), "2024-07-02", ("2024-07-01", "2024-07-02"), id="day of another zone"
        ),
        pytest.param(
            None,
            daily("2024-01-01", dim="a"),
            daily("2024-01-01", dim="b"),
            "2024-02-02",
            ("2024-02-02",),
            id="other name",
        ),
        pytest.param(
            mapping.window(-2, 0), DAYS, DAYS, "2024-01-02", ("2024-01-01", "2024-01-02"), id="window clipped"
        ),
        pytest.param(
            mapping.window(-2, -1), DAYS, DAYS, "2024-04-01", ("2024-03-30", "2024-03-31"), id="window before"
        ),
        pytest.param(mapping.window(1, 2), DAYS, DAYS, "2024-04-01", ("2024-04-02", "2024-04-03"), id="window after"),
        pytest.param(
            mapping.window(-1, 0),
            DAYS,
            weekly("2024-01-01", tz="Europe/Oslo"),
            "2024-01-10",
            ("2024-01-01", "2024-01-08"),
            id="weeks",
        ),
        pytest.param(
            mapping.window(-1, 1),
            HOURS,
            HOURS,
            "2024-10-27T02",
            ("2024-10-27T01", "2024-10-27T02", "2024-10-27T02b"),
            id="hours",
        ),
        pytest.param(mapping.last(2), None, DAYS, None, ("2024-12-29", "2024-12-30"), id="last two"),
        pytest.param(mapping.last(), DAYS, static("v1", "v2"), "2024-05-01", ("v2",), id="last static"),
        pytest.param(mapping.last(9), None, monthly("2024-11"), None, ("2024-11",), id="last of fewer"),
        pytest.param(
            mapping.keys({"no": ["a", "b"], "*": "c"}), COUNTRIES, static("a", "b", "c"), "no", ("a", "b"), id="keys"
        ),
        pytest.param(
            mapping.keys({"no": ["a", "b"], "*": "c"}),
            COUNTRIES,
            static("a", "b", "c"),
            "dk",
            ("c",),
            id="any other key",
        ),
        pytest.param(
            mapping.keys({"*": ["2024-01-01|no"]}),
            None,
            DAYS_BY_COUNTRY,
            None,
            ("2024-01-01|no",),
            id="keys of a product",
        ),
        pytest.param(
            None,
            DAYS,
            DAYS_BY_COUNTRY,
            "2024-05-01",
            ("2024-05-01|no", "2024-05-01|se", "2024-05-01|dk"),
            id="dimension missing downstream",
        ),
        pytest.param(None, DAYS_BY_COUNTRY, DAYS, "2024-05-01|se", ("2024-05-01",), id="dimension missing upstream"),
        pytest.param(None, COUNTRIES * DAYS, DAYS_BY_COUNTRY, "se|2024-05-01", ("2024-05-01|se",), id="other order"),
        pytest.param(
            mapping.by_dim(time=mapping.window(-1, 0)),
            DAYS_BY_COUNTRY,
            DAYS_BY_COUNTRY,
            "2024-05-02|se",
            ("2024-05-01|se", "2024-05-02|se"),
            id="one dimension by a window",
        ),
        pytest.param(
            mapping.window(-1, 0),
            DAYS_BY_COUNTRY,
            DAYS,
            "2024-05-02|se",
            ("2024-05-01", "2024-05-02"),
            id="window by name",
        ),
        pytest.param(
            mapping.by_dim(country=mapping.all()),
            DAYS * NORDIC,
            DAYS_BY_COUNTRY,
            "2024-05-02|se",
            ("2024-05-02|no", "2024-05-02|se", "2024-05-02|dk"),
            id="all of one",
        ),
    ],
)
def test_upstream_keys(
    chosen: Mapping | None,
    downstream: Partitions | None,
    upstream: Partitions | None,
    key: str | None,
    expected: tuple[str | None, ...],
) -> None:
    assert validate_mapping(chosen, downstream, upstream) is None
    assert upstream_keys(chosen, downstream, upstream, key, NOW) == expected


@pytest.mark.parametrize(("day", "hours"), [("2024-03-31", 23), ("2024-10-27", 25), ("2024-05-01", 24)])
def test_a_day_reads_all_of_its_hours_whatever_the_clocks_do(day: str, hours: int) -> None:
    assert len(upstream_keys(None, DAYS, HOURS, day, NOW)) == hours


def test_a_window_that_is_not_complete_yet_is_named_all_the_same() -> None:
    assert upstream_keys(None, HOURS, DAYS, "2024-12-31T10", NOW) == ("2024-12-31",)


@pytest.mark.parametrize(
    ("chosen", "downstream", "upstream", "words"),
    [
        (None, DAYS, COUNTRIES, "by day (Europe/Oslo), the upstream by static keys"),
        (None, COUNTRIES, NORDIC, "no partition 'dk'"),
        (mapping.same(), None, DAYS, "there is none"),
        (mapping.window(-1, 0), None, DAYS, "there is none"),
        (mapping.window(-1, 0), COUNTRIES, COUNTRIES, "static keys"),
        (mapping.window(-1, 0), DAYS_BY_COUNTRY, DAYS_BY_COUNTRY, "mapping.by_dim(time=mapping.window(...))"),
        (mapping.last(), DAYS, DAYS_BY_COUNTRY, "mapping.by_dim(time=mapping.last(...))"),
        (mapping.window(-1, 0), DAYS, None, "that has none"),
        (mapping.keys({"no": ["x"]}), NORDIC, NORDIC, "upstream partition 'x'"),
        (mapping.keys({"noo": ["no"]}), NORDIC, NORDIC, "Did you mean 'no'?"),
        (mapping.keys({"no": ["no"]}), NORDIC, NORDIC, "nothing about the downstream partition 'se'"),
        (mapping.by_dim(tme=mapping.all()), DAYS, DAYS_BY_COUNTRY, "Did you mean 'time'?"),
        (mapping.same(), DAYS, DAYS_BY_COUNTRY, "'country'"),
    ],
)
def test_a_mapping_that_does_not_fit_is_a_problem_and_resolves_to_nothing(
    chosen: Mapping | None, downstream: Partitions | None, upstream: Partitions | None, words: str
) -> None:
    problem = validate_mapping(chosen, downstream, upstream)
    assert problem is not None
    assert problem.code == "HR-D107"
    assert words in f"{problem.message} {problem.remedy}"
    if upstream is not None:
        with pytest.raises(RequestError):
            upstream_keys(chosen, downstream, upstream, None, NOW)
