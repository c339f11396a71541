"""A stage for conditions: assets by key, a virtual clock, things that happen, and what the engine requests of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec
from pyroaring import BitMap

from hedgerow.conditions.model import Condition
from hedgerow.durations import parse_duration
from hedgerow.manifest.model import Asset, Computation, Dependency, Manifest
from hedgerow.partitions.key_sets import KeySet
from hedgerow.partitions.model import Mapping as PartitionMapping
from hedgerow.partitions.model import Partitions
from hedgerow_scheduler.automation.answers import Said
from hedgerow_scheduler.automation.engine import Engine
from hedgerow_scheduler.automation.facts import Facts
from hedgerow_scheduler.automation.grouping import named
from hedgerow_scheduler.automation.turns import Evaluated
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest


class Made(msgspec.Struct, frozen=True):
    """An asset on the stage. `deps` are upstream keys, or pairs with a mapping."""

    deps: tuple[str | tuple[str, PartitionMapping], ...] = ()
    automation: Condition | None = None
    partitions: Partitions | None = None
    code: str = "v1"
    external: bool = False


Assets: TypeAlias = Mapping[str, Made]
# What happens (events that one turn sees, with "; " between them, or other code) and what is requested then, sorted.
Script: TypeAlias = Sequence[tuple[str | Assets, str]]
NOON = "2026-01-05T12:00"  # a Monday


def pair(condition: Condition, up: Partitions | None = None, down: Partitions | None = None) -> Assets:
    """`down`, with this condition, made from `up`, which has none."""
    return {"up": Made(partitions=up), "down": Made(("up",), condition, down)}


def mapped(condition: Condition, up: Partitions, down: Partitions | None, mapping: PartitionMapping) -> Assets:
    """The same over a mapping of partitions."""
    return {"up": Made(partitions=up), "down": Made((("up", mapping),), condition, down)}


def act_out(assets: Assets, script: Script, now: str = NOON) -> None:
    """Plays a script on a stage and holds each step against what it should request."""
    stage = Stage(assets, now)
    for number, (happens, wanted) in enumerate(script):
        if isinstance(happens, str):
            requested = stage.play(*happens.split("; "))
        else:
            stage.deploy(happens)
            requested = sorted(stage.settle())
        assert " ".join(requested) == wanted, f"step {number}: {happens}"


class Restless(AssertionError):
    """A condition asks for itself without end."""


class Stage:
    """Plays one scenario. What is requested begins at once, as steps that wait do; requests come back as `key` or `key@partition`.

    >>> from hedgerow.conditions.constructors import eager
    >>> stage = Stage({"up": Made(), "down": Made(("up",), eager())}, "2026-01-01T12:00")
    >>> stage.play("make up")
    ['down']
    """

    def __init__(self, assets: Mapping[str, Made], now: str, keys: KeySet | None = None) -> None:
        self.keys = keys or KeySet("team", "customers")
        self.now = datetime.fromisoformat(f"{now}+00:00")
        self.runs: dict[str, frozenset[str]] = {}
        self.coming: dict[str, BitMap] = {}  # what backfills are going to make
        self.engine = Engine(
            lambda run_id, key: key in self.runs.get(run_id, ()), coming=lambda key: self.coming.get(key, BitMap())
        )
        self.evaluated: dict[str, Evaluated] = {}
        self.asked = 0
        self._number = self._data = 0
        self._stored: dict[str, bytes] = {}
        self._versions: dict[str, str] = {}
        self.deploy(assets)
        self.settle()

    def deploy(self, assets: Mapping[str, Made]) -> None:
        """Other code comes into force."""
        self.assets = dict(assets)
        self.engine.use(catalog_of(assets), self.now)

    def take_over(self) -> None:
        """Another engine goes on from what is stored and what is so."""
        former = self.engine
        self._stored |= former.store()
        self.engine = Engine(former.makes, self._stored)
        self.engine.use(catalog_of(self.assets), self.now)
        for key, facts in former.facts.items():
            name, versions = facts.space.key, facts.data_versions or {}
            self.engine.know(
                [
                    (key, name(each), code, versions.get(each, ""))
                    for code, made in facts.by_code.items()
                    for each in made
                ],
                [(key, name(each), check) for check, which in facts.failed_checks.items() for each in which],
                [(key, name(each)) for each in facts.failed],
            )
            self.engine.know_standing(key, facts.warned, facts.late)
            for each, steps in facts.steps.items():
                for number in range(steps):
                    self.engine.know_step(key, name(each), is_out=number >= facts.queued[each])

    def play(self, *events: str) -> list[str]:
        """Lets things happen, all of them before the next turn; returns what is requested until nothing more is due, sorted.

        `make K` (by a run of its own, or one that is under way) · `make K same` (with the same data version) · `begin K` ·
        `start K` (its step goes out) · `fail K` · `together A B` (a run makes both) · `check K NAME fails|passes` · `code K VERSION` · `wait 90m` ·
        `stand K fine|warned|late` (by its freshness policy) ·
        `at 2026-01-02T06:00` (UTC) · `add KEY` and `remove KEY` (of the set `keys` of dynamic partitions) ·
        `answer K NAME yes|no|first|silent` (what a function says: of all, of the first partition of those that there are, nothing) · `takeover`. K may be `key@partition`. Time stops at each instant at which something is due.
        """
        found: list[str] = []
        for event in events:
            found += self._event(event.split())
        return sorted(found + self.settle())

    def before_turn(self) -> None:
        """What stages of another kind do before each turn."""

    def settle(self) -> list[str]:
        """Takes turns until nothing is due."""
        found: list[str] = []
        for _ in range(50):
            if not self.engine.is_due(self.now):
                return found
            self.before_turn()
            outcome = self.engine.turn(self.now)
            assert outcome is not None
            self.asked += outcome.asked
            self.evaluated |= {each.key: each for each in outcome.evaluated}
            requests = named(self.engine, outcome.requests)
            self._number += 1
            run_id = f"run {self._number}"
            self.runs[run_id] = frozenset(requests)
            for key, partitions in requests.items():
                for partition in partitions:
                    self.engine.begin(key, partition)
                    found.append(key if partition is None else f"{key}@{partition}")
        raise Restless(f"the conditions never come to rest; asked for last: {found[-5:]}")

    def _event(self, words: list[str]) -> list[str]:
        what, rest = words[0], words[1:]
        if what in ("wait", "at"):
            return self._until(
                self.now + parse_duration(rest[0]) if what == "wait" else datetime.fromisoformat(f"{rest[0]}+00:00")
            )
        if what in ("add", "remove"):
            (self.keys.add if what == "add" else self.keys.remove)(rest[0])
            self.engine.keys_changed(self.now)
            return []
        if what == "takeover":
            self.take_over()
            return []
        if what == "together":
            self._number += 1
            self.runs[f"run {self._number}"] = frozenset(each.partition("@")[0] for each in rest)
            for each in rest:
                self.engine.begin(*_parts(each))
            return []
        key, partition = _parts(rest[0])
        if what == "answer":
            self._answer(key, rest[1], rest[2])
        elif what == "make":
            self._end(key, partition, True)
            runs = [run_id for run_id, keys in self.runs.items() if key in keys]
            run_id = runs[-1] if runs else f"run of {key}"
            self.engine.materialize(
                key, partition, self.assets[key].code, run_id, self._version(rest[0], "same" in rest)
            )
        elif what == "begin":
            self.engine.begin(key, partition)
        elif what == "start":
            self.engine.start(key, partition)
        elif what == "fail":
            self._end(key, partition, False)
        elif what == "check":
            self.engine.check(key, partition, rest[1], rest[2] == "passes")
        elif what == "stand":
            self._stand(key, partition, rest[1])
        elif what == "code":
            self.deploy({**self.assets, key: msgspec.structs.replace(self.assets[key], code=rest[1])})
        else:
            raise AssertionError(f"nothing is called {what!r}")
        return []

    def _answer(self, key: str, name: str, what: str) -> None:
        if (facts := self.engine.facts.get(key)) is None:
            return
        existing = facts.space.existing(self.now)
        some = Said(None, BitMap(existing[:1]), existing)
        said = {"yes": Said(True), "no": Said(False), "first": some, "silent": None}[what]
        self.engine.hear(key, name, said, self.now)

    def _stand(self, key: str, partition: str | None, how: str) -> None:
        if (facts := self.engine.facts.get(key)) is None:
            return
        which = BitMap([_ordinal(facts, key, partition)])
        warned, late = facts.warned - which, facts.late - which
        self.engine.stand(key, warned | which if how == "warned" else warned, late | which if how == "late" else late)

    def _version(self, name: str, same: bool) -> str:
        """A data version: another one, unless the `same` as this partition's last is wanted."""
        if not same or name not in self._versions:
            self._data += 1
            self._versions[name] = f"data {self._data}"
        return self._versions[name]

    def _end(self, key: str, partition: str | None, succeeded: bool) -> None:
        if (facts := self.engine.facts.get(key)) is None:  # nobody looks at it
            return
        ordinal = _ordinal(facts, key, partition)
        if ordinal not in facts.in_progress:
            self.engine.begin(key, partition)
        if ordinal in facts.queued:
            self.engine.start(key, partition)
        self.engine.end(key, partition, succeeded)

    def _until(self, then: datetime) -> list[str]:
        found: list[str] = []
        while (due := self.engine.next_due()) is not None and due <= then:
            self.now = max(self.now, due)
            found += self.settle()
        self.now = then
        return found


def catalog_of(assets: Mapping[str, Made]) -> Catalog:
    """The catalog of one team that declares these."""
    definitions = [
        Asset(key, None if made.external else key, partitions=made.partitions, automation=made.automation)
        for key, made in assets.items()
    ]
    computations = [
        Computation(key, (key,), tuple(_dependencies(made.deps)), made.partitions, code_version=made.code)
        for key, made in assets.items()
        if not made.external
    ]
    manifest = Manifest("stage", "stage", tuple(definitions), tuple(computations))
    return Catalog([PublishedManifest("0" * 64, manifest)])


def _dependencies(deps: Iterable[str | tuple[str, PartitionMapping]]) -> Iterable[Dependency]:
    for dep in deps:
        yield Dependency(dep) if isinstance(dep, str) else Dependency(dep[0], mapping=dep[1])


def _parts(name: str) -> tuple[str, str | None]:
    key, _, partition = name.partition("@")
    return key, partition or None


def _ordinal(facts: Facts, key: str, partition: str | None) -> int:
    ordinal = facts.space.ordinal(partition)
    assert ordinal is not None, f"{key} has no partition {partition!r}"
    return ordinal
