"""Sensors in a manifest that a stranger wrote."""

from __future__ import annotations

import pytest
from support.scheduling import NOW, asset, external, manifest

from hedgerow.manifest.model import Sensor
from hedgerow.partitions import daily
from hedgerow_scheduler.ingest.bounds import manifest_defect


@pytest.mark.parametrize(
    ("sensors", "told"),
    [
        ((Sensor("a"), Sensor("a")), "two sensors"),
        ((Sensor("a", every_ms=0),), "the times of sensor 'a'"),
        ((Sensor("a", every_ms=10**40),), "the times of sensor 'a'"),
        ((Sensor("a", timeout_ms=-1),), "the times of sensor 'a'"),
        ((Sensor("a", observes="made"),), "observes what it can't"),
        ((Sensor("a", observes="gone"),), "observes what it can't"),
        ((Sensor("a", observes="raw/days"),), "observes what it can't"),
        ((Sensor("a", observes="raw/feed"),), None),
        ((Sensor("a"), Sensor("b", every_ms=86_400_000, timeout_ms=3_600_000)), None),
    ],
)
def test_a_sensor_that_can_not_be_evaluated_is_seen_whatever_a_stranger_says_of_it(
    sensors: tuple[Sensor, ...], told: str | None
) -> None:
    defect = manifest_defect(
        manifest(
            "sales",
            *(asset("made"), external("raw/feed"), external("raw/days", partitions=daily("2024-01-01"))),
            sensors=sensors,
        ),
        NOW,
    )
    assert (told is None) == (defect is None)
    assert told is None or told in (defect or "")
