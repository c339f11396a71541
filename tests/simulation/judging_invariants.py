"""What must be true of outputs that checks judge in steps of their own: judged from what is committed, and from what runners truly found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from simulation.town import KEYS, Town
from simulation.violation import Violation
from simulation.worker import Execution

if TYPE_CHECKING:
    from simulation.database import Database, Table

_GIVEN_UP = ("cancelled", "failed", "poisoned")
_UNSETTLED = ("candidate", "unchecked", "rejected")
Row = Mapping[str, Any]


class JudgingInvariants:
    """Watches the outputs of one world."""

    def __init__(self, database: Database, log: list[Execution], town: Town) -> None:
        self._db, self._log, self._town = database, log, town
        self._readable: dict[str, frozenset[str]] = {}  # what each attempt is to be given, by the attempts that made it
        self._looked_at = 0  # so many executions

    def committed(self, touched: list[tuple[Table, Any, Any]]) -> None:
        """A transaction ended well."""
        db = self._db
        for table, key, before in touched:
            if table is db.outputs:
                self._settled(table[key], before)
            elif table is db.pointers:
                if before is not None and table[key]["dispatch_seq"] < before["dispatch_seq"]:
                    raise Violation(f"what is current of {key} moved back from {before} to {table[key]}")
            elif table is db.attempts and (before is None or before["state"] != table[key]["state"]):
                self._moved(table[key], before)
        for each in self._log[self._looked_at :]:
            if each.read != self._readable.get(each.attempt_id, frozenset()):
                raise Violation(f"{each} was given other data than what was accepted: {self._readable}")
        self._looked_at = len(self._log)

    def was_rejected(self, output: Row) -> bool:
        """Whether an output is rejected because an attempt found so that judged it."""
        return output["state"] == "rejected" and any(
            attempt["state"] == "failed" for attempt, _ in self._judged(output, "check_failed")
        )

    def final(self) -> None:
        """Everything has come to rest: only what was given up is left open."""
        db = self._db
        for (attempt_id, asset, partition), row in db.outputs.items():
            maker = row["run_id"], row["step_number"]
            if row["state"] == "candidate":
                raise Violation(f"{asset} [{partition}] of attempt {attempt_id} stays a candidate")
            if row["state"] == "unchecked" and not any(
                step["state"] in _GIVEN_UP
                for (run_id, _), step in db.steps.items()
                if run_id == maker[0] and maker[1] in step["upstream"] and step["computation"] == f"{asset}:checks"
            ):
                raise Violation(f"{asset} [{partition}] of attempt {attempt_id} stays unchecked")

    def _settled(self, output: Row, before: Row | None) -> None:
        asset, state = output["asset"], output["state"]
        if self._step(self._db.attempts[output["attempt_id"]])["computation"].endswith(":checks"):
            raise Violation(f"attempt {output['attempt_id']} judges, and made {asset}")
        is_new = state == "current" and (before is None or before["state"] != state)
        passed = any(attempt["state"] == "succeeded" for attempt, _ in self._judged(output, "succeeded"))
        if is_new and asset in self._town.judged and not passed:
            raise Violation(f"{asset} of attempt {output['attempt_id']} is current, and no attempt had judged it")

    def _judged(self, output: Row, outcome: str) -> Iterator[tuple[Row, Execution]]:
        """The attempts that truly ran all blocking checks of an output, and came to this."""
        for each in self._log:
            if each.judged == output["attempt_id"] and each.assets == (output["asset"],) and each.outcome == outcome:
                yield self._db.attempts[each.attempt_id], each

    def _moved(self, attempt: Row, before: Row | None) -> None:
        step = self._step(attempt)
        if before is None:
            self._read(attempt, step)
        if attempt["judged"] is None:
            return
        output = self._db.outputs[attempt["judged"], step["assets"][0], step["partition"]]
        found = any(each.attempt_id == attempt["id"] and each.outcome == "check_failed" for each in self._log)
        became = {"succeeded": "current", "failed": "rejected" if found else output["state"]}.get(attempt["state"])
        if became is not None and output["state"] not in (became, "superseded"):
            raise Violation(
                f"attempt {attempt['id']} judged and {attempt['state']}, and the output is {output['state']}"
            )

    def _read(self, attempt: Row, step: Row) -> None:
        """An attempt is to be given what is accepted in this moment, and must not go out while its own run has something else for it."""
        upstream, db = self._town.loads.get(step["computation"]), self._db
        if upstream is None:
            return
        pointers = [db.pointers[upstream, key]["attempt_id"] for key in KEYS.keys if (upstream, key) in db.pointers]
        outputs = [row for row in db.outputs.values() if row["asset"] == upstream]
        self._readable[attempt["id"]] = frozenset(
            row["attempt_id"] for row in outputs if row["attempt_id"] in pointers and row["state"] == "current"
        )
        if any(row["run_id"] == attempt["run_id"] and row["state"] in ("candidate", "unchecked") for row in outputs):
            raise Violation(f"attempt {attempt['id']} goes out before what its run has made for it is judged")

    def _step(self, attempt: Row) -> Row:
        return self._db.steps[attempt["run_id"], attempt["step_number"]]
