"""What limits are set to: declared, overridden, and never above what the platform's operators capped."""

from __future__ import annotations

import pytest
from support.scheduling import NOW, asset, catalog_of, manifest

from hedgerow.manifest.model import Pool
from hedgerow.settings.platform import PoolCap, TeamPolicy
from hedgerow_scheduler.limits.limit import LimitId
from hedgerow_scheduler.planning.rules import Override, PlatformLimits, Rules

PLATFORM = PlatformLimits(
    {"sales": TeamPolicy(max_slots=5)},
    {"warehouse": Pool("warehouse", 4, 2.0, 2.0)},
    {"warehouse": PoolCap(slots=6, rate_per_s=5.0)},
)


@pytest.mark.parametrize(
    ("id", "field", "value", "effective"),
    [
        (("pool", "warehouse"), "concurrency", 5, 5),
        (("pool", "warehouse"), "concurrency", 9, 6),
        (("pool", "warehouse"), "concurrency", None, 6),
        (("pool", "warehouse"), "rate", 3.0, 3.0),
        (("pool", "warehouse"), "rate", 8.0, 5.0),
        (("team", "sales"), "concurrency", 8, 5),
        (("team", "sales"), "concurrency", 2, 2),
    ],
)
def test_an_override_made_before_a_cap_was_lowered_counts_up_to_the_cap(
    id: LimitId, field: str, value: float | None, effective: float
) -> None:
    override = Override(*id, field, value, "ada", "why", NOW)
    rules = Rules(catalog_of(manifest("sales", asset("a"))), PLATFORM, [override])
    assert getattr(rules.values(id, NOW), field) == effective


def test_a_cap_touches_only_what_operators_set() -> None:
    platform = PlatformLimits({}, {"api": Pool("api", None, 2.0, 2.0)}, {"api": PoolCap(slots=6)})
    paused = Override("pool", "api", "paused", 0.0, "ada", "why", NOW)
    values = Rules(catalog_of(manifest("sales", asset("a"))), platform, [paused]).values(("pool", "api"), NOW)
    assert (values.concurrency, values.rate) == (None, 2.0)
