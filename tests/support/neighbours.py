"""Two teams beside a shared pool, on a real platform: what each starts, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from support.locations import write_location
from support.processes import eventually
from support.town import Town

SLOTS = 4
CODE = """
    import time
    import hedgerow as hr

    MANY = hr.static(*(f"{{number:05}}" for number in range({steps})))

    @hr.asset(key="{team}/many", partitions=MANY, pools=["warehouse"])
    def many() -> None:
        time.sleep({seconds})

    @hr.asset(key="{team}/one", pools=["warehouse"])
    def one() -> None:
        time.sleep({seconds})

    @hr.asset(key="{team}/often", partitions=MANY, queue="often")
    def often() -> None:
        pass
"""


def write_neighbours(root: Path, *, steps: int, seconds: float, weights: dict[str, float], often: str = "5/s") -> None:
    """Teams by the names of `weights`, each with `steps` steps of `seconds` that need one of four slots of the pool `warehouse`,
    and as many that do nothing on a queue of the rate `often`.
    """
    policies = "".join(f"[teams.{team}]\nweight = {weight}\n\n" for team, weight in weights.items())
    (root / "platform.toml").write_text(f"{policies}[pools.warehouse]\nslots = {SLOTS}\n")
    for team in weights:
        code = CODE.format(team=team, steps=steps, seconds=seconds)
        extra = f'[queues.often]\nrate = "{often}"\n'
        write_location(root / team, team, code, slots=SLOTS + 2, extra=extra)


def starts(town: Town, run: str) -> list[float]:
    """When the run's attempts were dispatched, in seconds of PostgreSQL's clock."""
    with psycopg.connect(town.platform.urls["database"]) as connection:
        query = "SELECT extract(epoch FROM dispatched_at)::float8 FROM attempts WHERE run_id = %s ORDER BY dispatch_seq"
        return [row[0] for row in connection.execute(query, [run])]


def sequence(town: Town, run: str) -> list[int]:
    """The dispatch numbers of the run's attempts."""
    with psycopg.connect(town.platform.urls["database"]) as connection:
        query = "SELECT dispatch_seq FROM attempts WHERE run_id = %s ORDER BY dispatch_seq"
        return [row[0] for row in connection.execute(query, [run])]


def most_at_once(town: Town) -> int:
    """The most attempts that were ever out together of those that use the pool."""
    query = """
        SELECT max(together) FROM (
          SELECT sum(change) OVER (ORDER BY at, change) AS together FROM (
            SELECT a.dispatched_at AS at, 1 AS change FROM attempts a WHERE a.holds IS NOT NULL
            UNION ALL SELECT a.ended_at, -1 FROM attempts a WHERE a.holds IS NOT NULL AND a.ended_at IS NOT NULL
          ) AS changes
        ) AS sums"""
    with psycopg.connect(town.platform.urls["database"]) as connection:
        found = connection.execute(query).fetchone()
    return int(found[0]) if found and found[0] is not None else 0


def under_way(town: Town, run: str, started: int) -> None:
    """Waits until so many steps of a run were started."""
    eventually(lambda: len(starts(town, run)) >= started, within=120, what=f"{started} starts of {run}")


def row(town: Town, query: str, *parameters: Any) -> tuple[Any, ...]:
    """The first row of a query."""
    with psycopg.connect(town.platform.urls["database"]) as connection:
        found = connection.execute(query, parameters).fetchone()  # type: ignore[arg-type]
    assert found is not None
    return tuple(found)
