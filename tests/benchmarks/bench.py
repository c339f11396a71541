"""`make bench`: plain Celery beside Hedgerow, interleaved in one run on one machine; the last line is the result as JSON.

Each measurement starts processes of its own, so that nothing else idles beside it: a Valkey and a Celery worker, or a whole
platform. One round to warm up the machine, then medians of `--rounds`. The figures are explained in README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).parent))
import celery_plain
import hedgerow_backlog
import hedgerow_steps

from hedgerow_scheduler.embedded.servers import running_valkey

MAX_BATCH = 64


def main(argv: list[str]) -> int:
    """Runs the benchmark; 0 when everything could be measured."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure Hedgerow beside plain Celery on this machine.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count, after one that does not (default 3)")
    parser.add_argument(
        "--steps", type=int, default=2000, help="tasks and independent steps per measurement (default 2000)"
    )
    parser.add_argument(
        "--backlog",
        type=int,
        default=hedgerow_backlog.LONG,
        help="steps of the long backlog; 0 leaves it out (default 100000)",
    )
    options = parser.parse_args(argv)
    celery: dict[str, list[float]] = {name: [] for name in celery_plain.POOLS}
    single: list[hedgerow_steps.Measured] = []
    batched: list[hedgerow_steps.Measured] = []
    backlog: hedgerow_backlog.Backlog | None = None
    with tempfile.TemporaryDirectory(prefix="hedgerow-bench-") as folder:
        Path(folder).chmod(0o711)  # run by root, PostgreSQL has an account of its own that must get through
        for number in range(options.rounds + 1):
            place = Path(folder) / str(number)
            told = "warm-up" if number == 0 else f"round {number}"
            for name in celery_plain.POOLS:
                with running_valkey(place / f"{name}-valkey") as broker:
                    rate = celery_plain.rate(name, broker, place / name, options.steps)
                celery[name].append(rate)
                print(f"{told}: Celery, {name}: {rate:,.0f} tasks/s", flush=True)
            for name, max_batch, found in (("one by one", 1, single), ("in batches", MAX_BATCH, batched)):
                measured = hedgerow_steps.measure(place / f"hedgerow-{max_batch}", options.steps, max_batch)
                found.append(measured)
                print(
                    f"{told}: Hedgerow, {name}: {measured.steps_per_s:,.0f} steps/s, chain p50 "
                    f"{median(measured.chain_ms):.1f} ms, scheduler {measured.scheduler_rss_mb:.0f} MB",
                    flush=True,
                )
            shutil.rmtree(place)  # what is no more needs not be written to disk while the next ones are measured
        if options.backlog:
            backlog = hedgerow_backlog.measure(Path(folder) / "backlog", options.backlog)
            print(f"backlog: {backlog}", flush=True)
    print(json.dumps(result({name: rates[1:] for name, rates in celery.items()}, single[1:], batched[1:], backlog)))
    return 0


def result(
    celery: dict[str, list[float]],
    single: list[hedgerow_steps.Measured],
    batched: list[hedgerow_steps.Measured],
    backlog: hedgerow_backlog.Backlog | None,
) -> dict[str, float]:
    """The medians over the rounds; `ratio` and `ratio_batched` are Hedgerow's rates to that of plain Celery as installed, in the
    better of its two pools.
    """
    raw = max(median(celery["prefork"]), median(celery["threads"]))
    steps, in_batches = (median(one.steps_per_s for one in found) for found in (single, batched))
    found = {
        "raw_celery_per_s": round(raw, 1),
        "raw_celery_tuned_per_s": round(median(celery["tuned"]), 1),
        "hedgerow_per_s": round(steps, 1),
        "hedgerow_batched_per_s": round(in_batches, 1),
        "ratio": round(steps / raw, 3),
        "ratio_batched": round(in_batches / raw, 3),
        "chain_ms_p50": round(median(median(one.chain_ms) for one in single), 2),
        "chain_ms_p95": round(median(quantiles(one.chain_ms, n=20)[-1] for one in single), 2),
        "scheduler_rss_mb": round(median(one.scheduler_rss_mb for one in single), 1),
    }
    if backlog is not None:
        found |= {
            "cpu_us_per_step_1k": round(backlog.cpu_us_short, 1),
            "cpu_us_per_step_100k": round(backlog.cpu_us_long, 1),
            "limit_effect_ms": round(backlog.limit_effect_ms, 1),
            "admission_us_per_step": round(backlog.admission_us, 1),
            "scheduler_rss_mb_100k": round(backlog.rss_mb, 1),
        }
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
