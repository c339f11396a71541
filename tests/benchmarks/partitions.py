"""How long the status of one asset with 10,000,000 partitions takes: how many are in each state, and in which ranges.

    python tests/benchmarks/partitions.py [--share SHARE]

The states are scattered at random, which no structure makes easier. The last line is JSON: the number of partitions, the CPU time
of counts and ranges of all states, and the memory of the process.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from datetime import UTC, datetime

import psutil
from pyroaring import BitMap

from hedgerow.partitions import daily, static
from hedgerow_scheduler.partitions.ranges import ranges, summary
from hedgerow_scheduler.partitions.spaces import Space

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
ROUNDS = 5


def scattered(count: int, share: float, rng: random.Random) -> BitMap:
    """A share of the numbers below `count`, at random."""
    return BitMap(number for number in range(count) if rng.random() < share)


def main() -> None:
    """Measures, and prints what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=0.7, help="how many of the partitions are materialized (0.7)")
    share = parser.parse_args().share
    rng = random.Random(5)
    countries = static([f"country-{number}" for number in range(50)], dim="country")
    products = static([f"product-{number}" for number in range(55)], dim="product")
    space = Space(daily("2014-02-20", tz="Europe/Oslo") * countries * products)
    existing = space.existing(NOW)
    materialized = scattered(len(existing), share, rng)
    failed = scattered(len(existing), 0.02, rng) - materialized
    in_progress = scattered(len(existing), 0.001, rng)
    before = time.process_time()
    for _ in range(ROUNDS):
        sets = {
            "materialized": materialized,
            "failed": failed,
            "in progress": in_progress,
            "missing": existing - materialized - failed,
        }
        counts = summary(space, sets, NOW)
        found = {name: ranges(space, of) for name, of in sets.items()}
    took_ms = (time.process_time() - before) / ROUNDS * 1000
    for name, of in found.items():
        first = of.listed[0]
        print(f"{name}: {counts[name]:,} in {len(of.listed) + of.more_ranges:,} ranges, {first.first} to {first.last}")
    rss_mb = psutil.Process().memory_info().rss / 2**20
    print(
        json.dumps(
            {"partitions": len(existing), "status_ms": round(took_ms, 1), "rss_mb": round(rss_mb, 1)}, indent=None
        )
    )


if __name__ == "__main__":
    main()
