"""Conditions that could never hold for their asset are refused when its location is loaded."""

from __future__ import annotations

from typing import Any

import pytest

import hedgerow as hr
from hedgerow.binding import bind
from hedgerow.bound import Surroundings
from hedgerow.conditions.model import Condition
from hedgerow.declarations import Declarations
from hedgerow.errors import DefinitionError
from hedgerow.manifest.lowering import Sources


def problems_of(automation: Condition, complete: bool = True, **more: Any) -> list[tuple[str, str, str | None]]:
    """What is wrong with an asset `orders` that is made from `raw` and `fx/rates`, and has a check `rows`."""

    @hr.asset
    def raw() -> int: ...

    @hr.asset(deps=["fx/rates"], automation=automation, **more)
    def orders(raw: int) -> int: ...

    @hr.check("orders")
    def rows(orders: int) -> bool: ...

    found = Declarations()
    for name, each in (("raw", raw), ("orders", orders), ("rows", rows)):
        found.add(each, name)
    around = Surroundings(frozenset({"default"}), complete=complete)
    return [(each.code, each.message, each.remedy) for each in bind(found, around, Sources()).problems]


@pytest.mark.parametrize(
    "automation",
    [
        hr.any_dep(hr.updated(), "raw") | hr.all_deps(hr.missing(), but="fx/rates"),
        hr.any_dep(hr.any_dep(hr.updated(), "further/up")),
        hr.any_dep(hr.check_failed("their_own") | hr.late()),
        hr.check_failed("rows") | hr.check_failed(),
        hr.eager() & hr.deps_checks_passed(),
    ],
)
def test_what_can_hold_is_taken(automation: Condition) -> None:
    assert problems_of(automation) == []


@pytest.mark.parametrize(
    ("automation", "says", "remedy"),
    [
        (hr.any_dep(hr.updated(), "rav"), "asks something of 'rav'", "Did you mean 'raw'?"),
        (~hr.all_deps(hr.missing(), but="fx/rate").labeled("all"), "of 'fx/rate'", "Did you mean 'fx/rates'?"),
        (hr.missing() & hr.check_failed("row"), "its check 'row' failed", "Did you mean 'rows'?"),
        (hr.late("warn").since_handled(), "has no policy of freshness", "fresh_within"),
    ],
)
def test_what_could_never_hold_is_refused_once_all_is_known(automation: Condition, says: str, remedy: str) -> None:
    ((code, message, mending),) = problems_of(automation)
    assert (code, says in message, remedy in str(mending)) == ("HR-D114", True, True)
    assert problems_of(automation, complete=False) == []


def test_with_a_policy_an_asset_may_ask_whether_it_is_late() -> None:
    assert problems_of(hr.late(), freshness=hr.fresh_within("1d")) == []


def test_conditions_are_not_joined_by_words() -> None:
    with pytest.raises(DefinitionError, match="do not join conditions"):
        _ = hr.eager() and hr.missing()
    with pytest.raises(DefinitionError, match="do not join conditions"):
        _ = not hr.missing()
