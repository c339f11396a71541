"""One run of the chaos on a platform: harm it, wait for the end of every run, and judge."""

from __future__ import annotations

import time
from collections import Counter
from random import Random
from typing import Any

from chaos.checker import Verdict, Violation, check
from chaos.cycles import Cycles
from chaos.feeder import Feeder
from chaos.history import Fault, History
from chaos.launching import launched_twice
from chaos.record import read_history
from chaos.recovery import BOUNDS_S, is_owed, recovery_times
from chaos.stage import Stage
from chaos.workload import EXPECTED, TEAMS

RESUME_S = 120.0  # after a fault is healed, things must have gone on by then
END_S = 240.0  # after the last, every run must have ended by then
LOST_S = 45.0  # a lost step runs again by then
PATIENT = 0.7  # the share of killed workers after which nothing else happens until their steps run again
SHOWN = 8  # violations of which the history is printed
WRONG = ("lost", "recorded_twice", "claimed_twice", "concurrent_twice", "limit_exceeded", "out_of_order", "late")
NAMED = {
    "worker_killed": "worker_killed_s_max",
    "runner_killed": "runner_killed_s_max",
    "leader_killed": "leader_killed_s_max",
    "worker_drained": "drain_s_max",
}

RESUMED = """
SELECT t.name FROM teams t WHERE EXISTS (
  SELECT FROM (SELECT * FROM attempts ORDER BY dispatch_seq DESC LIMIT 500) a
  WHERE a.team = t.name AND a.state = 'succeeded' AND a.dispatched_at > to_timestamp(%s))
"""


class Play:
    """One run of the chaos on a stage. `summary` is what it came to."""

    def __init__(self, stage: Stage, kinds: list[str], seed: int, live: int) -> None:
        self._stage, self._seed = stage, seed
        self._random = Random(seed)
        self._feeder = Feeder(stage.launcher, stage.urls["postgres"], Random(seed + 1), live)
        self._cycles = Cycles(stage, kinds, self._random, self._resumes)
        self.summary: dict[str, Any] = {}

    def all(self, cycles: int, seconds: float) -> bool:
        """Plays so many cycles, or for so long if that is not 0; True when nothing was violated."""
        self._feeder.start()
        try:
            went_on = self._cycles.play(cycles, seconds, self._await_lost)
        finally:
            self._feeder.stop()
        self._let_all_end()
        self._feeder.close()
        launcher = self._stage.launcher
        launcher.close()
        executions, faults = self._stage.sink.executions(), self._cycles.faults
        history = read_history(self._stage.urls["postgres"], self._feeder.launched, executions, faults, EXPECTED)
        verdict = check(history)
        verdict.violations.extend(launched_twice(launcher.wrong, self._feeder.launched, history.runs))
        if not went_on:
            verdict.violations.insert(0, Violation("lost", f"nothing went on within {RESUME_S:.0f} s"))
        self.summary = self._summed_up(history, verdict)
        for violation in verdict.violations[:SHOWN]:
            show(violation, history)
        if verdict.violations:
            print(f"SEED {self._seed}: {len(verdict.violations)} violations; logs in {self._stage.root}", flush=True)
        return not verdict.violations

    def _resumes(self, since: float) -> float | None:
        """When every team had succeeded with a step dispatched since."""
        until = time.monotonic() + RESUME_S
        while time.monotonic() < until:
            self._cycles.pause(0.2)
            if {row[0] for row in self._stage.ask(RESUMED, (since,))} >= set(TEAMS):
                return time.time()
        return None

    def _await_lost(self, faults: list[Fault]) -> None:
        """Waits, after most kills of a worker, until what ran in it runs again."""
        (killed, *others) = faults
        if others or killed.kind != "worker_killed" or self._random.random() > PATIENT:
            return
        until = time.monotonic() + LOST_S
        while time.monotonic() < until and is_owed(killed, self._stage.sink.executions()):
            self._cycles.pause(0.5)

    def _let_all_end(self) -> None:
        until = time.monotonic() + END_S
        while time.monotonic() < until and self._feeder.live():
            self._cycles.pause(0.5)

    def _summed_up(self, history: History, verdict: Verdict) -> dict[str, Any]:
        times = recovery_times(history)
        most = {kind: round(max(found), 2) for kind, found in sorted(times.items()) if found}
        for kind, bound in BOUNDS_S.items():
            if most.get(kind, 0.0) > bound:
                verdict.violations.append(Violation("late", f"{kind}: {most[kind]} s, more than {bound} s"))
        others = {kind: seconds for kind, seconds in most.items() if kind not in NAMED}
        return {
            "cycles": self._cycles.played,
            "seed": self._seed,
            "faults": dict(sorted(Counter(fault.kind for fault in history.faults).items())),
            "runs": len(history.launched),
            "steps": len(history.steps),
            "attempts": len(history.attempts),
            **{kind: verdict.count(kind) for kind in (*WRONG, "launched_twice")},
            "launches": dict(self._stage.launcher.answers),
            "concurrent_excused": len(verdict.excused),
            "excused": [[each.cause, each.asset, round(each.overlap_s, 2)] for each in verdict.excused],
            "unplanned_exits": {part.name: part.unplanned for part in self._stage.parts.values() if part.unplanned},
            "recovery_s_max": max(others.values(), default=0.0),
            "recovery_s": others,
            **{name: most.get(kind) for kind, name in NAMED.items()},
        }


def show(violation: Violation, history: History) -> None:
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
