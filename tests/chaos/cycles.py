"""Cycle after cycle: strike, hold, heal, wait until things go on; then wait for the end of every run, and judge."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

from chaos.checker import Verdict, Violation, check
from chaos.faults import KINDS, Blow
from chaos.feeder import Feeder
from chaos.history import Fault, History
from chaos.record import read_history
from chaos.recovery import BOUNDS_S, is_owed, recovery_times
from chaos.stage import Stage
from chaos.workload import EXPECTED, TEAMS

RESUME_S = 120.0  # after a fault is healed, things must have gone on by then
END_S = 240.0  # after the last, every run must have ended by then
SETTLE_S = 2.0
LOST_S = 45.0  # a lost step runs again by then
PATIENT = 0.7  # the share of killed workers after which nothing else happens until their steps run again
TWO_AT_ONCE = 0.3  # the share of cycles with two faults together
SHOWN = 8  # violations of which the history is printed

RESUMED = """
SELECT t.name FROM teams t WHERE EXISTS (
  SELECT FROM (SELECT * FROM attempts ORDER BY dispatch_seq DESC LIMIT 500) a
  WHERE a.team = t.name AND a.state = 'succeeded' AND a.dispatched_at > to_timestamp(%s))
"""


class Play:
    """One run of the chaos on a stage. `summary` is what it came to."""

    def __init__(self, stage: Stage, kinds: list[str], seed: int, live: int) -> None:
        self._stage, self._kinds, self._seed = stage, kinds, seed
        self._random = Random(seed)
        self._feeder = Feeder(stage.urls["postgres"], Random(seed + 1), live)
        self._faults: list[Fault] = []
        self._violations: list[Violation] = []
        self.summary: dict[str, Any] = {}

    def all(self, cycles: int, seconds: float) -> bool:
        """Plays so many cycles, or for so long if that is not 0; True when nothing was violated."""
        self._feeder.start()
        until = time.monotonic() + seconds
        try:
            self._resumes(time.time())
            played = 0
            for kinds in self._drawn():
                if not (time.monotonic() < until if seconds else played < cycles):
                    break
                played += 1
                self._cycle(played, kinds)
                if self._violations:
                    break  # things stand still: more faults would only hide why
        finally:
            self._feeder.stop()
        self._let_all_end()
        self._feeder.close()
        history = read_history(
            self._stage.urls["postgres"], self._feeder.launched, self._stage.sink.executions(), self._faults, EXPECTED
        )
        verdict = check(history)
        verdict.violations = [*self._violations, *verdict.violations]
        self.summary = self._summed_up(played, history, verdict)
        for violation in verdict.violations[:SHOWN]:
            _show(violation, history)
        if verdict.violations:
            print(f"SEED {self._seed}: {len(verdict.violations)} violations; logs in {self._stage.root}", flush=True)
        return not verdict.violations

    def _drawn(self) -> Iterator[list[str]]:
        """The kinds of each cycle: every kind comes once before any comes again, now and then two together."""
        bag: list[str] = []
        while True:
            count = 2 if len(self._kinds) > 1 and self._random.random() < TWO_AT_ONCE else 1
            drawn: list[str] = []
            while len(drawn) < count:
                if not bag:
                    bag = self._random.sample(self._kinds, len(self._kinds))
                drawn.append(bag.pop())
            yield sorted(set(drawn))

    def _cycle(self, number: int, kinds: list[str]) -> None:
        self._pause(self._random.uniform(0.5, SETTLE_S))
        blows = [KINDS[kind](self._stage, self._random) for kind in kinds]
        struck: list[tuple[Blow, float, list[int]]] = []
        for blow in blows:
            began = time.time()
            struck.append((blow, began, blow.strike()))
        faults = []
        for blow, began, pids in sorted(struck, key=lambda each: each[1] + each[0].hold_s):
            self._pause(began + blow.hold_s - time.time())
            blow.heal()
            faults.append(Fault(blow.kind, blow.target, began, time.time(), tuple(pids)))
        resumed = self._resumes(time.time())
        for fault in faults:
            self._faults.append(Fault(fault.kind, fault.target, fault.began, fault.healed, fault.pids, resumed))
        if kinds == ["worker_killed"] and self._random.random() < PATIENT:
            self._run_again(self._faults[-1])
        told = "; ".join(f"{f.kind} {f.target} for {f.healed - f.began:.1f} s".replace("  ", " ") for f in faults)
        after = f"went on after {resumed - faults[-1].healed:.1f} s" if resumed else "STANDS STILL"
        print(f"cycle {number:>3}: {told}; {after}", flush=True)

    def _run_again(self, killed: Fault) -> None:
        """Waits until what ran in a killed worker runs again."""
        until = time.monotonic() + LOST_S
        while time.monotonic() < until and is_owed(killed, self._stage.sink.executions()):
            self._pause(0.5)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(0.1, left))
            self._stage.revive()

    def _resumes(self, since: float) -> float | None:
        """When every team had succeeded with a step dispatched since; None, and a violation, when that takes too long."""
        until = time.monotonic() + RESUME_S
        while time.monotonic() < until:
            self._pause(0.2)
            if {row[0] for row in self._stage.ask(RESUMED, (since,))} >= set(TEAMS):
                return time.time()
        self._violations.append(Violation("lost", f"nothing went on within {RESUME_S:.0f} s"))
        return None

    def _let_all_end(self) -> None:
        until = time.monotonic() + END_S
        while time.monotonic() < until and self._feeder.live():
            self._pause(0.5)

    def _summed_up(self, cycles: int, history: History, verdict: Verdict) -> dict[str, Any]:
        times = recovery_times(history)
        most = {kind: round(max(found), 2) for kind, found in sorted(times.items()) if found}
        for kind, bound in BOUNDS_S.items():
            if most.get(kind, 0.0) > bound:
                verdict.violations.append(Violation("late", f"{kind}: {most[kind]} s, more than {bound} s"))
        kinds = ("lost", "recorded_twice", "concurrent_twice", "limit_exceeded", "out_of_order", "late")
        named = {"worker_killed": "worker_killed_s_max", "runner_killed": "runner_killed_s_max"}
        named |= {"leader_killed": "leader_killed_s_max", "worker_drained": "drain_s_max"}
        return {
            "cycles": cycles,
            "seed": self._seed,
            "faults": dict(sorted(Counter(fault.kind for fault in self._faults).items())),
            "runs": len(history.launched),
            "steps": len(history.steps),
            "attempts": len(history.attempts),
            **{kind: verdict.count(kind) for kind in kinds},
            "concurrent_excused": len(verdict.excused),
            "excused": [[each.cause, each.asset, round(each.overlap_s, 2)] for each in verdict.excused],
            "unplanned_exits": {part.name: part.unplanned for part in self._stage.parts.values() if part.unplanned},
            "recovery_s_max": max((most[kind] for kind in most if kind not in named), default=0.0),
            "recovery_s": {kind: seconds for kind, seconds in most.items() if kind not in named},
            **{name: most.get(kind) for kind, name in named.items()},
        }


def _show(violation: Violation, history: History) -> None:
    """Prints a violation with everything that is known of its step."""
    print(f"\nVIOLATED {violation.kind}: {violation.what}", flush=True)
    if violation.step is None:
        return
    run, asset = violation.step
    print(f"  step {asset} of run {run}")
    steps = [step for step in history.steps if (step.run, step.asset) == (run, asset)]
    lines = [(0.0, f"recorded: {step}") for step in steps]
    for attempt in history.attempts:
        if any((attempt.run, attempt.step) == (step.run, step.number) for step in steps):
            lines.append((attempt.dispatched_at, f"{attempt}"))
    lines += [(e.began, f"{e}") for e in history.executions if (e.run, e.asset) == (run, asset)]
    around = [at for at, _ in lines if at]
    for fault in history.faults:
        if around and min(around) - 60 < fault.began < max(around) + 60:
            lines.append((fault.began, f"{fault}"))
    for at, line in sorted(lines):
        print(f"  {at:.3f} {line}")
