"""What a key limit counts by: the text of a value in a step's config, partition or tags."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.manifest.keys import MAX_LENGTH, key_of
from hedgerow.partitions import Partitions, daily, join_key, static

DAYS_BY_COUNTRY = daily("2024-01-01") * static("no", "se", dim="country")


def of_config(path: str, config: Any) -> str:
    return key_of(f"config.{path}", config, None, None, {})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("eu", "eu"),
        (7, "7"),
        (7.0, "7"),
        (0.5, "0.5"),
        (True, "true"),
        (None, ""),
        ("", ""),
        ([1, "a"], '[1,"a"]'),
        ({"b": 1, "a": "ø"}, '{"a":"ø","b":1}'),
    ],
)
def test_a_value_of_the_config_becomes_text(value: Any, text: str) -> None:
    assert of_config("region", {"region": value}) == text


@pytest.mark.parametrize("config", [None, {}, {"customer": None}, {"customer": "x"}, {"customer": {}}, [], "x", 3])
def test_a_value_that_is_missing_is_the_empty_text(config: Any) -> None:
    assert of_config("customer.id", config) == ""
    assert key_of("tags.tenant", config, None, None, {}) == ""
    assert key_of("partition", config, None, None, {}) == ""
    assert key_of("partition.country", config, None, None, {}) == ""


def test_a_path_goes_down_into_the_config() -> None:
    assert of_config("customer.id", {"customer": {"id": "acme"}}) == "acme"


def test_a_partition_counts_as_a_whole_or_by_one_dimension() -> None:
    def key(per: str, partition: str | None = "2024-01-31|se") -> str:
        return key_of(per, None, partition, DAYS_BY_COUNTRY, {})

    assert key("partition") == "2024-01-31|se"
    assert (key("partition.time"), key("partition.country")) == ("2024-01-31", "se")
    assert key("partition.planet") == ""
    assert key("partition.country", "2024-01-31") == "", "planned before there were countries"


def test_the_name_of_a_tag_may_hold_dots() -> None:
    assert key_of("tags.acme.com/tenant", None, None, None, {"acme.com/tenant": "t"}) == "t"


def test_an_unknown_way_to_count_makes_all_steps_one() -> None:
    assert key_of("planet.x", {"x": 1}, "p", None, {"x": "1"}) == ""


def test_what_the_database_can_not_keep_or_is_too_long_becomes_a_hash() -> None:
    found = {of_config("x", {"x": text}) for text in ("a\0", "\ud800", "y" * 201, "y" * 202)}
    assert len(found) == 4
    assert all(text.startswith("sha256:") and len(text) == 39 for text in found)
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    assert of_config("x", {"x": nested}) == ""
    while nested:
        nested = nested.pop()  # taken apart by hand: freeing it whole would recurse


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


@given(plain, st.text(st.characters(exclude_characters=".")))
def test_any_config_gives_a_short_text_that_the_database_can_keep(value: Any, name: str) -> None:
    key = of_config(name, {name: value})
    assert len(key) <= MAX_LENGTH
    assert "\0" not in key
    key.encode()


@given(plain)
def test_equal_values_give_equal_texts_whatever_their_order_or_way_through_json(value: Any) -> None:
    again = json.loads(json.dumps(value))
    if isinstance(again, dict):
        again = dict(reversed(again.items()))
    assert of_config("x", {"x": value}) == of_config("x", {"x": again})


@given(st.lists(st.sampled_from(["a", "b", "ø", "2024-01-01"]), min_size=1, max_size=4))
def test_each_dimension_of_a_joined_key_is_found_again(parts: list[str]) -> None:
    names = [f"d{number}" for number in range(len(parts))]
    dims = [static("a", "b", "ø", "2024-01-01", dim=name) for name in names]
    partitions: Partitions = dims[0]
    for dim in dims[1:]:
        partitions = partitions * dim
    joined = join_key(partitions, dict(zip(names, parts, strict=True)))
    assert [key_of(f"partition.{name}", None, joined, partitions, {}) for name in names] == parts
