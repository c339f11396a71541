"""What conditions cost: 100,000 assets of 20 teams, in chains of a root and ten eager descendants; beside Dagster's evaluation.

    make bench-planner            # or: python tests/benchmarks/planner.py [--assets 100000] [--dagster PYTHON]

`load_s` is from the bytes of all manifests, which arrive in parts and one after another, to an engine that has asked every condition
for the first time, in turns; `longest_ms` the longest that any part of it held the thread which would be the loop's, with the loop's
settings for Python's garbage collection. `tick_unchanged_ms` is one look of the leader when nothing
has happened; `one_root_ms` and `thousand_roots_ms` are from the news of new roots to the requests of everything below.
`evaluated_*` count the conditions that were asked. The last line is JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec
import psutil

from hedgerow.conditions.constructors import eager
from hedgerow.manifest.model import Asset, Computation, Dependency, Manifest, decode, encode, manifest_hash
from hedgerow.protocol.envelope import Envelope
from hedgerow.protocol.events import ManifestChunk
from hedgerow_scheduler.automation.engine import Engine
from hedgerow_scheduler.ingest.asking import Asking
from hedgerow_scheduler.ingest.manifests import Manifests
from hedgerow_scheduler.lifecycle.changes import Changes
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.service.main import GC_THRESHOLDS

TEAMS, BELOW = 20, 10
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
SLICE_S = 0.05
CHUNK = 128 * 1024
NOBODY = Envelope("", "manifest_chunk", 1, msgspec.Raw(b"null"))
LOOKS = 10_000


def manifests(assets: int, teams: int = TEAMS) -> list[bytes]:
    """The bodies of all teams' manifests."""
    chains, condition = assets // (BELOW + 1), eager()
    found = []
    for team in range(teams):
        own: list[Asset] = []
        steps: list[Computation] = []
        for chain in range(team, chains, teams):
            for level in range(BELOW + 1):
                key = f"t{team}/c{chain}/a{level}"
                deps = (Dependency(f"t{team}/c{chain}/a{level - 1}"),) if level else ()
                own.append(Asset(key, key, automation=condition if level else None))
                steps.append(Computation(key, (key,), deps, code_version="1"))
        own.sort(key=lambda each: each.key)
        steps.sort(key=lambda each: each.name)
        found.append(encode(Manifest(f"t{team}", f"t{team}", tuple(own), tuple(steps))))
    return found


class Clocked:
    """Measures parts of work, of which each would hold the loop."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    def part(self, began: float) -> float:
        """The seconds since `began`, which was one part."""
        took = time.perf_counter() - began
        self.longest_s = max(self.longest_s, took)
        return took


def turns(engine: Engine, clocked: Clocked) -> tuple[float, int, int]:
    """Takes turns until nothing is due: seconds, conditions asked, partitions requested."""
    took, asked, requested = 0.0, 0, 0
    while engine.is_due(NOW):
        began = time.perf_counter()
        until = began + SLICE_S
        outcome = engine.turn(NOW, lambda until=until: time.perf_counter() > until)  # type: ignore[misc]
        engine.store()
        took += clocked.part(began)
        if outcome is not None:
            asked += outcome.asked
            requested += sum(map(len, outcome.requests.values()))
    return took, asked, requested


def root_of(chain: int) -> str:
    """The key of a chain's root."""
    return f"t{chain % TEAMS}/c{chain}/a0"


def made(engine: Engine, chains: range, run_id: str) -> tuple[float, int, int]:
    """What it takes to answer new roots."""
    began = time.perf_counter()
    for chain in chains:
        engine.materialize(root_of(chain), None, "1", run_id, run_id)
    told = time.perf_counter() - began
    took, asked, requested = turns(engine, Clocked())
    return told + took, asked, requested


def publish(team: str, body: bytes, manifests: Manifests, clocked: Clocked) -> float:
    """The seconds it takes until a manifest that arrives in parts is in force."""
    text, digest = body.decode(), manifest_hash(body)
    parts = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
    took = 0.0
    for index, part in enumerate(parts):
        began = time.perf_counter()
        manifests.chunk(team, NOBODY, ManifestChunk(digest, index, len(parts), part), NOW)
        took += clocked.part(began)
    began = time.perf_counter()
    manifests.take_offer(NOW)
    return took + clocked.part(began)


