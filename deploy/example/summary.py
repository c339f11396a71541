"""What the demo shows in the end: versions side by side, checks, the model's figures."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import psycopg
from rich.console import Console
from rich.table import Table

LIBRARIES = ("pandas", "numpy", "pyarrow", "duckdb", "scikit-learn")
CHECKS = """
SELECT asset, check_name, bool_or(blocking), count(*) FILTER (WHERE passed), count(*) FILTER (WHERE NOT passed),
       (array_agg(partition ORDER BY partition) FILTER (WHERE NOT passed))[1:3]
FROM check_results WHERE run_id = %s GROUP BY asset, check_name ORDER BY asset, check_name
"""


def show_versions(api: httpx.Client, teams: Sequence[str], console: Console) -> None:
    """One row per library, one column per team: what each team's worker said it runs."""
    installed = {}
    for team in teams:
        (location,) = api.get(f"/teams/{team}").raise_for_status().json()["locations"]
        installed[team] = location["environment"]["packages"]
    table = Table(title="The same libraries in different versions, in one run", title_justify="left", min_width=60)
    for name in ("", *teams):
        table.add_column(name)
    for library in LIBRARIES:
        table.add_row(library, *(installed[team].get(library, "–") for team in teams))
    console.print(table)


def show_checks(database: str, run: str, console: Console) -> None:
    """Each check with how often it passed in the run, and the first partitions in which it did not."""
    table = Table(title="Checks", title_justify="left")
    for name in ("asset", "check", "blocking", "passed", "failed", "first in"):
        table.add_column(name)
    with psycopg.connect(database) as connection:
        for asset, check, blocking, passed, failed, first in connection.execute(CHECKS, [run]):
            table.add_row(
                asset, check, "yes" if blocking else "", str(passed), str(failed or ""), ", ".join(first or ())
            )
    console.print(table)


def show_model(api: httpx.Client, console: Console) -> None:
    """The delay model's figures beside the baseline's, on the days that it has not seen."""
    last = api.get("/assets/flights/ml/delay_model").raise_for_status().json()["last"]
    if last is None:
        return
    figures = last["metadata"]
    console.print(
        f"Delay model, trained on {figures['train_flights']:,} flights, judged on {figures['test_flights']:,} unseen ones: "
        f"AUC {figures['auc']:.3f} (baseline {figures['auc_baseline']:.3f}), "
        f"Brier score {figures['brier']:.4f} (baseline {figures['brier_baseline']:.4f})"
    )
