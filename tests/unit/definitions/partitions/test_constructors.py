"""What a team may write, and what it is told when it writes something else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

import pytest

from hedgerow.errors import DefinitionError
from hedgerow.partitions import ProductPartitions, daily, hourly, mapping, monthly, static, weekly


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (daily("2024-01-01"), daily(date(2024, 1, 1))),
        (daily("2024-01-01"), daily("2024-01-01T00:00")),
        (hourly("2024-01-01T05"), hourly(datetime.fromisoformat("2024-01-01T05"))),
        (hourly("2024-01-01T05"), hourly("2024-01-01T05:00")),
        (hourly("2018-11-04", tz="America/Sao_Paulo"), hourly("2018-11-04T01", tz="America/Sao_Paulo")),
        (monthly("2024-02"), monthly("2024-02-01")),
        (static("a", "b"), static(["a", "b"])),
    ],
)
def test_different_ways_of_writing_the_same_partitions_are_equal(one: object, other: object) -> None:
    assert one == other


def test_a_product_of_products_is_flat_and_keeps_the_order() -> None:
    days, countries, sizes = daily("2024-01-01"), static("no", "se", dim="country"), static("s", "l", dim="size")
    assert days * countries * sizes == ProductPartitions((days, countries, sizes))
    assert days * (countries * sizes) == ProductPartitions((days, countries, sizes))


@pytest.mark.parametrize(
    ("write", "code", "words"),
    [
        (lambda: daily("2024-01-01") * hourly("2024-01-01"), "HR-D101", "'time'"),
        (lambda: static(), "HR-D102", "at least one"),
        (lambda: static("a", "a"), "HR-D102", "twice"),
        (lambda: static("a|b"), "HR-D102", "'a|b'"),
        (lambda: static("a", ""), "HR-D102", "''"),
        (lambda: daily("2024-01-01", tz="Europe/Olso"), "HR-D103", "Did you mean 'Europe/Oslo'?"),
        (lambda: daily("2024-01-01", tz="../etc"), "HR-D103", "../etc"),
        (lambda: weekly("2024-01-03"), "HR-D104", "use 2024-01-01"),
        (lambda: monthly("2024-01-02"), "HR-D104", "2024-01-02"),
        (lambda: daily("yesterday"), "HR-D104", "local time"),
        (lambda: daily("2024-01-01T06:00"), "HR-D104", "local time"),
        (lambda: daily("2024-01-01T00:00+01:00"), "HR-D104", "local time"),
        (lambda: hourly("2024-03-31T02", tz="Europe/Oslo"), "HR-D104", "2024-03-31T02"),
        (lambda: daily("2024-02-01", "2024-01-01"), "HR-D104", "not after"),
        (lambda: daily("2024-02-01", "2024-02-01"), "HR-D104", "not after"),
        (lambda: daily("2024-01-01", dim="Time"), "HR-D105", "'Time'"),
        (lambda: mapping.window(0, -2), "HR-D106", "mapping.window(-2, 0)"),
        (lambda: mapping.last(0), "HR-D106", "at least 1"),
        (lambda: mapping.keys({}), "HR-D106", "at least one"),
        (lambda: mapping.by_dim(time="all"), "HR-D106", "'time'"),  # type: ignore[arg-type]
    ],
)
def test_a_mistake_is_named_with_its_code_and_the_remedy(write: Callable[[], object], code: str, words: str) -> None:
    with pytest.raises(DefinitionError) as raised:
        write()
    assert raised.value.code == code
    assert words in str(raised.value)


def test_several_mistakes_in_one_call_are_reported_together() -> None:
    with pytest.raises(DefinitionError) as raised:
        static("a", "a", "b|c", dim="Dim")
    assert [problem.code for problem in raised.value.problems] == ["HR-D105", "HR-D102", "HR-D102"]


def test_multiplying_by_something_else_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        daily("2024-01-01") * 3  # type: ignore[operator]
