"""A backfill whose partitions are removed before their turn leaves them out, and says so."""

from __future__ import annotations

from itertools import count

from pyroaring import BitMap
from support.backfilling import NOW
from support.scheduling import asset, manifest, uuid

from hedgerow.partitions.constructors import daily, dynamic
from hedgerow_scheduler.lifecycle.backfills import BackfillState, PartitionState
from hedgerow_scheduler.lifecycle.states import StepState
from hedgerow_scheduler.metadata.backfills import Known, StoredBackfill
from hedgerow_scheduler.partitions.key_sets import KeySets
from hedgerow_scheduler.partitions.spaces import space_of
from hedgerow_scheduler.partitions.states import StateSets
from hedgerow_scheduler.planning.backfill_request import BackfillRequest, settings_of
from hedgerow_scheduler.planning.backfill_tracks import Track
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.service.backfills import Backfills


def test_what_was_removed_fails_with_the_reason_and_the_rest_is_made() -> None:
    sets = KeySets()
    usage = asset("usage", partitions=daily("2024-03-17") * dynamic("customers"))
    catalog = Catalog([PublishedManifest("h", sets.bind(manifest("sales", usage)))])
    keys = sets.of("sales", "customers")
    for key in ("acme", "globex"):
        keys.add(key)
    partitions = catalog.computations["usage"].partitions
    which = BitMap(space_of(partitions).existing(NOW))
    assert len(which) == 6
    request = BackfillRequest(("usage",), all_partitions=True, max_partitions_per_run=2)
    row = StoredBackfill(
        id=uuid(7), state=BackfillState.RUNNING, request=request, settings=settings_of(request), passed=True, author="",
        reason="", problem=None, created_at=NOW, started_at=NOW, ended_at=None, since=NOW, worked_ms=0,
    )  # fmt: skip
    todo = StateSets(PartitionState, {PartitionState.TO_DO: which})
    snapshot = Snapshot(catalog, key_sets=sets)
    ids = count(1)
    backfills = Backfills(
        snapshot,
        [Known(row, (Track("usage", "sales", ("usage",), partitions, 2, todo),))],
        lambda: uuid(next(ids)),
        NOW,
    )
    keys.remove("globex")
    made: list[str | None] = []
    for _ in range(10):
        backfills.turn(NOW)
        for run in list(snapshot.runs.values()):
            for step in run.steps:
                if step.state is StepState.READY:
                    made.append(step.partition)
                    snapshot.move(step, StepState.SUCCEEDED, NOW)
    assert made == ["2024-03-17|acme", "2024-03-18|acme", "2024-03-19|acme"]
    backfills.store()
    (change,) = snapshot.changes.backfills.backfills
    assert (change.state, change.problem.code if change.problem else "") == (BackfillState.FAILED, "HR-Q028")
    assert todo.counts()[PartitionState.DONE] == todo.counts()[PartitionState.FAILED] == 3
