"""One soak: load, samples and faults for so long, then the end of every run, and the two verdicts."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random
from typing import Any

from chaos.checker import Violation
from chaos.history import Fault
from chaos.play import WRONG, show
from chaos.soak import flat, probes, timetable, verdict, workload
from chaos.soak.faults import blow
from chaos.soak.feeder import Feeder
from chaos.soak.place import SoakStage
from chaos.soak.sampler import Sampler
from chaos.soak.series import Points, by_role, rate

RESUME_S = 120.0  # after a fault is healed, things must have gone on by then
END_S = 600.0  # after the load has ended, every run must have ended by then
TOLD_EVERY_S = 60.0
RECENT = 20_000
RESUMED = f"""
SELECT count(DISTINCT team) FROM (SELECT * FROM attempts ORDER BY dispatch_seq DESC LIMIT {RECENT}) a
WHERE state = 'succeeded' AND dispatched_at > to_timestamp(%s)
"""
LIVE = "SELECT count(*) FROM runs WHERE state IN ('requested', 'running')"
SIZE = "SELECT pg_database_size(current_database())"


class Soak:
    """One soak on a stage for `seconds`, with its samples in `folder`. `summary` is what it came to."""

    def __init__(self, stage: SoakStage, folder: Path, seconds: float, seed: int, *, faults: bool) -> None:
        self._stage, self._seconds, self._with_faults = stage, seconds, faults
        self._seed, self._random = seed, Random(seed)
        self._feeder = Feeder(stage.api, stage.urls["postgres"], Random(seed + 1))
        self._sampler = Sampler(stage, folder / "samples.csv")
        self._faults: list[Fault] = []
        self._began = time.time()
        self._told_at = 0.0
        self.summary: dict[str, Any] = {}

    def all(self) -> bool:
        """Runs it; True when everything is flat and nothing was violated."""
        self._began = time.time()
        self._sampler.start()
        self._feeder.start()
        try:
            went_on = self._load()
        finally:
            self._sampler.stop()
            self._feeder.stop()
        self._let_all_end()
        return self._judge(went_on)

    # -- load and faults ---------------------------------------------------------------------------------------------

    def _load(self) -> bool:
        """Everything up to the end of the load; False when things stood still after a fault, and the rest was left out."""
        for planned in timetable.timetable(self._seconds) if self._with_faults else []:
            self._pause_until(planned.at)
            if not self._strike(planned):
                return False
        self._pause_until(self._seconds)
        self._sampler.stop()
        return not self._with_faults or self._strike(timetable.Planned("leader_killed", self._seconds, 5.0))

    def _strike(self, planned: timetable.Planned) -> bool:
        struck = blow(planned, self._stage, self._random)
        began = time.time()
        pids = struck.strike()
        self._pause_until(began - self._began + struck.hold_s)
        struck.heal()
        healed = time.time()
        resumed = self._resumes(healed)
        self._faults.append(Fault(struck.kind, struck.target, began, healed, tuple(pids), resumed))
        after = f"went on after {resumed - healed:.1f} s" if resumed else "STANDS STILL"
        self._say(f"{struck.kind} {struck.target} for {healed - began:.1f} s; {after}")
        return resumed is not None

    def _resumes(self, since: float) -> float | None:
        """When every team had succeeded with a step dispatched since."""
        until = time.time() + RESUME_S
        while time.time() < until:
            self._pause_until(self._second() + 0.5)
            if self._stage.ask(RESUMED, (since,))[0][0] == len(workload.TEAMS):
                return time.time()
        return None

    def _second(self) -> float:
        return time.time() - self._began

    def _pause_until(self, second: float) -> None:
        """Lets time pass; what ended without our doing is started again meanwhile."""
        while (left := second - self._second()) > 0:
            time.sleep(min(0.2, left))
            self._stage.revive()
            if self._second() - self._told_at >= TOLD_EVERY_S:
                self._told_at = self._second()
                done, waiting = self._sampler.newest("platform", "done"), self._sampler.newest("platform", "waiting")
                self._say(f"{done:,.0f} steps done, {waiting:,.0f} wait")

    def _say(self, what: str) -> None:
        minutes, seconds = divmod(int(self._second()), 60)
        print(f"{minutes:>3}:{seconds:02} {what}", flush=True)

    def _let_all_end(self) -> None:
        until = self._second() + END_S
        while self._second() < until and self._stage.ask(LIVE)[0][0]:
            self._pause_until(self._second() + 1)
        self._say("the load has ended, and so has every run" if not self._stage.ask(LIVE)[0][0] else "runs still live")

    # -- verdicts ----------------------------------------------------------------------------------------------------

    def _judge(self, went_on: bool) -> bool:
        stage, samples = self._stage, self._sampler.samples
        with stage.valkey() as client:
            keys = probes.kinds_of_keys(client)
        series = by_role(samples)
        done = series.get(("platform", "done"), [(0.0, 0.0)])
        series["platform", "steps_per_s"] = rate(done)
        flatness = flat.judge(series, self._troubles(), flat.Patience.of(self._seconds))
        findings = verdict.judge(stage.urls["postgres"], self._feeder.launched, stage.root, self._faults)
        if not went_on:
            findings.violations.insert(0, Violation("lost", f"nothing went on within {RESUME_S:.0f} s"))
        if self._sampler.error is not None:
            findings.violations.append(Violation("lost", f"samples ended: {self._sampler.error!r}"))
        for violation, history in findings.shown:
            show(violation, history)
        unplanned = {part.name: part.unplanned for part in stage.parts.values() if part.unplanned}
        self.summary = {
            "minutes": round(self._seconds / 60, 1),
            "seed": self._seed,
            "steps": findings.steps,
            "steps_per_s": round(done[-1][1] / done[-1][0], 1) if done[-1][0] else 0.0,
            "runs": len(self._feeder.launched),
            "attempts": findings.attempts,
            "events": findings.events,
            **{kind: findings.count(kind) for kind in WRONG},
            "concurrent_excused": len(findings.excused),
            "faults": [
                [f.kind, f.target, round(f.healed - f.began, 1), round(f.resumed - f.healed, 1) if f.resumed else None]
                for f in self._faults
            ],
            "unplanned_exits": unplanned,
            "api_failures": self._feeder.failed,
            "waiting_min": self._least_waiting(series.get(("platform", "waiting"), [])),
            "redis_keys_by_kind": dict(sorted(keys.items())),
            "database_mb": round(stage.ask(SIZE)[0][0] / probes.MB, 1),
            **flat.told(flatness),
        }
        return flatness.flat and not findings.violations and not unplanned

    def _troubles(self) -> list[flat.Trouble]:
        """The faults as they disturb what is measured: until everything has gone on."""
        return [
            flat.Trouble(f.began - self._began, (f.resumed or f.healed) - self._began, f.kind == "valkey_flushed")
            for f in self._faults
        ]

    def _least_waiting(self, waiting: Points) -> float:
        warm = flat.Patience.of(self._seconds).warm_s
        return min((value for second, value in waiting if second >= warm), default=0.0)
