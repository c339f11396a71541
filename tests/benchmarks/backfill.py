"""What a backfill of a million partitions costs, over four assets of two teams and on a real PostgreSQL.

    python tests/benchmarks/backfill.py [--countries N] [--launch N]

The request is planned and recorded as the API does it, and taken up as the leader does it; then so many partitions are launched by the
leader's own code, in cycles of one transaction each, where every step that is out ends before the next cycle. Nothing else is in the
loop. The last line is JSON; README.md beside this file says what the figures mean.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import psutil
from sqlalchemy import Engine, text

sys.path.insert(0, str(Path(__file__).parents[1]))
from support import seeding

from hedgerow import clock
from hedgerow.manifest.model import Asset, Computation, Dependency
from hedgerow.partitions import daily, mapping, monthly, static
from hedgerow.partitions.model import Partitions
from hedgerow_scheduler.embedded.servers import running_postgres
from hedgerow_scheduler.lifecycle.changes import Changes, Effects
from hedgerow_scheduler.lifecycle.states import StepState
from hedgerow_scheduler.metadata import backfills, catalogs, leadership, migrate
from hedgerow_scheduler.metadata.database import open_engine
from hedgerow_scheduler.metadata.postgres_store import PostgresStore
from hedgerow_scheduler.partitions.key_sets import KeySets
from hedgerow_scheduler.planning.backfill_request import BackfillRequest, plan_backfill, settings_of
from hedgerow_scheduler.service.backfills import Backfills
from hedgerow_scheduler.service.main import GC_THRESHOLDS
from hedgerow_scheduler.service.takeover import snapshot_of

MADE = 100_000  # partitions of the first asset that are there before, for what is missing
FAILING = 997  # every such step fails
LEASE = timedelta(seconds=20)


def declare(engine: Engine, countries: int) -> None:
    """Two teams' assets over days and countries, and the months of them."""
    both = daily("2019-01-01", end="2026-01-01") * static(
        [f"c{number:03}" for number in range(countries)], dim="country"
    )
    looks_back = mapping.by_dim(time=mapping.window(-2, 0))

    def made(key: str, partitions: Partitions, *deps: Dependency) -> tuple[Asset, Computation]:
        return Asset(key, key, partitions=partitions), Computation(key, (key,), deps, partitions)

    with engine.begin() as connection:
        seeding.publish(connection, "ingest", [made("raw", both)])
        own = [
            made("clean", both, Dependency("raw")),
            made("trend", both, Dependency("clean", mapping=looks_back)),
            made("months", monthly("2019-01", end="2026-01"), Dependency("clean")),
        ]
        seeding.publish(connection, "sales", own)
        keys = "SELECT 'raw', to_char(d, 'YYYY-MM-DD') || '|' || 'c' || to_char(c, 'FM000'), gen_random_uuid(), 1"
        days = "generate_series('2019-01-01'::date, '2025-12-31'::date, '1 day') AS d"
        connection.execute(
            text(
                f"INSERT INTO current_materializations (asset, partition, attempt_id, dispatch_seq) {keys} "
                f"FROM {days}, generate_series(0, {countries - 1}) AS c LIMIT {MADE}"
            )
        )


def plan(engine: Engine, request: BackfillRequest) -> tuple[float, str, int]:
    """The seconds from a request to its recorded backfill, its id, and how many partitions it has."""
    began = time.perf_counter()
    with engine.begin() as connection:
        tracks = plan_backfill(
            catalogs.read_catalog(connection, KeySets()),
            request,
            clock.now(),
            lambda key, partitions: backfills.read_materialized(connection, key, partitions),
            lambda key, partitions: backfills.read_failed(connection, key, partitions),
        )
        id, _ = backfills.request_backfill(connection, request, settings_of(request), tracks, "bench", "")
    return time.perf_counter() - began, id, sum(len(track.sets.all()) for track in tracks)


class Leader:
    """A leader with nothing but backfills to do."""

    def __init__(self, engine: Engine) -> None:
        with engine.begin() as connection:
            lead = leadership.try_to_lead(connection, "bench")
        assert lead is not None
        self.store = PostgresStore(engine, lead)
        with self.store.transaction() as transaction:
            self.now = transaction.now()
            state = transaction.state(timedelta(seconds=30))
            self.snapshot = snapshot_of(state, self.now, LEASE)
        self.backfills = Backfills(self.snapshot, state.backfills, clock.uuid7, self.now)
        self.held_ms: list[float] = []
        self.launched = self.most_out = 0

    def cycle(self, *, look: bool = False) -> None:
        """One transaction; `look` also takes up what was asked for. What the loop was held by backfills is noted."""
        snapshot = self.snapshot
        with self.store.transaction() as transaction:
            self.now = transaction.now()
            for run in list(snapshot.runs.values()):
                for step in run.steps:
                    if step.state is StepState.READY:
                        self.launched += 1
                        to = StepState.FAILED if self.launched % FAILING == 0 else StepState.SUCCEEDED
                        snapshot.move(step, to, self.now)
            began = time.perf_counter()
            if look:
                self.backfills.take_requested(transaction, self.now)
            self.backfills.turn(self.now)
            self.backfills.store()
            self.held_ms.append((time.perf_counter() - began) * 1000)
            changes, snapshot.changes, snapshot.effects = snapshot.changes, Changes(), Effects()
            transaction.write(changes, self.now)
        self.most_out = max(self.most_out, sum(len(run.steps) for run in snapshot.runs.values()))


def main() -> None:
    """Measures, and prints what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--countries", type=int, default=131, help="with 2,557 days each, for three assets (131)")
    parser.add_argument("--launch", type=int, default=50_000, help="how many partitions are launched (50,000)")
    options = parser.parse_args()
    gc.set_threshold(*GC_THRESHOLDS)
    with tempfile.TemporaryDirectory(prefix="hedgerow-backfill-") as home, running_postgres(Path(home)) as url:
        migrate.upgrade(url)
        engine = open_engine(url)
        declare(engine, options.countries)
        leader = Leader(engine)
        request = BackfillRequest(("raw+",), all_partitions=True, max_runs=20)
        plan_s, id, partitions = plan(engine, request)
        missing_s, other, missing = plan(engine, BackfillRequest(("raw+",), only="missing"))
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE backfills SET ended_at = now(), state = 'cancelled' WHERE id = :id"), {"id": other}
            )
            rows_before = connection.execute(text("SELECT count(*) FROM steps")).scalar_one()
        began = time.perf_counter()
        leader.cycle(look=True)
        first_s, take_up_ms = time.perf_counter() - began, leader.held_ms.pop()
        began = time.perf_counter()
        while leader.launched < options.launch:
            leader.cycle()
        took_s = time.perf_counter() - began
        rss_mb = psutil.Process().memory_info().rss / 2**20
        began = time.perf_counter()
        with engine.connect() as connection:
            known = backfills.read_backfill(connection, id)
        read_ms = (time.perf_counter() - began) * 1000
        assert known is not None
        engine.dispose()
    found = {
        "partitions": partitions,
        "backfill_plan_s": round(plan_s + first_s, 2),
        "missing": missing,
        "missing_plan_s": round(missing_s, 2),
        "steps_before_launch": rows_before,
        "take_up_ms": round(take_up_ms, 1),
        "launched": leader.launched,
        "launched_per_s": round(leader.launched / took_s),
        "out_at_most": leader.most_out,
        "held_ms_p50": round(sorted(leader.held_ms)[len(leader.held_ms) // 2], 1),
        "held_ms_max": round(max(leader.held_ms), 1),
        "read_back_ms": round(read_ms, 1),
        "rss_mb": round(rss_mb),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
