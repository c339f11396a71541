"""Deploys in the middle of a backfill: what is declared otherwise now can't be made, and dynamic keys are known again."""

from __future__ import annotations

from support.backfilling import NOW, Played, catalog_over_teams, dep, tracks_of
from support.scheduling import Made, asset, catalog_of, manifest

from hedgerow.partitions import daily, dynamic, monthly
from hedgerow_scheduler.lifecycle.backfills import PartitionState
from hedgerow_scheduler.lifecycle.states import StepState
from hedgerow_scheduler.partitions.key_sets import KeySets
from hedgerow_scheduler.partitions.states import from_chunks
from hedgerow_scheduler.planning.backfill_tracks import Track
from hedgerow_scheduler.planning.backfills import Backfill, Settings
from hedgerow_scheduler.planning.catalog import Catalog

DAYS = daily("2024-03-01")


def world(*, raw: Made | None = None, clean: Made | None = None) -> Catalog:
    parts = (raw or asset("raw", partitions=DAYS), clean or asset("clean", dep("raw"), partitions=DAYS))
    return catalog_over_teams(*parts, asset("months", dep("clean"), partitions=monthly("2024-02")))


def begun() -> Played:
    """One run of `raw` is done, and another one is out."""
    played = Played(world(), tracks_of(world(), per_run=5), Settings(max_runs=5))
    first = played.launch()
    assert first is not None
    for key in first.partitions():
        played.end(("raw", key), StepState.SUCCEEDED)
    played.settle()
    played.launch()
    return played


def test_what_is_gone_fails_with_what_is_made_from_it_and_what_is_out_goes_on() -> None:
    played = begun()
    out = [pair for run in played.out for pair in run]
    played.catalog = catalog_over_teams(asset("raw", partitions=DAYS), asset("other"))
    played.backfill.use(played.catalog, NOW)
    played.settle()
    counts = {track.name: track.sets.counts() for track in played.backfill.tracks}
    assert counts["clean"][PartitionState.TO_DO] == counts["months"][PartitionState.TO_DO] == 0
    assert played.backfill.problem is not None
    assert played.backfill.problem.code == "HR-Q365"
    for pair in out:
        played.end(pair, StepState.SUCCEEDED)
    while (chunk := played.launch()) is not None:
        for key in chunk.partitions():
            played.end((chunk.track.name, key), StepState.SUCCEEDED)
    played.settle()
    assert {track.name: track.sets.counts() for track in played.backfill.tracks}["raw"][PartitionState.DONE] == 19
    assert played.backfill.state == "failed"
    assert played.backfill.retry(world(), NOW) > 0


def test_other_partitions_are_not_mixed_up_with_those_of_before() -> None:
    played = begun()
    played.backfill.use(world(clean=asset("clean", dep("raw"), partitions=daily("2024-03-02"))), NOW)
    played.settle()
    counts = {track.name: track.sets.counts() for track in played.backfill.tracks}
    assert counts["raw"][PartitionState.TO_DO] > 0
    assert counts["clean"][PartitionState.FAILED] > 0
    assert counts["months"][PartitionState.TO_DO] == 0


def test_dynamic_keys_are_those_of_the_catalog_again_after_a_takeover() -> None:
    keys = KeySets()
    one = manifest("a", asset("files", partitions=dynamic("files")))
    catalog = catalog_of(keys.bind(one))
    for name in ("x", "y", "z"):
        keys.of("a", "files").add(name)
    (track,) = tracks_of(catalog)
    stored = from_chunks(PartitionState, track.sets.chunks())
    unbound = one.computations[0].partitions
    again = Backfill("0190", "requested", Settings(max_runs=1), [Track("files", "a", ("files",), unbound, 2, stored)])  # type: ignore[arg-type]
    again.use(catalog, NOW)
    again.begin()
    chunk = again.next_chunk(10, NOW)
    assert chunk is not None
    assert chunk.partitions() == ("x", "y")
    again.launch(chunk)
    assert again.end("files", "y", StepState.SUCCEEDED) is PartitionState.DONE
