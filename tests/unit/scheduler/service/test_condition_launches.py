"""What conditions request becomes runs over as many cycles as it takes, and what is too much for one is told."""

from __future__ import annotations

import msgspec
import pytest
from support.arena import Arena, Played
from support.forgetful import Forgetful
from support.scheduling import asset, manifest
from support.trial import NOW, settings

from hedgerow.conditions.model import Missing
from hedgerow.manifest import model
from hedgerow.partitions.model import StaticPartitions
from hedgerow_scheduler.service import automating, condition_launches

KEYS = StaticPartitions(tuple("abcd"))


def requesting(key: str) -> tuple[tuple[model.Asset, ...], model.Computation]:
    (made,), computation = asset(key, partitions=KEYS)
    return (msgspec.structs.replace(made, automation=Missing()),), computation


@pytest.fixture
def store() -> Forgetful:
    return Forgetful(NOW, ["sales"])


def deployed(store: Forgetful, *keys: str) -> Arena:
    """A leader that has just recorded a manifest with these assets."""
    arena, worker = Arena(store, settings()), Played("sales", "sales")
    arena.step()
    arena.publish(worker, model.encode(manifest("sales", *map(requesting, keys))))
    return arena


def test_more_than_one_run_takes_is_told_at_the_asset_and_nothing_is_launched(
    store: Forgetful, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(condition_launches, "MOST_REQUESTED", 3)
    deployed(store, "x").step(3)
    assert store.planned == []
    assert "4 partitions are requested at once; conditions launch at most 3" in store.evaluations["x"]


def test_each_cycle_launches_what_there_is_time_for_and_memories_are_stored_with_the_last(
    store: Forgetful, monkeypatch: pytest.MonkeyPatch
) -> None:
    arena = deployed(store, "x", "y", "z")
    arena.step()
    monkeypatch.setattr(automating, "TURN_S", 0.0)
    seen = [(len(store.planned), set(store.memories))]
    for _ in range(12):
        arena.step()
        if (now := (len(store.planned), set(store.memories))) != seen[-1]:
            seen.append(now)
    assert store.planned == [("automation", 4)] * 3
    assert store.evaluations == {"x": "", "y": "", "z": ""}
    assert all(launched == 3 for launched, memories in seen if memories)
