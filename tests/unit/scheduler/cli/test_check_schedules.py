"""What `hedgerow check` says of schedules before they come due."""

from __future__ import annotations

import pytest
from support.scheduling import NOW, asset, manifest

from hedgerow.manifest.model import Job, Manifest, Schedule, Source
from hedgerow.partitions import daily
from hedgerow_scheduler.cli.check_schedules import Elsewhere, schedule_problems, unknown_selections

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
    found = list(schedule_problems(one, [RAW, one], NOW, None, sees_all=True))
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
    assert bool(list(schedule_problems(one, [RAW, one], NOW, elsewhere, sees_all))) == wrong
    assert unknown_selections(one, [RAW, one], NOW) == ["job:train"]
    assert unknown_selections(sales("job:load"), [RAW, one], NOW) == []
