"""What must be true of freshness: after each transaction what is recorded is what the clock and the rows say, whoever leads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulation.town import Town
from simulation.violation import Violation

if TYPE_CHECKING:
    from simulation.database import Database, Table


class FreshnessInvariants:
    """Watches the assets of one world that have a policy."""

    def __init__(self, database: Database, town: Town) -> None:
        self._db, self._town = database, town

    def committed(self, touched: list[tuple[Table, Any, Any]]) -> None:
        """A transaction ended well; one that has written nothing may only have begun a term."""
        db = self._db
        if not touched or not self._town.ages:
            return
        expected, now = {}, db.now()
        for pair, pointer in db.pointers.items():
            if pair[0] in self._town.ages:
                warned, late = self._town.ages[pair[0]]
                age = (now - db.outputs[pointer["attempt_id"], *pair]["created_at"]).total_seconds()
                if age >= warned:
                    expected[pair] = "late" if age >= late else "warn"
        recorded = {pair: row["status"] for pair, row in db.freshness.items()}
        if recorded != expected:
            raise Violation(f"not fresh are {expected}, and {recorded} is recorded")

    def final(self) -> None:
        """Everything has come to rest."""
