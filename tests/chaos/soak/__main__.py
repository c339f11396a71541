"""`make soak MINUTES=30 SEED=1`: a platform at full load for long, measured, with a few faults in between.

The last line is JSON. The exit code is 1 when something has grown, the judge has found a violation, or a process has ended of itself.
Samples, logs and the summary stay in build/soak/.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from chaos.soak.place import SoakStage
from chaos.soak.play import Soak
from chaos.stage import stage_of

RESULTS = Path("build") / "soak"


def main() -> int:
    """Runs one soak."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="how long there is load (default: 30)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-faults", action="store_true", help="load alone")
    parser.add_argument("--keep", action="store_true", help="keep the platform's directory, with database and outputs")
    options = parser.parse_args()
    folder = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}-seed{options.seed}"
    folder.mkdir(parents=True)
    with stage_of(SoakStage, keep=lambda: options.keep) as place:
        print(f"seed {options.seed}; {place.versions()}; samples in {folder}, the platform in {place.root}", flush=True)
        soak = Soak(place, folder, options.minutes * 60, options.seed, faults=not options.no_faults)
        good = False
        try:
            good = soak.all()
        finally:
            shutil.copytree(place.root / "logs", folder / "logs")
    (folder / "summary.json").write_text(json.dumps(soak.summary, indent=1) + "\n")
    print(json.dumps(soak.summary), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
