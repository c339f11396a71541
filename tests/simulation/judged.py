"""What checks judge, read from the tables of a simulated database as `metadata.judging` and `metadata.runs` read it from PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec

from hedgerow_scheduler.lifecycle.judging import Judgeable
from hedgerow_scheduler.lifecycle.model import Attempt, Materialization, Step
from hedgerow_scheduler.metadata import runs
from simulation.database import Database


def output_of(row: Mapping[str, Any]) -> Materialization:
    """An output as its row tells."""
    return runs.output_of(SimpleNamespace(**{**row, "reference": msgspec.to_builtins(row["reference"])}))


def judgeable(db: Database, steps: Sequence[Step]) -> dict[tuple[str, int], Judgeable]:
    """See `read_judgeable`."""
    found = {}
    for step in steps:
        maker = (step.run.id, step.upstream[0]) if step.upstream else None
        pair = step.locks()[0]
        rows = [row for row in db.outputs_of(pair) if _is_judgeable(row, maker)]
        if rows:
            best = max(rows, key=lambda row: ((row["run_id"], row["step_number"]) == maker, row["dispatch_seq"]))
            failed = failed_checks(db, [best["attempt_id"]]).get((best["attempt_id"], best["asset"]), ())
            found[step.run.id, step.number] = Judgeable(output_of(best), frozenset(failed), _is_former(db, best))
    return found


def _is_former(db: Database, output: Mapping[str, Any]) -> bool:
    pointer = db.pointers.get((output["asset"], output["partition"]))
    return pointer is not None and pointer["dispatch_seq"] > output["dispatch_seq"]


def _is_judgeable(row: Mapping[str, Any], maker: tuple[str, int] | None) -> bool:
    if row["state"] in ("unchecked", "current"):
        return True
    if maker is None:
        return row["state"] == "rejected"
    return row["state"] in ("superseded", "rejected") and (row["run_id"], row["step_number"]) == maker


def failed_checks(db: Database, attempts: Collection[str]) -> dict[tuple[str, str], set[str]]:
    """See `read_failed_checks`."""
    failed: dict[tuple[str, str], set[str]] = {}
    for row in sorted(db.verdicts.values(), key=lambda row: row["created_at"]):
        of = row["judged"] or row["attempt_id"]
        if of in attempts:
            names = failed.setdefault((of, row["asset"]), set())
            names.discard(row["check_name"]) if row["passed"] else names.add(row["check_name"])
    return failed


def with_verdicts(db: Database, attempts: Iterable[Attempt]) -> None:
    """Attempts that are taken up learn what their checks said until now, and those that judge what they judge."""
    for attempt in attempts:
        for row in db.verdicts.values():
            if row["attempt_id"] == attempt.id and row["blocking"] and not row["passed"] and row["severity"] == "error":
                attempt.rejected.add(row["asset"])
        maker = db.attempts[attempt.id]["judged"]
        if maker is not None:
            asset, partition = attempt.step.locks()[0]
            output = db.outputs[maker, asset, partition]
            attempt.judged, attempt.judges_former = output_of(output), _is_former(db, output)
            failed = failed_checks(db, [maker]).get((maker, asset), ())
            attempt.failed_checks |= {(asset, check) for check in failed}
