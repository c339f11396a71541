"""What a sensor may return, and what is said when it returns something else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

import hedgerow as hr
from hedgerow.errors import ExecutionError
from hedgerow.protocol.sensing import MAX_CURSOR_BYTES, MAX_RUNS, RequestedRun, SensorAnswer
from hedgerow.sensor_answers import answer_of


@hr.asset
def orders() -> None: ...


NIGHTLY = hr.job("nightly", "group:sales")


@pytest.mark.parametrize(
    ("returned", "answer"),
    [
        (None, SensorAnswer()),
        ([], SensorAnswer()),
        (hr.skip("nothing new"), SensorAnswer(skipped="nothing new")),
        (hr.SensorResult(), SensorAnswer()),
        (hr.SensorResult(cursor=""), SensorAnswer(cursor="")),
        (hr.SensorResult(cursor="7", skipped="nothing new"), SensorAnswer(cursor="7", skipped="nothing new")),
        (hr.RunRequest(), SensorAnswer((RequestedRun(),))),
        ((hr.RunRequest(partition="a"), hr.skip("?")), SensorAnswer((RequestedRun(partitions=("a",)),))),
        ([hr.SensorResult([hr.RunRequest()], "1"), hr.SensorResult([hr.RunRequest()], "2")],
         SensorAnswer((RequestedRun(),) * 2, "2")),
        (hr.RunRequest(partitions=["a", "b", "a"], assets=[orders, "x"], tags={"t": "v"}, dedupe_key="k"),
         SensorAnswer((RequestedRun(("orders", "x"), ("a", "b"), {}, {"t": "v"}, "k"),))),
        (hr.RunRequest(selection=NIGHTLY), SensorAnswer((RequestedRun(("job:nightly",)),))),
        (hr.RunRequest(selection="group:sales+", config={"orders": {"n": 1}}),
         SensorAnswer((RequestedRun(("group:sales+",), (), {"orders": {"n": 1}}),))),
    ],
)  # fmt: skip
def test_whatever_is_returned_becomes_one_answer(returned: Any, answer: SensorAnswer) -> None:
    assert answer_of("Sensor 's'", returned) == answer


def test_the_cursor_of_a_result_counts_before_that_of_the_context() -> None:
    assert answer_of("", None, "of the context").cursor == "of the context"
    assert answer_of("", hr.SensorResult(cursor="returned"), "of the context").cursor == "returned"


def requests(number: int) -> list[hr.RunRequest]:
    return [hr.RunRequest()] * number


def endless() -> Iterator[hr.RunRequest]:
    return (hr.RunRequest(partition=str(number)) for number in count())


@pytest.mark.parametrize(
    ("returned", "code", "told", "remedy"),
    [
        ("orders", "HR-X230", "returned 'orders', a str", "hr.RunRequest"),
        (42, "HR-X230", "returned 42, a int", "hr.RunRequest"),
        ({"orders": 1}, "HR-X230", "a dict", "hr.RunRequest"),
        ([hr.RunRequest(), 7], "HR-X230", "returned 7", "hr.RunRequest"),
        (hr.SensorResult(runs=7), "HR-X230", "runs=7", "list"),
        (hr.SensorResult(runs="abc"), "HR-X230", "runs='abc'", "list"),
        (hr.SensorResult(cursor=7), "HR-X231", "the cursor 7, a int", "json.dumps"),
        (hr.SensorResult(cursor="x" * 10_000_000), "HR-X231", "9.54 MiB; it may have 64 KiB", "dedupe keys"),
        (hr.SensorResult(cursor="a\0"), "HR-X231", "no database holds", "NUL"),
        (hr.SensorResult(cursor="\ud800"), "HR-X231", "no database holds", "NUL"),
        (requests(MAX_RUNS + 1), "HR-X232", "more than 1,000 runs", "fewer"),
        (hr.SensorResult(runs=requests(5_000)), "HR-X232", "more than 1,000 runs", "fewer"),
        (endless(), "HR-X232", "more than 1,000 runs", "fewer"),
        ([hr.RunRequest(config={"a": "x" * 50_000})] * 5, "HR-X232", "it may answer with", "fewer"),
        (hr.RunRequest(dedupe_key="k" * 256), "HR-X233", "dedupe_key of 256 characters", "1 to 255"),
        (hr.RunRequest(dedupe_key=""), "HR-X233", "dedupe_key of 0 characters", "1 to 255"),
        (hr.RunRequest(dedupe_key=7), "HR-X233", "dedupe_key holds 7", "text"),
        (hr.RunRequest(partition=7), "HR-X233", "partition holds 7", "text"),
        (hr.RunRequest(partitions="2024"), "HR-X233", "partitions='2024'", "list"),
        (hr.RunRequest(partition="a", partitions=["b"]), "HR-X233", "both partition and partitions", "one"),
        (hr.RunRequest(assets=[orders], selection="x"), "HR-X233", "both assets and selection", "one"),
        (hr.RunRequest(selection=" "), "HR-X233", "empty selection", "group:sales"),
        (hr.RunRequest(tags={"a": 1}), "HR-X233", "tags={'a': 1}", "255"),
        (hr.RunRequest(tags={"a": "x" * 256}), "HR-X233", "tags=", "255"),
        (hr.RunRequest(config={"a": object()}), "HR-X233", "config", "asset keys"),
        (hr.RunRequest(config=7), "HR-X233", "config", "asset keys"),
        ([hr.RunRequest(), hr.RunRequest(partition="\0")], "HR-X233", "run request 2: partition", "NUL"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_as_a_whole_with_what_to_do(returned: Any, code: str, told: str, remedy: str) -> None:
    with pytest.raises(ExecutionError) as refused:
        answer_of("Sensor 's'", returned)
    (problem,) = refused.value.problems
    assert problem.code == code
    assert told in problem.message
    assert problem.message.startswith("Sensor 's'")
    assert remedy in problem.remedy


def test_a_cursor_of_exactly_the_bound_is_kept() -> None:
    cursor = json.dumps("x" * (MAX_CURSOR_BYTES - 2))
    assert answer_of("Sensor 's'", hr.SensorResult(cursor=cursor)).cursor == cursor
