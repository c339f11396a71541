"""Worlds with schedules: whatever fails, each tick is launched once or passed over once, and has one run or none."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest

from hedgerow.cron import Cron, ticks
from hedgerow.manifest.model import Schedule
from simulation.checks import Violation
from simulation.mutants import Mutant
from simulation.town import PLAIN, SALES
from simulation.worker import Code
from simulation.world import World

SCHEDULES = tuple(Schedule(policy, "report", "* * * * *", catch_up=policy) for policy in ("all", "last", "skip"))  # type: ignore[arg-type]
SCHEDULED = msgspec.structs.replace(SALES, schedules=SCHEDULES)
TOWN = replace(PLAIN, code={**PLAIN.code, "sales": (SCHEDULED, Code.of(SCHEDULED), PLAIN.code["sales"][2])})
STRETCH = 4.0  # of the time that passes in a world, so that more ticks fall into it
WORLDS = 30
SERVICE, RECORDING = "hedgerow_scheduler.service.schedules", "hedgerow_scheduler.metadata.recording"
MUTANTS = (
    Mutant(
        "what is launched is not moved past",
        RECORDING,
        'writes.rows(sql.MOVE_SCHEDULES, moves, guarded=True, what="schedules")',
        "pass",
    ),
    Mutant("a new leader begins anew", SERVICE, "{one.place: one for one in standing}", "{}"),
)  # fmt: skip


class ScheduledWorld(World):
    """A world in which a team's code has schedules; when all is healed they are paused, so that it comes to rest."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, TOWN)

    def _cycle(self, seconds: float) -> None:
        super()._cycle(seconds * STRETCH if not self.database.pauses else seconds)

    def _is_at_rest(self) -> bool:
        if not self.database.pauses:
            self.database.pause()
        return super()._is_at_rest()

    def judge(self) -> Counter[str]:
        """What became of the ticks; a Violation says what is wrong with them."""
        db, counted = self.database, Counter[str]()
        for (team, location, name), standing in db.schedules.items():
            entries = [
                row
                for row in db.schedule_ticks.values()
                if (row["team"], row["location"], row["name"]) == (team, location, name)
            ]
            times = Cron(standing["cron"], standing["tz"])
            expected = []
            for tick in ticks(times, standing["begun"]):
                if tick > standing["last_tick"]:
                    break
                expected.append(tick)
            if sum(row["ticks"] for row in entries) != len(expected):
                raise Violation(f"{name}: {entries} for the ticks {expected}")
            launched = [row for row in entries if row["outcome"] == "launched"]
            if len({row["tick"] for row in launched}) != len(launched):
                raise Violation(f"{name}: a tick was launched twice: {launched}")
            runs = {
                row["id"]: row["tags"]["tick"]
                for row in db.runs.values()
                if row["tags"].get("schedule") == f"{team}/{name}"
            }
            wanted = {row["run_id"]: row["tick"].strftime("%Y-%m-%dT%H:%M:%SZ") for row in launched}
            if runs != wanted:
                raise Violation(f"{name}: the runs are {runs}, the ticks {wanted}")
            unpaused = [row for row in entries if row["outcome"] == "skipped" and "is paused" not in row["reason"]]
            if unpaused and name == "all":
                raise Violation(f"{name}: {unpaused} were passed over")
            for row in entries:
                counted[f"{name} {row['outcome']}"] += row["ticks"]
        return counted


def lived(seed: int) -> Counter[str]:
    world = ScheduledWorld(seed)
    world.run()
    return world.judge()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_each_tick_is_launched_once_or_passed_over_once_whatever_fails() -> None:
    counted = Counter[str]()
    for seed in range(WORLDS):
        counted += lived(seed)
    assert all(counted[f"{policy} launched"] > WORLDS for policy in ("all", "last", "skip"))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name)
def test_a_defect_of_schedules_put_in_on_purpose_is_noticed(mutant: Mutant) -> None:
    with mutant.alive():
        for seed in range(WORLDS):
            try:
                lived(seed)
            except Violation:
                return
    pytest.fail(f"{WORLDS} worlds did not notice that {mutant.name}")
