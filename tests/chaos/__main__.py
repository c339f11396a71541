"""`make chaos CYCLES=20 SEED=1`: harms a platform at work again and again, and judges what became of its steps.

The last line is JSON. The exit code is 1 when anything was violated; then the seed, what was violated and the history of the steps
concerned are printed, and the directory with all logs is kept.
"""

from __future__ import annotations

import argparse
import json
import sys

from chaos.faults import KINDS
from chaos.play import Play
from chaos.stage import stage


def main() -> int:
    """Plays as many cycles as asked for, or for as long."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=0.0, help="instead of a number of cycles, the time to play")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", default="", help=f"only these faults, with commas between: {', '.join(KINDS)}")
    parser.add_argument("--live", type=int, default=6, help="runs that live at once")
    parser.add_argument("--keep", action="store_true", help="keep the directory with the logs also when all is well")
    options = parser.parse_args()
    kinds = [kind for kind in options.kinds.split(",") if kind] or list(KINDS)
    unknown = set(kinds) - set(KINDS)
    if unknown:
        parser.error(f"there is no fault called {', '.join(sorted(unknown))}")
    good = False
    with stage(keep=lambda: options.keep or not good) as place:
        print(f"seed {options.seed}; {place.versions()}; everything is in {place.root}", flush=True)
        play = Play(place, kinds, options.seed, options.live)
        good = play.all(options.cycles, options.minutes * 60)
    print(json.dumps(play.summary), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
