"""Turns: one asking of everything that may have another answer, and what it comes to."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import msgspec
from pyroaring import BitMap

from hedgerow.cron import Cron
from hedgerow_scheduler.automation.declared import Automated
from hedgerow_scheduler.automation.facts import EMPTY, Facts, Moments
from hedgerow_scheduler.automation.program import Finding

NOBODYS = Facts(None)


class Known(Protocol):
    """What a turn looks at."""

    facts: dict[str, Facts]
    happened: dict[str, Moments]
    makes: Callable[[str, str], bool]


class Evaluated(msgspec.Struct, frozen=True):
    """One asset's evaluation. `problem` says why the condition could not be asked; it is not asked again until the code changes."""

    key: str
    at: datetime
    findings: tuple[Finding, ...]
    requested: BitMap
    problem: str = ""


class Outcome(msgspec.Struct):
    """What a turn came to. `requests` are partitions by asset, `evaluated` those whose findings are not the ones of before; `asked_of` counts by
    team how many conditions were asked.
    """

    requests: dict[str, BitMap] = msgspec.field(default_factory=dict)
    evaluated: list[Evaluated] = msgspec.field(default_factory=list)
    asked_of: Counter[str] = msgspec.field(default_factory=Counter)

    @property
    def asked(self) -> int:
        """How many conditions were asked."""
        return self.asked_of.total()


class Turn:
    """A turn that is under way; also the World that its evaluations look at."""

    def __init__(self, engine: Known, now: datetime, decided: Outcome) -> None:
        self.engine, self.now = engine, now
        self.happened: dict[str, Moments] = engine.happened
        self.crons: dict[str, set[Cron]] = defaultdict(set)
        self.scopes: dict[str, BitMap] = {}
        self.order: list[tuple[int, str]] = []
        self.outcome = decided

    def facts(self, key: str) -> Facts:
        return self.engine.facts.get(key, NOBODYS)

    def moments(self, key: str) -> Moments | None:
        return self.happened.get(key)

    def requesting(self, key: str) -> BitMap:
        return self.outcome.requests.get(key, EMPTY)

    def makes(self, run_id: str, key: str) -> bool:
        return self.engine.makes(run_id, key)

    def mark(self, automated: Automated, scope: BitMap) -> None:
        """The answer may be different for these partitions."""
        if not scope:
            return
        known = self.scopes.get(automated.key)
        if known is None:
            heapq.heappush(self.order, (automated.rank, automated.key))
            self.scopes[automated.key] = BitMap(scope)
        else:
            known |= scope
