"""`make simulate SEEDS=10000`: many worlds on all cores, then every mutant; the last line is the result as JSON.

A seed that fails prints one line that runs it again: `python tests/simulation/simulate.py --seed N`.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from simulation.checks import Violation
from simulation.lively import town_of
from simulation.mutants import MUTANTS, Mutant
from simulation.world import World, live

PORTION = 50
MOST_FAILURES = 5
MUTANT_SEEDS = 1_000


def main(argv: list[str]) -> int:
    """Runs the simulation; 0 without a violation and with every mutant caught."""
    parser = argparse.ArgumentParser(prog="simulate", description="Seeded worlds against the real cores.")
    parser.add_argument("--seeds", type=int, default=1000, help="how many worlds (default 1000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--seed", type=int, help="one world, told in full")
    parser.add_argument("--mutants", type=int, default=MUTANT_SEEDS, help="seeds to try each mutant with; 0: none")
    options = parser.parse_args(argv)
    logging.disable(logging.CRITICAL)
    if options.seed is not None:
        return tell(options.seed)
    began = time.perf_counter()
    totals: dict[str, Counter[object]] = {
        "faults": Counter(),
        "transitions": Counter(),
        "excused": Counter(),
        "size": Counter(),
    }
    failures: list[tuple[int, str]] = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        portions = list(_portions(range(options.first, options.first + options.seeds)))
        for met, failed in pool.map(_live_all, portions):
            for what, counts in met.items():
                totals[what] += counts
            failures += failed
            for seed, why in failed:
                print(f"seed {seed}: {why}\n  python tests/simulation/simulate.py --seed {seed}", flush=True)
        lasted = time.perf_counter() - began
        caught = list(pool.map(_catch, [(mutant, options.mutants) for mutant in MUTANTS])) if options.mutants else []
    for mutant, (seed, why) in zip(MUTANTS, caught, strict=False):
        print(f"mutant: {mutant.name}: " + (f"caught by seed {seed}: {why}" if seed is not None else "NOT caught"))
    print(f"{options.seeds} worlds in {lasted:.0f} s: {dict(totals['size'])}; excused: {dict(totals['excused'])}")
    print(
        "transitions: "
        + ", ".join(f"{' '.join(key[:1])} {key[1]}→{key[2]} {n}" for key, n in totals["transitions"].most_common())
    )  # type: ignore[index]
    found = {
        "seeds": options.seeds,
        "violations": len(failures),
        "faults": dict(totals["faults"].most_common()),
        "transitions_covered": len(totals["transitions"]),
        "mutants_caught": sum(seed is not None for seed, _ in caught),
        "mutants": len(caught),
        "seconds": round(lasted, 1),
    }
    print(json.dumps(found))
    return 1 if failures or found["mutants_caught"] < len(caught) else 0


def tell(seed: int) -> int:
    """Lives one world through and prints what happened in it."""
    world = World(seed, town_of(seed))
    try:
        world.run()
    except Exception:
        traceback.print_exc()
        failed = True
    else:
        failed = False
    print(
        f"seed {seed} ({world.town.name}): {world.cycles} cycles, {world.steps} steps, {world.clock.seconds:.1f} s, faults {dict(world.faults.counts)}"
    )
    for at, what in world.faults.told:
        print(f"{at:8.2f} {what}")
    return 1 if failed else 0


def _portions(seeds: Iterable[int]) -> Iterator[list[int]]:
    left = iter(seeds)
    while portion := list(islice(left, PORTION)):
        yield portion


def _live_all(seeds: list[int]) -> tuple[dict[str, Counter[object]], list[tuple[int, str]]]:
    logging.disable(logging.CRITICAL)
    gc.set_threshold(50_000, 20, 50)
    totals: dict[str, Counter[object]] = {}
    failures = []
    for seed in seeds:
        try:
            for what, counts in live(seed).items():
                totals[what] = totals.get(what, Counter()) + counts
        except Exception as error:
            failures.append((seed, f"{type(error).__name__}: {error}"))
            if len(failures) >= MOST_FAILURES:
                break
    return totals, failures


def _catch(task: tuple[Mutant, int]) -> tuple[int | None, str]:
    """The first seed that notices a mutant, and what it says."""
    mutant, seeds = task
    logging.disable(logging.CRITICAL)
    with mutant.alive():
        for seed in range(seeds):
            try:
                live(seed, mutant.town)
            except Violation as error:
                if isinstance(error.__cause__, NameError):
                    raise  # the source was changed while this ran
                return seed, str(error)
    return None, ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
