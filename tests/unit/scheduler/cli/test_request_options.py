"""The options of `hedgerow materialize` as a run request."""

from __future__ import annotations

from pathlib import Path

import pytest

from hedgerow.errors import RequestError
from hedgerow_scheduler.cli.materialize import parser, request_of
from hedgerow_scheduler.planning.request import PartitionRange, RunRequest


def request(*arguments: str) -> RunRequest:
    return request_of(parser().parse_args(arguments))


def test_partitions_ranges_and_all_are_passed_on() -> None:
    assert request("a", "b+") == RunRequest(("a", "b+"))
    assert request("a", "--partition", "x", "--partition", "y").partitions == ("x", "y")
    assert request("a", "--range", "2024-01-01..2024-01-31").partition_range == PartitionRange(
        "2024-01-01", "2024-01-31"
    )
    assert request("a", "--all-partitions").all_partitions


def test_a_cap_on_steps_at_once_is_passed_on() -> None:
    assert request("a", "--max-concurrent", "4").max_concurrent == 4
    assert request("a").max_concurrent is None


def test_config_comes_as_json_or_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"a": {"limit": 2}}')
    assert request("a", "--config", '{"a": {"limit": 1}}').config == {"a": {"limit": 1}}
    assert request("a", "--config", f"@{tmp_path / 'config.json'}").config == {"a": {"limit": 2}}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["a", "--range", "2024-01-01"], "HR-Q321"),
        (["a", "--range", "..x"], "HR-Q321"),
        (["a", "--config", "{"], "HR-Q321"),
        (["a", "--config", "[1]"], "HR-Q321"),
        (["a", "--config", "@/nowhere"], "HR-Q321"),
        ([], "HR-Q320"),
        (["a", "--partition", "x", "--all-partitions"], "HR-Q320"),
        (["a", "--part", "x"], "HR-Q320"),
        (["a", "--max-concurrent", "0"], "HR-Q320"),
        (["a", "--max-concurrent", "many"], "HR-Q320"),
    ],
)
def test_what_can_not_be_read_is_refused_with_a_remedy(arguments: list[str], code: str) -> None:
    with pytest.raises(RequestError) as caught:
        request(*arguments)
    assert caught.value.code == code
    assert caught.value.problems[0].remedy
