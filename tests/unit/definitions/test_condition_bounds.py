"""Conditions that are too large, or of numbers and times that no constructor gives, are refused before anyone evaluates them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import reduce

import msgspec
import pytest

from hedgerow.conditions import constructors as hr
from hedgerow.conditions.bounds import MAX_DEPTH, oversize
from hedgerow.conditions.model import AtMost, Condition, CronTick, Debounce, InLatestWindow, Labeled, Missing, Not, Or
from hedgerow.cron import Cron
from hedgerow.manifest.model import Asset, Manifest
from hedgerow_scheduler.ingest.bounds import manifest_defect

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def nested(depth: int) -> Condition:
    return reduce(lambda inner, _: Not(inner), range(depth), Missing())  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    "condition", [hr.eager("7d"), hr.on_cron("0 6 * * *") & hr.deps_checks_passed(), nested(MAX_DEPTH - 1)]
)
def test_what_people_write_is_no_more_than_it_may_be(condition: Condition) -> None:
    assert oversize(condition) is None


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        (nested(MAX_DEPTH + 1), "nested over 50 deep"),
        (Or((Missing(),) * 201), "over 200 operands"),
        (AtMost(Missing(), 10**9, 1000), "at_most(1000000000)"),
        (AtMost(Missing(), 0, 1000), "at_most(0)"),
        (Debounce(Missing(), -1), "not above zero"),
        (InLatestWindow(2**62), "at most ten years"),
        (Labeled(Missing(), "x" * 10_000), "over 200 characters"),
        (CronTick(Cron("* * * * *", "Nowhere/None")), "times that are none"),
        (CronTick(Cron("@daily")), "times that are none"),
        (Not(CronTick(Cron("0 0 31 2 *"))), "times that are none"),
    ],
)
def test_what_no_constructor_gives_is_refused_by_the_scheduler(condition: Condition, says: str) -> None:
    manifest = Manifest("sales", "sales", (Asset("x", automation=condition),))
    assert says in (manifest_defect(manifest, NOW) or "")


@pytest.mark.parametrize("broken", [lambda: nested(900), lambda: nested(300)])
def test_the_depth_is_measured_without_recursion(broken: Callable[[], Condition]) -> None:
    assert oversize(broken()) == "is nested over 50 deep"


def test_what_is_nested_too_deeply_to_be_read_is_an_error_of_reading() -> None:
    body = b'{"type":"not","of":' * 100_000 + b'{"type":"missing"}' + b"}" * 100_000
    with pytest.raises(RecursionError):
        msgspec.json.decode(body, type=Condition)
