"""The judge's work at the end: every group of partitions, all limits, all events."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from chaos.checker import Excused, Violation, check, over_rate, over_slots
from chaos.history import Fault, History
from chaos.soak import record, workload
from chaos.soak.feeder import Launched
from chaos.soak.ledger import Ledger

SHOWN = 8


@dataclass
class Findings:
    """What the judge has found, and how much it has looked at. `shown` are violations with the history that they are of."""

    steps: int = 0
    attempts: int = 0
    executions: int = 0
    events: int = 0
    violations: list[Violation] = field(default_factory=list)
    excused: list[Excused] = field(default_factory=list)
    shown: list[tuple[Violation, History]] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """How many violations of a kind."""
        return sum(violation.kind == kind for violation in self.violations)

    def add(self, violations: Sequence[Violation], history: History) -> None:
        """Takes in violations of a history, of which the first are kept to be shown."""
        self.violations += violations
        self.shown += [(each, history) for each in violations[: SHOWN - len(self.shown)]]


def judge(url: str, launched: Sequence[Launched], root: Path, faults: Sequence[Fault]) -> Findings:
    """Judges everything that is recorded, and says how far it is."""
    found = Findings()
    began = time.monotonic()
    with psycopg.connect(url) as connection:
        for number, history in enumerate(record.histories(connection, launched, root, faults), 1):
            verdict = check(history)
            found.steps += len(history.steps)
            found.attempts += len(history.attempts)
            found.executions += len(history.executions)
            found.excused += verdict.excused
            found.add(verdict.violations, history)
            if number % 16 == 0:
                _say(f"{number} of {workload.GROUPS} groups are judged, {found.steps:,} steps", began)
        limited = record.limited(connection)
        found.add([*over_slots(limited), *over_rate(limited)], limited)
        ledger = Ledger()
        for team, worker, body in record.events(connection):
            ledger.add(team, worker, body)
        found.events = ledger.count
        found.violations += ledger.violations()
        _say(f"{found.events:,} events are judged", began)
    return found


def _say(what: str, began: float) -> None:
    print(f"{what} ({time.monotonic() - began:.0f} s)", flush=True)
