"""Conditions: how they are joined, what is refused, and that they survive the manifest."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from hedgerow.arguments import Arguments
from hedgerow.assets import lower_automation
from hedgerow.conditions import constructors as hr
from hedgerow.conditions.model import And, Condition, Not, Or
from hedgerow.errors import DefinitionError
from hedgerow.site import of_caller


def test_conjunctions_and_disjunctions_are_flat() -> None:
    joined = hr.missing() & hr.failed() & ~hr.in_progress()
    assert joined == And((hr.missing(), hr.failed(), Not(hr.in_progress())))
    assert (hr.missing() | hr.failed() | hr.updated()) == Or((hr.missing(), hr.failed(), hr.updated()))
    assert isinstance((hr.missing() & hr.failed()) | hr.updated(), Or)


@pytest.mark.parametrize(
    "condition",
    [
        hr.eager(),
        hr.eager("7d") | hr.on_missing(),
        hr.on_cron("0 6 * * *", "Europe/Oslo") & hr.deps_checks_passed(),
        hr.any_dep(hr.data_changed(), "raw/orders").debounce("5m").at_most(2, per="1h"),
        hr.all_deps(hr.check_failed("rows"), but="fx/rates", some=True).except_during(
            "0 22 * * *", "8h", "Europe/Oslo"
        ),
        hr.failed().became_true().labeled("it broke"),
    ],
)
def test_a_condition_is_equal_to_what_is_read_back_of_it(condition: Condition) -> None:
    assert msgspec.json.decode(msgspec.json.encode(condition), type=Condition) == condition
    assert len({condition, condition}) == 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: hr.missing() & "missing", "'missing' is not a condition"),
        (lambda: ~hr.any_dep(hr.missing), "is not a condition"),
        (lambda: hr.eager("7 days"), "in_latest_window: '7 days' is no duration"),
        (lambda: hr.missing().debounce("0s"), "debounce: '0s' is not above zero"),
        (lambda: hr.missing().at_most(0, per="1h"), "at_most(0) is no count"),
        (lambda: hr.on_cron("0 6 * * * *"), "has 6 fields instead of five"),
        (lambda: hr.on_cron("@daily"), "has 1 field instead of five"),
        (lambda: hr.on_cron("0 6 * * *", "Europe/Olso"), "Europe/Olso"),
        (lambda: hr.any_dep(hr.missing(), "Raw Orders"), "'Raw Orders' is no asset key"),
        (lambda: hr.check_failed("no such name"), "names no check"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_written(wrong: Callable[[], object], says: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        wrong()
    assert says in caught.value.problems[0].message
    assert caught.value.problems[0].remedy


@pytest.mark.parametrize(
    ("condition", "never"),
    [
        (hr.updated().debounce("5m"), True),
        (hr.any_dep(hr.data_changed(), "raw/orders").debounce("5m").at_most(2, per="1h"), True),
        ((hr.missing() & hr.cron_tick("0 6 * * *")).debounce("5m") | hr.missing(), True),
        (hr.missing().became_true().labeled("gone").debounce("5m"), True),
        (hr.any_dep(hr.updated()).since_handled().debounce("5m"), False),
        ((hr.missing() | hr.updated()).debounce("5m"), False),
        ((~hr.updated()).debounce("5m"), False),
        (hr.eager().debounce("5m"), False),
    ],
)
def test_a_moment_that_is_to_last_is_refused(condition: Condition, never: bool) -> None:
    arguments = Arguments("Asset 'a'", of_caller())
    assert (lower_automation(condition, arguments) is None) == never
    assert [problem.code for problem in arguments.problems] == ["HR-D109"] * never
