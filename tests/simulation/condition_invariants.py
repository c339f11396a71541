"""What must be true of what conditions request: each update is asked for once, by whoever leads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulation.town import Town
from simulation.violation import Violation

if TYPE_CHECKING:
    from simulation.database import Database, Table

Pair = tuple[str, str]


class ConditionInvariants:
    """Watches the eager assets of one world. An update is that something became current which another run has made than one that makes the
    asset as well; it is dealt with when the asset is requested, or made by an attempt that went out after it. Transactions are numbered.
    """

    def __init__(self, database: Database, town: Town) -> None:
        self._db, self._town = database, town
        self._number = 0
        self._updated: dict[Pair, int] = {}  # the last update, by the eager asset
        self._announced: dict[
            Pair, int
        ] = {}  # when what it is made from was last requested by a run that does not make it
        self._dealt_with: dict[Pair, int] = {}
        self._tried: dict[Pair, int] = {}  # when the last attempt went out, whatever came of it
        self._went_out: dict[str, int] = {}  # when each attempt went out

    def committed(self, touched: list[tuple[Table, Any, Any]]) -> None:
        """A transaction ended well."""
        if not self._town.eager:
            return
        db, before = self._db, {}
        self._number += 1
        for table, key, row in touched:
            if any(table is one for one in (db.outputs, db.runs, db.attempts)):
                before.setdefault((id(table), key), (table, key, row))
        for table, key, row in before.values():
            if table is db.attempts and row is None:
                self._goes_out(key)
            if table is db.outputs and table[key]["state"] == "current" and (row is None or row["state"] != "current"):
                self._made(table[key], (id(db.runs), table[key]["run_id"]) in before)
        requested = [
            key
            for table, key, row in before.values()
            if table is db.runs and row is None and db.runs[key]["tags"].get("automation") == "condition"
        ]
        made = {run_id: self._made_by(run_id) for run_id in requested}
        for pairs in made.values():
            for below, above in self._town.eager.items():
                fresh = ((below, partition) for asset, partition in pairs if asset == above)
                self._announced |= dict.fromkeys((pair for pair in fresh if pair not in pairs), self._number)
        for run_id, pairs in made.items():
            self._requested(run_id, pairs)

    def final(self) -> None:
        """Everything has come to rest: nothing is left to ask for."""
        for pair, number in self._updated.items():
            if number > max(self._dealt_with.get(pair, 0), self._tried.get(pair, 0)):
                raise Violation(f"{pair} was never requested after update {number} ({self._dealt_with.get(pair)})")

    def _goes_out(self, attempt_id: str) -> None:
        row = self._db.attempts[attempt_id]
        step = self._db.steps[row["run_id"], row["step_number"]]
        self._went_out[attempt_id] = self._tried[step["computation"], step["partition"]] = self._number

    def _made(self, output: dict[str, Any], is_run_touched: bool) -> None:
        """Something became current. Of a run that was over before, what it had left to make counts no more."""
        makes = is_run_touched or self._db.runs[output["run_id"]]["state"] == "running"
        pair = output["asset"], output["partition"]
        if pair[0] in self._town.eager:
            self._dealt_with[pair] = max(self._dealt_with.get(pair, 0), self._went_out[output["attempt_id"]])
        for below, above in self._town.eager.items():
            if above == pair[0] and not (makes and self._makes(output["run_id"], below)):
                self._updated[below, pair[1]] = self._number

    def _requested(self, run_id: str, made: set[Pair]) -> None:
        for pair in made:
            asset, partition = pair
            if asset not in self._town.eager:
                continue
            news = max(self._updated.get(pair, 0), self._announced.get(pair, 0))
            if news <= self._dealt_with.get(pair, 0) and (self._town.eager[asset], partition) not in made:
                raise Violation(f"{asset} [{partition}] is requested by {run_id}, and nothing has been updated")
        self._dealt_with |= dict.fromkeys((pair for pair in made if pair[0] in self._town.eager), self._number)

    def _made_by(self, run_id: str) -> set[Pair]:
        return {
            (step["computation"], step["partition"]) for step in self._db.steps.values() if step["run_id"] == run_id
        }

    def _makes(self, run_id: str, asset: str) -> bool:
        return any((run_id, asset) == (step["run_id"], step["computation"]) for step in self._db.steps.values())
