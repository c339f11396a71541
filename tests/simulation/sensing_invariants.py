"""What must be true of sensors: judged from what is committed, and from what their functions truly answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from hedgerow.protocol.sensing import SensorAnswer, SensorQuestion
from simulation.evaluating import Evaluation
from simulation.violation import Violation

if TYPE_CHECKING:
    from simulation.database import Database, Table

Row = Mapping[str, Any]


class SensingInvariants:
    """Watches the sensors of one world. `evaluations` is the log of what was truly evaluated; `excuses` are the times at which the broker
    lost what it had acknowledged.
    """

    def __init__(self, database: Database, evaluations: Sequence[Evaluation], excuses: Sequence[float]) -> None:
        self._db, self._evaluations, self._excuses = database, evaluations, excuses

    def committed(self, touched: list[tuple[Table, Any, Any]]) -> None:
        """A transaction ended well: each sensor has moved by one evaluation and what it answered, or not at all."""
        db = self._db
        before = {}
        for table, key, row in touched:
            if table is db.sensors:
                before.setdefault(key, row)
        ended = [db.sensor_evaluations[key] for table, key, _ in touched if table is db.sensor_evaluations]
        launched = [db.runs[key] for table, key, row in touched if table is db.runs and row is None]
        keys = {key for table, key, _ in touched if table is db.sensor_keys}
        counts = Counter((row["team"], row["name"]) for row in ended)
        for place, row in before.items():
            number, cursor = (0, None) if row is None else (row["number"], row["cursor"])
            if db.sensors[place]["number"] != number + counts[place]:
                raise Violation(f"sensor {place} went from {row} to {db.sensors[place]} with {ended}")
            if not counts[place] and db.sensors[place]["cursor"] != cursor:
                raise Violation(f"the cursor of {place} went from {row} to {db.sensors[place]} without an evaluation")
        for row in ended:
            known = before.get((row["team"], row["name"]))
            if known is None:
                raise Violation(f"{row} is recorded, and its sensor has not moved")
            self._recorded(row, known, launched, keys)

    def _recorded(self, row: Row, before: Row, launched: list[Row], keys: set[tuple[str, str, str]]) -> None:
        """An evaluation was recorded: its runs, its dedupe keys and its cursor are what was answered, on what was recorded before."""
        team, name = row["team"], row["name"]
        runs = [run for run in launched if run["tags"].get("evaluation") == row["id"]]
        after = self._db.sensors[team, name]
        if row["outcome"] not in ("launched", "skipped"):
            if runs or after["cursor"] != before["cursor"]:
                raise Violation(f"{row} did not end well, and {runs} were launched, the cursor is {after['cursor']}")
            return
        answered = [each for each in self._evaluations if each.id == row["id"] and each.said.reason == "ok"]
        fitting = [
            answer
            for each in answered
            for answer in [msgspec.json.decode(each.said.result, type=SensorAnswer)]
            if msgspec.json.decode(each.argument, type=SensorQuestion).cursor == before["cursor"]
            and self._fits(answer, (team, name), runs, keys)
            and after["cursor"] == (before["cursor"] if answer.cursor is None else answer.cursor)
        ]
        if not fitting:
            raise Violation(f"{row} is recorded after {before}, with {runs} and {after}; answered was {answered}")

    def _fits(self, answer: SensorAnswer, place: tuple[str, str], runs: list[Row], keys: set[Any]) -> bool:
        """Whether these are the runs that were asked for, without those whose keys had a run before."""
        seen = {key[2] for key in self._db.sensor_keys if key[:2] == place} - {key[2] for key in keys}
        wanted = [run.tags["thing"] for run in answer.runs if not run.dedupe_key or run.dedupe_key not in seen]
        return Counter(wanted) == Counter(run["tags"]["thing"] for run in runs)

    def final(self) -> None:
        """Everything has come to rest: each thing was launched once, and is known by its key; nothing was evaluated twice."""
        began: dict[str, float] = {}
        for each in self._evaluations:
            first = began.setdefault(each.id, each.began)
            if each.began != first and not any(first <= at <= each.began for at in self._excuses):
                raise Violation(f"evaluation {each.id} of {each.name} began at {first} and at {each.began}")
        for (team, name), row in self._db.sensors.items():
            runs = [run for run in self._db.runs.values() if run["tags"].get("sensor") == f"{team}/{name}"]
            things = Counter(int(run["tags"]["thing"]) for run in runs)
            if things != Counter(range(1, int(row["cursor"] or 0) + 1)):
                raise Violation(f"sensor {name} is at {row['cursor']}, and launched {sorted(things.elements())}")
            keys = {
                key: each["run_id"] for (*place, key), each in self._db.sensor_keys.items() if place == [team, name]
            }
            if keys != {run["tags"]["dedupe_key"]: run["id"] for run in runs if "dedupe_key" in run["tags"]}:
                raise Violation(f"the dedupe keys of {name} are {keys}, its runs {runs}")
