"""Measures plain Celery: no-op tasks, JSON, ignored results, enqueued by `send_task` while one worker of two slots consumes them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from celery import Celery

sys.path.insert(0, str(Path(__file__).parent))
import celery_app

CONCURRENCY = 2
WARM_UP_TASKS = 200
PATIENCE_S = 120.0
POOLS = {
    # Name of the variant and of Celery's pool, by what we call the configuration.
    "prefork": ("plain", "prefork"),
    "threads": ("plain", "threads"),
    "tuned": ("tuned", "custom"),
}


def rate(configuration: str, broker: str, folder: Path, tasks: int) -> float:
    """Tasks per second of a fresh, warmed-up worker: `tasks` divided by the time from the first `send_task` to the end of the last task."""
    variant, pool = POOLS[configuration]
    tally = folder / "tally"
    tally.mkdir(parents=True)
    app = celery_app.VARIANTS[variant](broker)
    with _worker(variant, pool, broker, tally, folder / "worker.log"):
        _run(app, tally, WARM_UP_TASKS)
        seconds = _run(app, tally, tasks)
    app.close()
    return tasks / seconds


def _run(app: Celery, tally: Path, tasks: int) -> float:
    before = celery_app.total(tally)
    started = time.perf_counter()
    for _ in range(tasks):
        app.send_task(celery_app.TASK)
    while celery_app.total(tally) < before + tasks:
        if time.perf_counter() - started > PATIENCE_S:
            raise TimeoutError(f"{celery_app.total(tally) - before} of {tasks} tasks ran within {PATIENCE_S:.0f} s")
        time.sleep(0.002)
    return time.perf_counter() - started


@contextmanager
def _worker(variant: str, pool: str, broker: str, tally: Path, log: Path) -> Iterator[None]:
    environment = {**os.environ, "BENCH_VARIANT": variant, "BENCH_BROKER": broker, "BENCH_TALLY": str(tally)}
    options = ["-P", pool, "-c", str(CONCURRENCY), "-l", "WARNING"]
    if variant == "tuned":
        environment["CELERY_CUSTOM_WORKER_POOL"] = "hedgerow_workers.pool:WakingPool"
        options += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "celery_worker:app", "worker", *options],
            cwd=Path(__file__).parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield
    except TimeoutError as error:
        raise TimeoutError(f"{error}; the worker wrote: {log.read_text()[-2000:]}") from error
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
