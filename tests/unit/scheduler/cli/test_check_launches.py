"""What `hedgerow check` says of schedules before they come due."""

from __future__ import annotations

import msgspec
import pytest
from support.scheduling import NOW, asset, manifest

from hedgerow.manifest.model import Job, Manifest, Schedule, Sensor, Source
from hedgerow.partitions import daily
from hedgerow_scheduler.cli.check_launches import Elsewhere, launch_problems, unknown_selections

RAW = manifest("raw", asset("raw/x"), jobs=(Job("load", "raw/x"),))


def sales(selection: str, **more: object) -> Manifest:
    schedule = Schedule("nightly", selection, "0 2 * * *", source=Source("sales.py", 7, "sales", "nightly"), **more)  # type: ignore[arg-type]
    return manifest(
        "sales",
        asset("orders", "raw/x", partitions=daily("2024-01-01")),
        asset("later", partitions=daily("2030-01-01")),
        asset("totals", config_schema={"type": "object", "properties": {"n": {"type": "integer"}}}),
        jobs=(Job("close", "totals"), Job("broken", "gone")),
        schedules=(schedule,),
    )


@pytest.mark.parametrize(
    ("selection", "more", "expected"),
    [
        ("orders totals", {}, None),
        ("job:close", {}, None),
        ("later", {}, None),  # its first window is not over yet
        ("job:clsoe", {}, ("HR-D026", "No team declares a job 'clsoe'")),
        ("job:broken", {}, ("HR-D026", "No asset matches 'gone'")),
        ("ordres", {}, ("HR-D026", "No asset matches 'ordres'")),
        ("+++", {}, ("HR-Q003", "can't be read")),
        ("totals !totals", {}, ("HR-Q002", "leaves nothing")),
        ("orders", {"partitions": None}, ("HR-Q101", "is partitioned, and no partition")),
        ("totals", {"config": {"totals": {"n": "x"}}}, ("HR-Q007", "'totals.n'")),
        ("totals", {"config": {"orders": {}}}, ("HR-Q005", "'orders'")),
    ],
)
def test_what_a_tick_would_fail_with_is_told_at_the_schedules_line(
    selection: str, more: dict[str, object], expected: tuple[str, str] | None
) -> None:
    one = sales(selection, **more)
    found = list(launch_problems(one, [RAW, one], NOW, None, sees_all=True))
    assert [problem.code for problem in found] == ([expected[0]] if expected else [])
    for problem in found:
        assert problem.message.startswith("Schedule 'nightly': ")
        assert expected is not None
        assert expected[1] in problem.message
        assert problem.remedy
        assert (problem.file, problem.line) == ("sales.py", 7)


@pytest.mark.parametrize(
    ("elsewhere", "sees_all", "wrong"),
    [
        (None, False, False),  # a note says that it was not looked up
        (None, True, True),
        (lambda selection: selection == "job:train", True, False),
        (lambda selection: False, True, True),
    ],
)
def test_what_other_teams_may_declare_is_asked_for_there(elsewhere: Elsewhere, sees_all: bool, wrong: bool) -> None:
    one = sales("job:train")
    assert bool(list(launch_problems(one, [RAW, one], NOW, elsewhere, sees_all))) == wrong
    assert unknown_selections(one, [RAW, one], NOW) == ["job:train"]
    assert unknown_selections(sales("job:load"), [RAW, one], NOW) == []


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("", None),
        ("orders", None),  # of which partition, its requests say
        ("job:close raw/*", None),
        ("job:broken", ("HR-D026", "No asset matches 'gone'")),
        ("ordres", ("HR-D026", "No asset matches 'ordres'")),
        ("+++", ("HR-Q003", "can't be read")),
    ],
)
def test_what_a_sensor_would_fail_with_is_told_at_its_line(selection: str, expected: tuple[str, str] | None) -> None:
    sensor = Sensor("files", selection, source=Source("sales.py", 9, "sales", "files"))
    one = msgspec.structs.replace(sales("totals"), sensors=(sensor,))
    found = [
        (each.code, each.message, each.line) for each in launch_problems(one, [RAW, one], NOW, None, sees_all=True)
    ]
    assert [code for code, _, _ in found] == ([expected[0]] if expected else [])
    for _, message, line in found:
        assert message.startswith("Sensor 'files': ")
        assert expected is not None
        assert expected[1] in message
        assert line == 9
    unknown = [selection] if expected is not None and expected[0] == "HR-D026" else []
    assert unknown_selections(one, [RAW, one], NOW) == unknown
