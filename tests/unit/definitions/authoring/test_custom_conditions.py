"""Conditions of a team's own code: declared, joined, asked, and refused where they make no sense."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

import hedgerow as hr
from hedgerow.binding import bind
from hedgerow.bound import Bound, Surroundings
from hedgerow.conditions.bounds import oversize
from hedgerow.conditions.model import And, AnyDep, Custom, Not, Since
from hedgerow.declarations import Declarations
from hedgerow.errors import DefinitionError, ExecutionError
from hedgerow.manifest.lowering import Sources
from hedgerow.manifest.model import CustomCondition
from hedgerow.protocol.conditions import ConditionAnswer, ConditionQuestion

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAYS = ("2026-01-03", "2026-01-04")


def bound(*declared: Any, complete: bool = False) -> Bound:
    found = Declarations()
    for each in declared:
        found.add(each, getattr(each, "__name__", ""))
    return bind(found, Surroundings(frozenset({"default"}), complete=complete), Sources())


def asked(function: Any, *partitions: str) -> ConditionAnswer:
    question = ConditionQuestion("orders", NOW, partitions)
    answer: Any = bound(function).evaluables["condition", function.lowered.name].call(msgspec.json.encode(question))
    assert isinstance(answer, ConditionAnswer)
    return answer


def test_what_is_declared_is_what_the_manifest_carries_and_the_asset_names_it() -> None:
    @hr.condition(every="5m", timeout="10s")
    def is_open() -> bool:
        """While the warehouse is open."""
        return True

    @hr.asset(automation=hr.eager() & is_open)
    def orders() -> int: ...

    @hr.asset(automation=is_open)
    def alone() -> int: ...

    found = bound(is_open, orders, alone, complete=True)
    assert found.problems == []
    lowered = msgspec.structs.replace(found.conditions["is_open"].lowered, source=None)
    assert lowered == CustomCondition("is_open", 300_000, 10_000, "While the warehouse is open.")
    automation = found.assets["orders"].automation
    assert isinstance(automation, And)
    assert automation.of[-1] == Custom("is_open")
    assert found.assets["alone"].automation == Custom("is_open")
    assert is_open()


def test_it_is_joined_and_changed_like_any_other() -> None:
    @hr.condition
    def it() -> bool: ...

    assert it & hr.missing() == And((Custom("it"), hr.missing()))
    assert hr.missing() & it == And((hr.missing(), Custom("it")))
    assert ~it == Not(Custom("it"))
    assert isinstance(it.since_handled(), Since)
    assert it.debounce("5m").quiet_ms == 300_000


def test_it_answers_for_all_or_for_some_of_what_it_was_asked_of() -> None:
    @hr.condition
    def everything(ctx: hr.ConditionContext) -> bool:
        return (ctx.asset, ctx.now) == ("orders", NOW)

    @hr.condition
    async def last(ctx: hr.ConditionContext) -> list[str]:
        return [ctx.partitions[-1]]

    assert asked(everything, *DAYS) == ConditionAnswer(True)
    assert asked(last, *DAYS) == ConditionAnswer(False, DAYS[1:])


@pytest.mark.parametrize("nonsense", [None, 1, "yes", [1], ["2020-01-01"], {"2026-01-03": True}])
def test_what_is_no_answer_is_refused_with_what_would_be_one(nonsense: Any) -> None:
    @hr.condition
    def odd() -> Any:
        return nonsense

    with pytest.raises(ExecutionError) as caught:
        asked(odd, *DAYS)
    assert caught.value.code == "HR-X234"
    assert "ctx.partitions" in caught.value.problems[0].remedy


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ({"every": "0s"}, "HR-D012", "above zero"),
        ({"every": "10ms"}, "HR-D012", "from 1s"),
        ({"every": "40d"}, "HR-D012", "to 24h"),
        ({"timeout": "2d"}, "HR-D012", "from 1s"),
        ({"name": "Is Open"}, "HR-D002", "lower-case"),
        ({"evry": "1m"}, "HR-D012", "Known are"),
    ],
)
def test_a_mistake_is_told_with_its_remedy(options: dict[str, Any], code: str, says: str) -> None:
    def it() -> bool: ...

    (problem,) = hr.condition(**options)(it).problems
    assert (problem.code, says in problem.remedy) == (code, True)


def never() -> Any:
    @hr.condition
    def it() -> bool: ...

    return it


@pytest.mark.parametrize("wrong", [lambda: hr.any_dep(never()), lambda: hr.all_deps(never())])
def test_it_is_not_asked_of_upstream_assets(wrong: Callable[[], Any]) -> None:
    with pytest.raises(DefinitionError, match="not of upstream ones"):
        wrong()
    assert "of upstream assets" in str(oversize(AnyDep(Custom("it"))))


def test_one_that_no_module_declares_is_told_with_the_asset() -> None:
    @hr.asset(automation=hr.eager() & never())
    def orders() -> int: ...

    (problem,) = bound(orders, complete=True).problems
    assert (problem.code, "'orders' asks 'it'" in problem.message) == ("HR-D113", True)
