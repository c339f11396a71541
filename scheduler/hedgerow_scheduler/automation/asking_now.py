"""Asking now: what a condition finds of one partition at this moment, asked by someone who wants to know, with no consequence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from pyroaring import BitMap

from hedgerow_scheduler.automation.declared import Automated
from hedgerow_scheduler.automation.facts import EMPTY, Facts, Moments
from hedgerow_scheduler.automation.knowledge import Knowledge
from hedgerow_scheduler.automation.memory import Memory
from hedgerow_scheduler.automation.program import Asking
from hedgerow_scheduler.automation.telling import Operand, operands
from hedgerow_scheduler.automation.turns import NOBODYS


class Found(msgspec.Struct, frozen=True):
    """Whether the condition holds for the partition, whether the scheduler has found it so before (then what follows was requested, and is
    not requested again before it has been otherwise), and every operand, the whole condition first.
    """

    holds: bool
    was_so: bool
    operands: tuple[Operand, ...]


def looked_at(automated: Automated, ordinal: int, now: datetime) -> dict[str, BitMap]:
    """The partitions, by asset, of which a condition wants to know something when it is asked of one of its own."""
    scope = BitMap([ordinal])
    found = {automated.key: scope}
    for key, crossing in automated.deps:
        found[key] = found.get(key, EMPTY) | crossing.upstream(scope, now)
    return found


def ask_now(automated: Automated, ordinal: int, known: Knowledge, memory: Memory, now: datetime) -> Found:
    """Asks. `known` has the facts of what is looked at; `memory` is altered. Nothing happens at this moment: what `updated` and its like
    have been true for is in the memory of those operands that remember it.
    """
    scope = BitMap([ordinal])
    was_so = ordinal in memory.held
    asking = Asking(_Now(now, known.facts), automated.key, automated.deps, memory, frozenset(), scope)
    holds = bool(automated.program.ask(asking))
    findings = ((each.place, each.of, each.asked, each.true) for each in asking.findings)
    return Found(holds, was_so, tuple(operands(automated.program, findings)))


class _Now:
    """A moment at which nothing happens, as evaluations look at it."""

    def __init__(self, now: datetime, facts: Mapping[str, Facts]) -> None:
        self.now, self._facts = now, facts

    def facts(self, key: str) -> Facts:
        return self._facts.get(key, NOBODYS)

    def moments(self, _: str) -> Moments | None:
        return None

    def requesting(self, _: str) -> BitMap:
        return EMPTY

    def makes(self, _: str, __: str) -> bool:
        return False
