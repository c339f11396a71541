"""Hostile teams: whatever one sends, it is folded or put aside, and what is another's stays as it is."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.hostile import envelopes, events
from support.scheduling import World, asset, manifest, multi, picture, planned, token_of

from hedgerow.errors import RequestError
from hedgerow_scheduler.ingest.fold import Entry
from hedgerow_scheduler.recovery.leases import reap

SALES = manifest("sales", asset("a"), asset("b", "a"), multi(("x", "y")))
OTHER = manifest("other", asset("other/o"))


def under_attack() -> tuple[World, list[tuple[str, str]]]:
    """Two teams with attempts that run, are dispatched, are lost; what the hostile one may know of them."""
    world = World(SALES, OTHER)
    world.beat("sales", slots=9)
    world.beat("other", "w9", slots=9)
    world.start("*")
    attempts = world.cycle()
    for attempt in attempts[1:]:
        world.begin(attempt, worker="w1" if attempt.step.team == "sales" else "w9")
    world.recorded()
    return world, [(attempt.id, attempt.token or token_of(attempt)) for attempt in attempts]


def others(world: World) -> dict[str, Any]:
    """What the picture says of the other team."""
    whole = picture(world.snapshot)
    of_other = {a.id for a in world.snapshot.attempts.values() if a.step.team == "other"}
    return {
        "attempts": {key: value for key, value in whole["attempts"].items() if key in of_other},
        "held": {queue: count for queue, count in whole["held"].items() if queue[0] == "other"},
        "locks": {lock: attempt for lock, attempt in whole["locks"].items() if lock[0] == "other/o"},
        "in force": whole["in force"].get(("other", "other")),
        "owner": whole["owners"]["other/o"],
        "sequences": {key: value for key, value in whole["sequences"].items() if key[0] == "other"},
        "workers": {key for key in world.snapshot.workers if key[0] == "other"},
    }


_, ATTEMPTS = under_attack()


@settings(max_examples=50)
@given(
    st.lists(envelopes(events("sales", ATTEMPTS)), max_size=4),
    st.binary(max_size=60).filter(lambda noise: noise.strip() != b"[]"),
)
def test_nothing_a_team_sends_stops_the_fold_or_touches_another_team(batches: list[list[bytes]], noise: bytes) -> None:
    world, _ = under_attack()
    before, told = others(world), world.fold.counted.total()
    for batch in batches:
        world.receive("sales", *batch)
        world.fold.entry(Entry("sales", "0-0", noise), world.now)
    assert others(world) == before
    # Each event came to exactly one thing, and each entry that is no batch counts as one.
    assert world.fold.counted.total() - told == sum(map(len, batches)) + len(batches)
    assert world.fold.counted["sales", "quarantined"] == len(world.snapshot.changes.quarantined)
    for everything in (True, False):
        with suppress(RequestError):  # a refusal is an answer; nothing else is
            planned(world.snapshot.catalog, "*", all_partitions=everything)
    world.after(seconds=90)
    world.beat("other", "w9", slots=9)
    world.cycle()
    reap(world.snapshot, {}, world.now, world.fold.lease, world.fold.lease)
    changes, effects = world.recorded()
    assert {team for team, *_ in changes.sequences} <= {"sales", "other"}
    assert set(effects.send_manifest.values()) <= {"sales"}
