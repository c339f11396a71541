"""What `on_missing` requests, and when."""

from __future__ import annotations

import pytest
from support.automated import Assets, Made, Script, act_out, pair

from hedgerow.conditions import constructors as hr
from hedgerow.partitions.constructors import daily, hourly, static

DAYS, LANDS = daily("2026-01-01"), static("no", "se")
LAST = hr.on_missing()

SCENARIOS: dict[str, tuple[Assets, Script]] = {
    "what is missing at first is left alone": (pair(LAST), [("make up", ""), ("make up", "")]),
    "days that are missing at first are left alone": (pair(LAST, DAYS, DAYS), [("make up@2026-01-04", ""), ("wait 1h", "")]),
    "a new day without upstream": ({"only": Made((), LAST, DAYS)}, [("at 2026-01-06T00:00", "only@2026-01-05"), ("make only@2026-01-05", "")]),
    "a new day once its upstream is there": (pair(LAST, DAYS, DAYS), [("at 2026-01-06T00:00", ""), ("make up@2026-01-05", "down@2026-01-05"), ("make down@2026-01-05", "")]),
    "an update upstream of what is there asks for nothing": (pair(LAST, DAYS, DAYS), [("at 2026-01-06T00:00; make up@2026-01-05", "down@2026-01-05"), ("make down@2026-01-05", ""), ("make up@2026-01-05", "")]),
    "a day that is no more the last one is passed over": (pair(LAST, DAYS, DAYS), [("at 2026-01-07T00:00", ""), ("make up@2026-01-05", ""), ("make up@2026-01-06", "down@2026-01-06")]),
    "a late day where all are asked for": (pair(hr.on_missing("all"), DAYS, DAYS), [("at 2026-01-07T00:00", ""), ("make up@2026-01-05", "down@2026-01-05"), ("make up@2026-01-03", "")]),
    "a late day within the window": (pair(hr.on_missing("3d"), DAYS, DAYS), [("at 2026-01-07T00:00", ""), ("make up@2026-01-05", "down@2026-01-05")]),
    "a failure is not tried again": ({"only": Made((), LAST, DAYS)}, [("at 2026-01-06T00:00", "only@2026-01-05"), ("fail only@2026-01-05", ""), ("wait 12h", "")]),
    "a day made by hand is not requested": (pair(LAST, DAYS, DAYS), [("at 2026-01-06T00:00", ""), ("make down@2026-01-05", ""), ("make up@2026-01-05", "")]),
    "a chain of new days is requested at once": ({"a": Made((), LAST, DAYS), "b": Made(("a",), LAST, DAYS)}, [("at 2026-01-06T00:00", "a@2026-01-05 b@2026-01-05")]),
    "a new hour": ({"only": Made((), LAST, hourly("2026-01-05T00"))}, [("wait 1h", "only@2026-01-05T12"), ("wait 1h", "only@2026-01-05T13")]),
    "an external upstream is always there": ({"feed": Made(external=True, partitions=DAYS), "down": Made(("feed",), LAST, DAYS)}, [("at 2026-01-06T00:00", "down@2026-01-05")]),
    "the first day of a calendar that begins later": ({"only": Made((), LAST, daily("2026-01-06"))}, [("at 2026-01-07T00:00", "only@2026-01-06"), ("at 2026-01-08T00:00", "only@2026-01-07")]),
    "the last day of a calendar that ends": ({"only": Made((), LAST, daily("2026-01-01", "2026-01-06"))}, [("at 2026-01-06T00:00", "only@2026-01-05"), ("wait 5d", "")]),
    "another leader knows what was missing at first": (pair(hr.on_missing("all"), DAYS, DAYS), [("takeover", ""), ("make up@2026-01-04", ""), ("at 2026-01-06T00:00", ""), ("takeover", ""), ("make up@2026-01-05", "down@2026-01-05")]),
    "every land of a new day": ({"only": Made((), LAST, DAYS * static("no", "se", dim="land"))}, [("at 2026-01-06T00:00", "only@2026-01-05|no only@2026-01-05|se")]),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_requested(name: str) -> None:
    act_out(*SCENARIOS[name])