def take_up(engine: Engine, catalog: Catalog, clocked: Clocked) -> float:
    """The seconds it takes until an engine has taken up a catalog in which all new assets were made before."""
    taking_up, took, unknown = engine.taking_up(catalog, NOW), 0.0, None
    while unknown is None:
        began = time.perf_counter()
        while unknown is None and time.perf_counter() - began < SLICE_S:
            try:
                next(taking_up)
            except StopIteration as done:
                unknown = done.value
        took += clocked.part(began)
    for key in unknown:
        engine.know([(key, None, "1", "1")], (), ())
    return took


def measure(assets: int) -> dict[str, float]:
    """Everything but Dagster's figure."""
    bodies, clocked, snapshot = manifests(assets), Clocked(), Snapshot()
    arriving, engine = Manifests(snapshot, Asking()), Engine(lambda *_: False)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    read_s = use_s = first_s = 0.0
    first_asked = 0
    for team, body in enumerate(bodies):
        read_s += publish(f"t{team}", body, arriving, clocked)
        snapshot.changes = Changes()  # recorded
        use_s += take_up(engine, snapshot.catalog, clocked)
        took, asked, _ = turns(engine, clocked)
        first_s, first_asked = first_s + took, first_asked + asked
    catalog = snapshot.catalog
    began = time.perf_counter()
    for _ in range(LOOKS):
        engine.is_due(NOW)
    look_ms = (time.perf_counter() - began) / LOOKS * 1000
    ones = [made(engine, range(chain, chain + 1), f"one {chain}") for chain in range(2000, 2020)]
    thousand_s, thousand_asked, thousand_requested = made(engine, range(1000), "thousand")
    assert [requested for _, _, requested in ones] == [BELOW] * 20
    assert thousand_requested == 1000 * BELOW
    return {
        "assets": len(catalog.assets), "read_s": round(read_s, 2), "use_s": round(use_s, 2), "first_turns_s": round(first_s, 2),
        "load_s": round(read_s + use_s + first_s, 2), "longest_ms": round(clocked.longest_s * 1000, 1),
        "tick_unchanged_ms": round(look_ms, 6), "one_root_ms": round(median(took for took, _, _ in ones) * 1000, 3),
        "thousand_roots_ms": round(thousand_s * 1000, 1), "evaluated_first": first_asked, "evaluated_one_root": ones[0][1],
        "evaluated_thousand_roots": thousand_asked, "rss_mb": round(psutil.Process().memory_info().rss / 1e6, 1),
    }  # fmt: skip


def tick_of(assets: int) -> float:
    """Milliseconds of one look at an engine with so many assets when nothing has happened."""
    engine = Engine(lambda *_: False)
    engine.use(Catalog(PublishedManifest(manifest_hash(body), decode(body)) for body in manifests(assets)), NOW)
    turns(engine, Clocked())
    began = time.perf_counter()
    for _ in range(LOOKS):
        engine.is_due(NOW)
    return (time.perf_counter() - began) / LOOKS * 1000


def beside(python: str, script: str) -> dict[str, float]:
    """The last line of another benchmark, run in a process of its own."""
    done = subprocess.run([python, str(Path(__file__).with_name(script))], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{script} failed:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=int, default=100_000)
    parser.add_argument("--dagster", default="", help="the Python of an environment that has Dagster")
    options = parser.parse_args()
    found = measure(options.assets)
    found["partitions_status_ms"] = beside(sys.executable, "partitions.py")["status_ms"]
    backfill = beside(sys.executable, "backfill.py")
    found |= {"backfill_plan_s": backfill["backfill_plan_s"], "backfill_rss_mb": backfill["rss_mb"]}
    if options.dagster:
        theirs = beside(options.dagster, "planner_dagster.py")
        ours_ms = tick_of(int(theirs["assets"]))
        found |= {"dagster_tick_ms": theirs["tick_ms"], "ours_tick_ms": round(ours_ms, 6)}
        found["dagster_ratio"] = round(theirs["tick_ms"] / ours_ms)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
