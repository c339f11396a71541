"""Declaring reactions: what is lowered, what is refused where it is written, and how they are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

import hedgerow as hr
from hedgerow.binding import bind
from hedgerow.bound import Surroundings
from hedgerow.declarations import Declarations
from hedgerow.errors import Problem
from hedgerow.manifest.lowering import Sources
from hedgerow.manifest.model import Reaction, Retry

KINDS: Any = "run_failed"


def bound(*functions: Any) -> tuple[dict[str, Any], list[Problem]]:
    declared = Declarations()
    for function in functions:
        declared.add(function, function.lowered.name)
    found = bind(declared, Surroundings(complete=False), Sources())
    return dict(found.evaluables), found.problems


def test_what_is_declared_is_what_the_manifest_carries() -> None:
    @hr.on_event("run_failed", "asset_late", assets="group:sales+", severity="error", retry=5, timeout="2m")
    def page(event: hr.Event) -> None:
        """Wakes someone."""

    lowered = msgspec.structs.replace(page.lowered, source=None)
    assert lowered == Reaction(
        "page", ("asset_late", "run_failed"), "group:sales+", "error", Retry(5), 120_000, "Wakes someone."
    )
    assert page(hr.Event("run_failed")) is None


class Pager(hr.Resource):
    paged: list[str] = []

    def page(self, text: str) -> None:
        self.paged.append(text)


def test_it_is_called_with_the_event_and_resources_sync_or_async() -> None:
    pager = Pager()

    @hr.on_event("check_failed")
    async def tell(event: hr.Event, pager: Pager) -> int:
        pager.page(f"{event.asset} {event.check}")
        return 3

    declared = Declarations()
    declared.add(tell, "tell")
    declared.add(pager, "pager")
    found = bind(declared, Surroundings(complete=False), Sources())
    assert found.problems == []
    event = hr.Event("check_failed", assets=("sales/orders",), check="rows")
    assert found.evaluables["reaction", "tell"].call(msgspec.json.encode(event)) is None
    assert Pager.paged == ["sales/orders rows"]


@pytest.mark.parametrize(
    ("declare", "code", "says"),
    [
        (lambda f: hr.on_event()(f), "HR-D012", "at least one of: run_failed"),
        (lambda f: hr.on_event("run_faled")(f), "HR-D012", "Did you mean 'run_failed'?"),
        (lambda f: hr.on_event(3)(f), "HR-D012", "Kinds are"),
        (lambda f: hr.on_event(KINDS, severity="fatal")(f), "HR-D012", "'warn', 'error'"),
        (lambda f: hr.on_event(KINDS, timeout="0s")(f), "HR-D012", "above zero"),
        (lambda f: hr.on_event(KINDS, timeout="3d")(f), "HR-D012", "from 1s to"),
        (lambda f: hr.on_event(KINDS, assets=["orders"])(f), "HR-D012", "selection such as"),
        (lambda f: hr.on_event(KINDS, retry=-1)(f), "HR-D012", "from 0 on"),
        (lambda f: hr.on_event(KINDS, name="Page Me")(f), "HR-D002", "lower-case"),
        (lambda f: hr.on_event(KINDS, evry="1m")(f), "HR-D012", "Known are"),
    ],
)
def test_a_mistake_is_told_with_its_remedy(declare: Callable[[Any], Any], code: str, says: str) -> None:
    def tell(event: hr.Event) -> None: ...

    (problem,) = declare(tell).problems
    assert (problem.code, says in problem.remedy) == (code, True)


def test_a_parameter_that_is_neither_the_event_nor_a_resource_and_a_second_of_its_name_are_refused() -> None:
    @hr.on_event("run_failed")
    def tell(event: hr.Event, orders: int) -> None: ...

    @hr.on_event("run_failed", name="tell")
    def other(event: hr.Event) -> None: ...

    _, problems = bound(tell, other)
    assert [(problem.code, "hr.Event" in problem.message) for problem in problems] == [
        ("HR-D005", True), ("HR-D018", False),
    ]  # fmt: skip
