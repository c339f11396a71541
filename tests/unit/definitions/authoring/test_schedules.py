"""Schedules as a team declares them, and what it reads when they are declared wrongly."""

from __future__ import annotations

import pytest

from hedgerow.manifest.difference import compare
from hedgerow.manifest.model import Schedule, decode, encode

ASSET = "@hr.asset(group='sales')\ndef orders(): ...\n"


def test_schedules_stand_in_the_manifest_sorted_by_name_which_is_that_of_their_variable(load) -> None:
    location = load(
        ASSET
        + """
nightly = hr.job("close-of-day", "group:sales+", tags={"a": "b"})
nightly_2am = hr.schedule(nightly, "0 2 * * *", tz="Europe/Oslo")
other = hr.schedule("group:sales", " */5 *  * * * ", name="every-five", partitions=None, catch_up="all",
                    config={"orders": {"region": "no"}}, tags={"tier": "gold"}, description="Often.", enabled=False)
"""
    )
    often, nightly = location.manifest.schedules
    assert (nightly.name, nightly.selection, nightly.cron, nightly.tz) == (
        "nightly_2am",
        "job:close-of-day",
        "0 2 * * *",
        "Europe/Oslo",
    )
    assert (nightly.partitions, nightly.catch_up, nightly.enabled) == ("latest", "last", True)
    assert nightly.source is not None
    assert nightly.source.line == 6
    assert nightly.source.name == "nightly_2am"
    assert often == Schedule(
        "every-five", "group:sales", "*/5 * * * *", "UTC", None, "all", {"orders": {"region": "no"}}, {"tier": "gold"},
        "Often.", False, often.source,
    )  # fmt: skip
    assert decode(encode(location.manifest)) == location.manifest


def test_schedules_of_a_loop_are_found_when_each_has_a_name(load) -> None:
    location = load(ASSET + "all = [hr.schedule('orders', f'0 {hour} * * *', name=f'at-{hour}') for hour in (6, 18)]\n")
    assert [one.name for one in location.manifest.schedules] == ["at-18", "at-6"]


@pytest.mark.parametrize(
    ("code", "expected", "told", "remedy"),
    [
        ("s = hr.schedule('orders', '@daily')", "HR-D108", "has 1 field instead of five", "'0 6 * * *'"),
        ("s = hr.schedule('orders', '0 0 6 * * *')", "HR-D108", "has 6 fields instead of five", "'0 6 * * *'"),
        ("s = hr.schedule('orders', '0 0 30 2 *')", "HR-D108", "no time at all", "'0 6 * * *'"),
        ("s = hr.schedule('orders', '61 * * * *')", "HR-D108", "no time at all", "'0 6 * * *'"),
        ("s = hr.schedule('orders', 7)", "HR-D108", "7 is not a cron", "text"),
        ("s = hr.schedule('orders', '0 6 * * *', tz='Europe/Olso')", "HR-D103", "'Europe/Olso'", "Europe/Oslo"),
        ("s = hr.schedule(7, '0 6 * * *')", "HR-D012", "target=7", "group:sales+"),
        ("s = hr.schedule(' ', '0 6 * * *')", "HR-D012", "target=' '", "group:sales+"),
        ("s = hr.schedule('orders', '0 6 * * *', catch_up='lats')", "HR-D012", "'lats'", "Did you mean 'last'?"),
        ("s = hr.schedule('orders', '0 6 * * *', partitions='all')", "HR-D012", "'all'", "'latest', None"),
        ("s = hr.schedule('orders', '0 6 * * *', enabled=1)", "HR-D012", "enabled=1", "True or False"),
        ("s = hr.schedule('orders', '0 6 * * *', tags={'a': 1})", "HR-D012", "tags=", "mapping"),
        ("s = hr.schedule('orders', '0 6 * * *', config={'a': object()})", "HR-D012", "config", "mapping"),
        (
            "s = hr.schedule('orders', '0 6 * * *', checks_only=True, config={'a': 1})",
            "HR-D012",
            "config=",
            "Leave it out",
        ),
        ("S = hr.schedule('orders', '0 6 * * *')", "HR-D002", "'S' is no name", "lower-case"),
        ("s = hr.schedule('orders', '0 6 * * *', name='At six')", "HR-D002", "'At six' is no name", "lower-case"),
        ("s = [hr.schedule('orders', '0 6 * * *'), hr.schedule('orders', '0 7 * * *')]", "HR-D018", "twice", "name="),
        ("s = hr.schedule(hr.job('n', 'orders'), '0 6 * * *')", "HR-D026", "job 'n'", "Bind the job"),
        ("s = hr.schedule('orders', '0 6 * * *', tags={'a': ''})", "HR-D025", "Schedule 's' has a tag", "1 to 255"),
    ],
)
def test_what_is_declared_wrongly_is_told_with_its_line(mistakes, code, expected, told, remedy) -> None:
    (problem,) = mistakes(ASSET + code)
    assert problem.code == expected
    assert told in problem.message
    assert remedy in problem.remedy
    assert problem.line == 4


def test_what_changed_of_schedules_is_told_by_name(load) -> None:
    code = ASSET + "a = hr.schedule('orders', '0 6 * * *')\nb = hr.schedule('orders', '0 7 * * *')\n"
    before = load(code).manifest
    assert not compare(before, load("\n" + code).manifest)
    after = load(code.replace("0 7", "0 8") + "c = hr.schedule('orders', '0 7 * * *')\n").manifest
    assert compare(before, after).schedules == ("b", "c")
