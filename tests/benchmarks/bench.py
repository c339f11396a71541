"""`make bench`: plain Celery beside Hedgerow, interleaved in one run on one machine; the last line is the result as JSON.

Each measurement starts processes of its own, so that nothing else idles beside it: a Valkey and a Celery worker, or a whole
platform. One round to warm up the machine, then medians of `--rounds`. The figures are explained in README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).parent))
import celery_plain
import hedgerow_steps

from hedgerow_scheduler.embedded.servers import running_valkey


def main(argv: list[str]) -> int:
    """Runs the benchmark; 0 when everything could be measured."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure Hedgerow beside plain Celery on this machine.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count, after one that does not (default 3)")
    parser.add_argument(
        "--steps", type=int, default=2000, help="tasks and independent steps per measurement (default 2000)"
    )
    options = parser.parse_args(argv)
    celery: dict[str, list[float]] = {name: [] for name in celery_plain.POOLS}
    hedgerow: list[hedgerow_steps.Measured] = []
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
            measured = hedgerow_steps.measure(place / "hedgerow", options.steps)
            hedgerow.append(measured)
            print(
                f"{told}: Hedgerow: {measured.steps_per_s:,.0f} steps/s, chain p50 {median(measured.chain_ms):.1f} ms, "
                f"scheduler {measured.scheduler_rss_mb:.0f} MB",
                flush=True,
            )
    print(json.dumps(result({name: rates[1:] for name, rates in celery.items()}, hedgerow[1:])))
    return 0


def result(celery: dict[str, list[float]], hedgerow: list[hedgerow_steps.Measured]) -> dict[str, float]:
    """The medians over the rounds; `ratio` is Hedgerow's rate to that of plain Celery as installed, in the better of its two pools."""
    raw = max(median(celery["prefork"]), median(celery["threads"]))
    steps = median(one.steps_per_s for one in hedgerow)
    return {
        "raw_celery_per_s": round(raw, 1),
        "raw_celery_tuned_per_s": round(median(celery["tuned"]), 1),
        "hedgerow_per_s": round(steps, 1),
        "ratio": round(steps / raw, 3),
        "chain_ms_p50": round(median(median(one.chain_ms) for one in hedgerow), 2),
        "chain_ms_p95": round(median(quantiles(one.chain_ms, n=20)[-1] for one in hedgerow), 2),
        "scheduler_rss_mb": round(median(one.scheduler_rss_mb for one in hedgerow), 1),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
