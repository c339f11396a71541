"""Whether a partition is one that a condition looks at, as `explain` tells it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

import hedgerow as hr
from hedgerow.manifest.model import Asset
from hedgerow.partitions.model import StaticPartitions, TimePartitions
from hedgerow_scheduler.api.conditions import outside_of

DAYS = TimePartitions("day", "2026-03-01")
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("partitions", "condition", "partition", "told"),
    [
        (DAYS, hr.eager(), "2026-03-09", ""),
        (DAYS, hr.eager(), "2026-03-08", "looks at the last complete window (2026-03-09) only, and 2026-03-08"),
        (DAYS, hr.eager(window="3d"), "2026-03-08", ""),
        (DAYS, hr.eager(window="3d"), "2026-03-02", "looks at what ended within 3 d only, and 2026-03-02"),
        (DAYS, hr.eager(window="all"), "2026-03-02", ""),
        (DAYS, hr.missing(), "2026-03-02", ""),
        (DAYS, hr.eager(), "nonsense", ""),
        (DAYS, hr.eager(), None, ""),
        (StaticPartitions(("no", "se")), hr.eager(), "se", ""),
        (TimePartitions("day", "2026-03-10"), hr.eager(), "2026-03-10", "there is none yet"),
    ],
)
def test_a_partition_outside_of_the_window_is_told(
    partitions: Any, condition: Any, partition: str | None, told: str
) -> None:
    asset = Asset("days", "days", partitions=partitions, automation=condition)
    found = outside_of(asset, partition, NOW)
    assert (told in found, bool(found)) == (True, bool(told))
