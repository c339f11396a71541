"""Which orders a worker begins."""

from __future__ import annotations

from typing import Any

import pytest

from hedgerow.protocol.orders import StepOrder
from hedgerow_workers.acceptance import Audience, refusal

AUDIENCE = Audience("d", "sales", "l", "m")
ORDER = StepOrder("d", "sales", "l", "q", "run", "step", "attempt", 1, "m", "c", ("c",))
NOW_MS = 1_000_000


def _code(accepting: bool = True, **changes: Any) -> str | None:
    plain = {name: getattr(ORDER, name) for name in ORDER.__struct_fields__}
    why = refusal(StepOrder(**{**plain, **changes}), AUDIENCE, accepting, NOW_MS)
    return None if why is None else why.code


def test_an_order_for_us_is_begun() -> None:
    assert _code() is None
    assert _code(start_before_ms=NOW_MS) is None


def test_an_order_that_comes_too_late_is_refused() -> None:
    assert _code(start_before_ms=NOW_MS - 1) == "HR-X101"


def test_a_worker_that_leaves_or_cannot_keep_events_refuses_all() -> None:
    assert _code(accepting=False) == "HR-X102"


@pytest.mark.parametrize("what", ["deployment", "team", "location", "manifest"])
def test_an_order_for_another_audience_is_refused(what: str) -> None:
    assert _code(**{what: "other"}) == "HR-X103"
