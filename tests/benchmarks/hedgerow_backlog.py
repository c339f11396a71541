"""Measures Hedgerow with long backlogs: CPU of scheduler and PostgreSQL for each step, and how soon a changed limit acts."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx
import psutil
import psycopg
from hedgerow_steps import LOCATION, PATIENCE_S, await_assets, cpu_s, keys, launch, run_to_end, settle

from hedgerow_scheduler.embedded.platform import Platform

SHORT, LONG = 1_000, 100_000
SHORT_RUNS = 10
CHANGES = 10


@dataclass(frozen=True)
class Backlog:
    """Microseconds of CPU for each step (scheduler and all of PostgreSQL) with 1,000 and 100,000 steps in one backlog, those of
    admission alone in the latter, the scheduler's memory while the 100,000 wait, milliseconds from a command to the first dispatch.
    """

    cpu_us_short: float
    cpu_us_long: float
    admission_us: float
    rss_mb: float
    limit_effect_ms: float


def measure(folder: Path, long: int = LONG) -> Backlog:
    """Starts a platform of its own in `folder`, with one worker of two slots and the batches that it has by default."""
    shutil.copytree(LOCATION, folder)
    with Platform(folder, reload=False) as platform:
        platform.wait_ready()
        with (
            httpx.Client(base_url=f"{platform.api_url}/api/v1", timeout=60) as api,
            psycopg.connect(platform.urls["database"], autocommit=True) as database,
        ):
            await_assets(api)
            scheduler = psutil.Process(platform.reports()["scheduler"].pid)
            servers = [scheduler, psutil.Process(platform.reports()["postgres"].pid)]
            run_to_end(api, selection=["noop"], partitions=keys(500))
            settle(platform)
            short = []
            for number in range(SHORT_RUNS):  # each of other partitions: making one again costs more
                before = cpu_s(servers)
                wanted = _partitions(SHORT * number, SHORT)
                _finish(database, launch(api, selection=["many"], partitions=wanted))
                short.append((cpu_s(servers) - before) / SHORT * 1e6)
            effects = [_limit_effect(api, database) for _ in range(CHANGES)]
            before, admitted = cpu_s(servers), _admission_s(platform)
            many = {"all_partitions": True} if long == LONG else {"partitions": _partitions(0, long)}
            run = launch(api, selection=["many"], **many)
            rss = _finish(database, run, lambda: scheduler.memory_info().rss / 2**20)
            return Backlog(
                cpu_us_short=median(short),
                cpu_us_long=(cpu_s(servers) - before) / long * 1e6,
                admission_us=(_admission_s(platform) - admitted) / long * 1e6,
                rss_mb=rss,
                limit_effect_ms=median(effects),
            )


def _partitions(first: int, count: int) -> list[str]:
    return [f"{number // 100:03}|{number % 100:02}" for number in range(first, first + count)]


def _admission_s(platform: Platform) -> float:
    """The seconds that the scheduler has spent in admission so far, by its own metric."""
    url = re.search(r"http://\S+/metrics", platform.reports()["scheduler"].where)
    if url is None:
        raise RuntimeError(f"the scheduler serves no metrics: {platform.reports()['scheduler']}")
    text = httpx.get(url[0], timeout=10).raise_for_status().text
    found = re.search(r'^hedgerow_scheduler_step_duration_seconds_sum\{phase="admit"\} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def _finish(
    database: psycopg.Connection[tuple[object, ...]], run: str, look: Callable[[], float] = lambda: 0.0
) -> float:
    """Waits for a run's end without asking much of anyone; the largest of what `look` said meanwhile."""
    deadline, most = time.monotonic() + PATIENCE_S, 0.0
    while True:
        row = database.execute("SELECT state FROM runs WHERE id = %s", [run]).fetchone()
        most = max(most, look())
        if row is None or row[0] not in ("requested", "running"):
            break
        if time.monotonic() > deadline:
            raise TimeoutError(f"run {run} has not ended after {PATIENCE_S:.0f} s")
        time.sleep(0.1)
    if row is None or row[0] != "succeeded":
        raise RuntimeError(f"run {run} is {row and row[0]}")
    return most


def _limit_effect(api: httpx.Client, database: psycopg.Connection[tuple[object, ...]]) -> float:
    """Milliseconds from sending the command that lets a paused queue go on to the first dispatch from its backlog."""
    about = {"reason": "benchmark", "author": "bench"}
    api.put("/limits/queue/bench/held", json={"paused": True, **about}).raise_for_status()
    run = launch(api, selection=["held"], partitions=keys(20))
    deadline = time.monotonic() + PATIENCE_S
    while not database.execute("SELECT 1 FROM steps WHERE run_id = %s AND state = 'ready'", [run]).fetchone():
        if time.monotonic() > deadline:
            raise TimeoutError("the run was not planned")
        time.sleep(0.05)
    time.sleep(0.5)  # the scheduler is idle again
    sent = time.time()
    api.put("/limits/queue/bench/held", json={"paused": False, **about}).raise_for_status()
    _finish(database, run)
    query = "SELECT extract(epoch FROM min(dispatched_at))::float8 FROM attempts WHERE run_id = %s"
    first = database.execute(query, [run]).fetchone()
    assert first is not None
    return (float(first[0]) - sent) * 1000


if __name__ == "__main__":
    import sys
    import tempfile

    with tempfile.TemporaryDirectory(prefix="hedgerow-bench-") as name:
        os.chmod(name, 0o711)
        print(measure(Path(name) / "backlog", int(sys.argv[1]) if len(sys.argv) > 1 else LONG))
