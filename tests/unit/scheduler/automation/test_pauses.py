"""Pauses: what is held back by which of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hedgerow_scheduler.automation.pauses import Pause, PauseKind, Pauses

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def pause(kind: PauseKind, name: str, until: datetime | None = None) -> Pause:
    return Pause(kind, name, "ann", "migration", NOW, until)


@pytest.mark.parametrize(
    ("kind", "name", "holds"),
    [
        ("platform", "", "team asset schedule"),
        ("team", "sales", "team asset schedule"),
        ("team", "ml", ""),
        ("asset", "orders", "asset"),
        ("asset", "other", ""),
        ("schedule", "sales/nightly", "schedule"),
        ("schedule", "ml/nightly", ""),
    ],
)
def test_a_pause_holds_what_it_names_and_what_is_in_it(kind: PauseKind, name: str, holds: str) -> None:
    one = pause(kind, name)
    pauses = Pauses([one])
    found = {
        "team": pauses.over_team("sales", NOW),
        "asset": pauses.over_asset("sales", "orders", NOW),
        "schedule": pauses.over_schedule("sales", "sales/nightly", NOW),
    }
    assert [what for what, held in found.items() if held is one] == holds.split()
    assert all(held in (one, None) for held in found.values())


def test_a_pause_ends_by_itself_at_its_time() -> None:
    pauses = Pauses([pause("platform", "", NOW + timedelta(hours=1)), pause("team", "sales")])
    held = pauses.over_team("sales", NOW)
    assert held is not None
    assert held.kind == "platform"
    later = pauses.over_team("sales", NOW + timedelta(hours=1))
    assert later is not None
    assert later.kind == "team"
    assert str(held) == "platform is paused by ann until 2026-11-26 13:00 UTC: migration"
    assert str(later) == "team sales is paused by ann: migration"
