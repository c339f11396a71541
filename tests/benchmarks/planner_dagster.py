"""Dagster's side of planner.py, in an environment of its own: one evaluation of 1,000 eager assets in chains, nothing having changed."""

from __future__ import annotations

import json
import time
from statistics import median

import dagster as dg

ASSETS, BELOW, TICKS = 1_000, 10, 5


def definitions() -> dg.Definitions:
    """Chains of a root and its eager descendants."""
    found = []
    for chain in range(ASSETS // (BELOW + 1)):
        for level in range(BELOW + 1):

            @dg.asset(
                key=f"c{chain}_a{level}",
                deps=[f"c{chain}_a{level - 1}"] if level else [],
                automation_condition=dg.AutomationCondition.eager() if level else None,
            )
            def made() -> None: ...

            found.append(made)
    return dg.Definitions(assets=found)


def main() -> None:
    """Prints milliseconds of an unchanged tick."""
    defs, instance = definitions(), dg.DagsterInstance.ephemeral()
    cursor, took = None, []
    for _ in range(TICKS + 2):
        began = time.perf_counter()
        result = dg.evaluate_automation_conditions(defs=defs, instance=instance, cursor=cursor)
        took.append((time.perf_counter() - began) * 1000)
        cursor = result.cursor
    print(json.dumps({"assets": ASSETS, "tick_ms": round(median(took[2:]), 1), "dagster": dg.__version__}))


if __name__ == "__main__":
    main()
