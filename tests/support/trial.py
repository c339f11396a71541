"""A trial: a stranger's manifest comes into force beside that of a well-behaved team, and time passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from hedgerow.conditions.constructors import eager, on_cron
from hedgerow.conditions.model import Condition
from hedgerow.freshness import FreshWithin
from hedgerow.manifest import model
from hedgerow.partitions.model import TimePartitions
from hedgerow.settings.platform import PlatformSettings, read_platform
from support.arena import Arena, Played
from support.everything import everything
from support.forgetful import Forgetful
from support.mutated import encoded, plain
from support.scheduling import Made, asset, manifest

NOW = datetime(2024, 4, 10, 12, 0, 30, tzinfo=UTC)
READ = ("daily", "hourly", "shifts", "static", "product", "whole")


def _automated(made: Made, condition: Condition) -> Made:
    (made_asset,), computation = made
    return (msgspec.structs.replace(made_asset, automation=condition, freshness=FreshWithin(3_600_000)),), computation


# The other team makes one asset by itself, and two from what the stranger declares.
_FROM = tuple(model.Dependency(f"evil/{name}", name, optional=True) for name in READ)
RAW = manifest(
    "raw",
    _automated(asset("raw/x"), on_cron("*/10 * * * *")),
    _automated(asset("raw/reads", *_FROM), eager()),
    _automated(asset("raw/days", *_FROM[:3], partitions=TimePartitions("day", "2024-04-08")), eager()),
)
WHOLE = everything(NOW)
VALID = encoded(plain(WHOLE))
STRANGER = ("evil", "evil")
# By how much the clock is moved: None to when something is due next.
JUMPS = (None, None, timedelta(minutes=10), timedelta(hours=7), timedelta(hours=7))


def settings() -> PlatformSettings:
    """Settings of a deployment without servers."""
    servers = {"DATABASE": "postgresql://u@h/d", "BROKER": "redis://h", "STORAGE": "/nowhere"}
    return read_platform(None, {"HEDGEROW_NAME": "test"} | {f"HEDGEROW_{name}": url for name, url in servers.items()})


def tried(body: bytes, former: bytes | None = None) -> str:
    """What becomes of a manifest: "" when it is in force, otherwise why it is not. `former` was in force before it.

    Whatever it declares is taken up, comes due, is worked on by a worker that fails now and then, and is taken up by another
    leader. An exception is one that would end a term. Meanwhile the other team's asset is made, or AssertionError.
    """
    store = Forgetful(NOW, ["raw", "evil"])
    arena, raw, evil = Arena(store, settings()), Played("raw", "raw"), Played(*STRANGER)
    arena.step()
    arena.publish(raw, model.encode(RAW))
    arena.beat(raw)
    if former is not None:
        arena.publish(evil, former)
        _passes(arena, store, raw, evil, JUMPS[:1])
    published = arena.publish(evil, body)
    arena.beat(evil)
    arena.step(3)
    if store.in_force.get(STRANGER) != published:
        return store.problems.get(STRANGER) or "quarantined"
    _passes(arena, store, raw, evil, JUMPS)
    assert store.made_times("raw/x") > 0
    follower = Arena(store, settings(), generation=2)
    follower.step()
    _passes(follower, store, raw, evil, JUMPS[:2])
    return ""


def _passes(arena: Arena, store: Forgetful, raw: Played, evil: Played, jumps: tuple[timedelta | None, ...]) -> None:
    for jump in jumps:
        due = arena.loop._next_timer() if jump is None else store.at + jump
        store.at = max(due or store.at, store.at + timedelta(seconds=1))
        arena.beat(raw)
        arena.beat(evil)
        arena.step(2)
        for _ in range(3):
            if not arena.work(raw, evil, fails=lambda number: number % 5 == 4):
                break
            arena.step(2)
