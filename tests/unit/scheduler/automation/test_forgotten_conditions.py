"""What conditions that are gone were made into is not kept for ever."""

from __future__ import annotations

import pytest
from support.automated import Made, Stage

from hedgerow.conditions.model import Debounce, Missing
from hedgerow_scheduler.automation import declared


def test_programs_of_conditions_that_are_gone_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declared, "KEPT_UNUSED", 5)
    kept = Made(("up",), Missing())
    stage = Stage({"up": Made(), "kept": kept}, "2026-01-05T12:00")
    for number in range(50):
        stage.deploy({"up": Made(), "kept": kept, "down": Made(("up",), Debounce(Missing(), 1_000 + number))})
        stage.settle()
    assert len(stage.engine.declared._programs) <= 10
    assert stage.play("make up", "make kept", "wait 2s") == ["down"]
