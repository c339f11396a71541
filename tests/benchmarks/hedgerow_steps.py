"""Measures Hedgerow: no-op steps through the whole platform, every event recorded in PostgreSQL with its real durability."""

from __future__ import annotations

import itertools
import shutil
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
import psutil
import psycopg

from hedgerow_scheduler.embedded.platform import Platform

LOCATION = Path(__file__).parent / "location"
WARM_UP_STEPS = 200
SETTLED_S, SETTLED_SHARE = 0.5, 0.1
PATIENCE_S = 180.0


@dataclass(frozen=True)
class Measured:
    """One platform's figures: steps per second of the independent steps, milliseconds per step of the chain, the scheduler's memory."""

    steps_per_s: float
    chain_ms: tuple[float, ...]
    scheduler_rss_mb: float


def measure(folder: Path, steps: int, max_batch: int = 1) -> Measured:
    """Starts a platform of its own in `folder` with one worker of two slots and at most `max_batch` orders in a message, warms it
    up, and runs both kinds of run.
    """
    shutil.copytree(LOCATION, folder)
    (folder / "platform.toml").write_text(f"[dispatch]\nmax_batch = {max_batch}\n")
    with Platform(folder, reload=False) as platform:
        platform.wait_ready()
        with httpx.Client(base_url=f"{platform.api_url}/api/v1", timeout=30) as api:
            await_assets(api)
            run_to_end(api, selection=["noop"], partitions=keys(WARM_UP_STEPS))
            settle(platform)
            started = time.time()
            run = run_to_end(api, selection=["noop"], partitions=keys(steps))
            ends = _ends(platform, run)
            assert len(ends) == steps, f"{len(ends)} steps are recorded, not {steps}"
            chain = _ends(platform, run_to_end(api, selection=["chain/*"]))
        rss = psutil.Process(platform.reports()["scheduler"].pid).memory_info().rss
    # Both clocks are this machine's: the launch is before the request is sent, the end is what PostgreSQL recorded.
    return Measured(
        steps_per_s=steps / (ends[-1].timestamp() - started),
        chain_ms=tuple((b - a).total_seconds() * 1000 for a, b in itertools.pairwise(chain)),
        scheduler_rss_mb=rss / 2**20,
    )


def keys(count: int) -> list[str]:
    """The first partitions of `noop` or `held`."""
    return [f"{number:04}" for number in range(count)]


def await_assets(api: httpx.Client) -> None:
    """Waits until the team's manifest is in force."""
    deadline = time.monotonic() + PATIENCE_S
    while not api.get("/assets").raise_for_status().json()["total"]:
        if time.monotonic() > deadline:
            raise TimeoutError("the team's assets did not appear")
        time.sleep(0.05)


def settle(platform: Platform) -> None:
    """Waits until the platform's processes do nothing any more: a worker's spare runner starts after the first one."""
    processes = [psutil.Process(report.pid) for report in platform.reports().values() if report.pid]
    used = cpu_s(processes)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        time.sleep(SETTLED_S)
        before, used = used, cpu_s(processes)
        if used - before < SETTLED_SHARE * SETTLED_S:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"the platform is not idle after {PATIENCE_S:.0f} s")


def cpu_s(processes: list[psutil.Process]) -> float:
    """What these processes and their children, also those that have ended, have used."""
    total = 0.0
    for process in processes:
        own = process.cpu_times()
        total += own.user + own.system + own.children_user + own.children_system
        for child in process.children(recursive=True):
            try:
                used = child.cpu_times()
            except psutil.NoSuchProcess:
                continue  # its parent has its sum now, or will have it at the next look
            total += used.user + used.system
    return total


def launch(api: httpx.Client, **request: object) -> str:
    """Launches a run; its id."""
    answer = api.post("/runs", json=request)
    if answer.is_error:
        raise RuntimeError(f"the launch was refused: {answer.text}")
    return str(answer.json()["id"])


def run_to_end(api: httpx.Client, **request: object) -> str:
    """Launches a run and waits for its end; its id. RuntimeError when it did not succeed."""
    run = launch(api, **request)
    deadline = time.monotonic() + PATIENCE_S
    while (state := api.get(f"/runs/{run}").raise_for_status().json()["state"]) in ("requested", "running"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"run {run} is still {state} after {PATIENCE_S:.0f} s")
        time.sleep(0.2)
    if state != "succeeded":
        raise RuntimeError(f"run {run} {state}")
    return run


def _ends(platform: Platform, run: str) -> list[datetime]:
    """When the run's steps ended, in that order, by PostgreSQL's clock."""
    with psycopg.connect(platform.urls["database"]) as connection:
        return [
            row[0]
            for row in connection.execute("SELECT ended_at FROM steps WHERE run_id = %s ORDER BY ended_at", [run])
        ]
