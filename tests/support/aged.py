"""A stage for freshness: assets with policies, a clock, what is made, and what the board tells of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from hedgerow.freshness import Freshness
from hedgerow.manifest.model import Asset, Computation, Manifest
from hedgerow.partitions.model import Partitions
from hedgerow_scheduler.automation.freshness import FreshnessBoard, Status
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest


class Aging(msgspec.Struct, frozen=True):
    """An asset on the stage; an `external` one is only observed."""

    policy: Freshness | None = None
    partitions: Partitions | None = None
    external: bool = False


Assets: TypeAlias = Mapping[str, Aging]
# At a time of 2026 (UTC) something happens, made assets as `key` or `key@partition` or other code, and this is told then, sorted.
Script: TypeAlias = Sequence[tuple[str, str | Assets, str]]


def catalog_of(assets: Assets) -> Catalog:
    """These assets, each made by a step of its own unless it is external."""
    manifest = Manifest(
        "sales",
        "sales",
        assets=tuple(
            Asset(key, computation=None if each.external else key, partitions=each.partitions, freshness=each.policy)
            for key, each in assets.items()
        ),
        computations=tuple(
            Computation(key, (key,), partitions=each.partitions) for key, each in assets.items() if not each.external
        ),
    )
    return Catalog([PublishedManifest("", manifest)])


class Stage:
    """What was made in `made`, for ever; and a board, which another one may take over from."""

    def __init__(self, assets: Assets) -> None:
        self.made: dict[str, dict[str, datetime]] = {}
        self.told: dict[tuple[str, str], Status] = {}
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.board = FreshnessBoard()
        self.assets: Assets = {}
        self.deploy(assets)

    def deploy(self, assets: Assets) -> None:
        """Other code comes into force."""
        self.assets = assets
        for key in self.board.use(catalog_of(assets)):
            wanted, made = self.board.wanted(key, self.now), self.made.get(key, {})
            shown = set(made)
            if wanted is not None:  # as the store reads it
                first = sorted(made, key=lambda name: name.split("|")[wanted.position])[:1]
                shown &= {*wanted.names, *first}
            self.board.learn(key, sorted(((each, made[each]) for each in shown), key=lambda one: one[1]))

    def take_over(self) -> None:
        """Another leader begins with what was recorded."""
        self.board = FreshnessBoard()
        self.board.recall((key, partition, status) for (key, partition), status in self.told.items())
        self.deploy(self.assets)

    def make(self, *names: str) -> None:
        """These assets or partitions of them are made now."""
        for name in names:
            key, _, partition = name.partition("@")
            self.made.setdefault(key, {})[partition] = self.now
            self.board.make(key, partition or None, self.now)

    def turn(self) -> list[str]:
        """What is told now, and remembered as it would be recorded."""
        told = []
        for turned in self.board.turn(self.now):
            pair = (turned.key, turned.partition or "")
            before = self.told.pop(pair, None)
            if turned.status in ("warn", "late"):
                self.told[pair] = turned.status  # type: ignore[assignment]
            assert self.told.get(pair) != before, f"{turned} was told before"
            told.append(f"{turned.status} {turned.key}" + (f"@{turned.partition}" if turned.partition else ""))
        return sorted(told)


def act_out(assets: Assets, script: Iterable[tuple[str, str | Assets, str]]) -> None:
    """Plays a script, and holds each step against what it should tell."""
    stage = Stage(assets)
    for number, (at, happens, wanted) in enumerate(script):
        stage.now = datetime.fromisoformat(f"2026-{at}+00:00")
        if happens == "takeover":
            stage.take_over()
        elif isinstance(happens, str):
            stage.make(*happens.split())
        else:
            stage.deploy(happens)
        due = stage.board.is_due(stage.now)
        told = stage.turn()
        assert " ".join(told) == wanted, f"step {number}: {at} {happens}"
        assert due or not told, f"step {number}: {at} was not due"
