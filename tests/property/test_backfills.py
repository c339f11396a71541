"""Backfills: every partition is launched exactly once, after what it needs, whatever ends how and when, and whoever leads."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap
from support.backfilling import NOW, Played, catalog_over_teams, dep, tracks_of
from support.scheduling import asset

from hedgerow.partitions import daily, mapping, monthly, static
from hedgerow_scheduler.lifecycle.backfills import ENDED_BACKFILLS
from hedgerow_scheduler.lifecycle.states import StepState
from hedgerow_scheduler.partitions.spaces import space_of
from hedgerow_scheduler.planning.backfills import Settings
from hedgerow_scheduler.planning.catalog import Catalog

DAYS = daily("2024-01-10")
BY_COUNTRY = daily("2024-01-25") * static(["no", "se", "dk"], dim="country")
MONTHS = monthly("2024-01")

WORLD = catalog_over_teams(
    asset("raw", partitions=DAYS),
    asset("clean", dep("raw"), partitions=DAYS),
    asset("trend", dep("clean", mapping.window(-2, 0)), dep("trend", mapping.window(-1, -1)), partitions=DAYS),
    asset("countries", dep("clean"), partitions=BY_COUNTRY),
    asset("months", dep("clean"), dep("countries"), partitions=MONTHS),
    asset("model", dep("months"), dep("trend")),
)
OUTCOMES = [StepState.SUCCEEDED] * 6 + [StepState.FAILED, StepState.SKIPPED, StepState.CANCELLED, StepState.POISONED]


@st.composite
def wanted(draw: st.DrawFn, catalog: Catalog = WORLD) -> dict[str, BitMap]:
    """Stretches of some assets' partitions, with holes in them."""
    found = {}
    for name, computation in catalog.computations.items():
        count = len(space_of(computation.partitions).existing(NOW))
        begin, end = draw(st.integers(0, count)), draw(st.integers(0, count))
        holes = draw(st.lists(st.integers(0, count), max_size=3))
        found[name] = BitMap(range(begin, max(begin, end))) - BitMap(holes)
    return found


def play(played: Played, data: st.DataObject, outcomes: list[StepState], most_runs: int = 4) -> None:
    """Launches, ends and hands over at random until nothing more happens."""
    draw = data.draw
    for _ in range(5_000):
        what = draw(st.sampled_from(["launch", "end", "end", "handover"]))
        if what == "launch" and len(played.out) < most_runs:
            played.launch(draw(st.sampled_from([1, 7, 1_000])))
        elif what == "end" and played.out:
            run = draw(st.sampled_from(played.out))
            for pair in list(run[: draw(st.integers(1, 12))]):
                above = {played.state(up) for up in played.needs(pair)}
                if "launched" not in above:  # those that wait for another one in their run end with it, or later
                    played.end(pair, inherited(above) or draw(st.sampled_from(outcomes)))
            played.settle()
        elif what == "handover":
            played.another_leads()
        if not played.out and (played.backfill.state in ENDED_BACKFILLS or played.backfill.state == "paused"):
            return
    raise AssertionError("it does not come to its end")


def inherited(above: set[str]) -> StepState | None:
    """How a step ends of which one above it in its run did not succeed."""
    if above & {"failed", "upstream_failed"}:
        return StepState.UPSTREAM_FAILED
    return StepState.CANCELLED if "cancelled" in above else StepState.SKIPPED if "skipped" in above else None


@settings(max_examples=60, deadline=None)
@given(wanted(), st.data(), st.integers(1, 25))
def test_each_partition_is_launched_once_after_what_it_needs_and_ends_as_it_should(
    which: dict[str, BitMap], data: st.DataObject, per_run: int
) -> None:
    played = Played(WORLD, tracks_of(WORLD, which, per_run), Settings(max_runs=4))
    play(played, data, OUTCOMES)
    launched = played.launched
    assert len(launched) == len(set(launched))
    for pair in played.wanted:
        state = played.state(pair)
        above = {played.state(up) for up in played.needs(pair)}
        if pair in launched:
            assert state in ("done", "failed", "skipped", "cancelled", "upstream_failed")
        else:
            assert state in ("upstream_failed", "skipped")
            assert above & {"failed", "cancelled", "upstream_failed", "skipped"}
        if state == "done":
            assert above <= {"done"}


@settings(max_examples=40, deadline=None)
@given(wanted(), st.data())
def test_when_all_goes_well_all_is_made_once(which: dict[str, BitMap], data: st.DataObject) -> None:
    played = Played(WORLD, tracks_of(WORLD, which), Settings(max_runs=4))
    play(played, data, [StepState.SUCCEEDED])
    assert played.backfill.state == "succeeded"
    assert sorted(map(str, played.launched)) == sorted(map(str, played.wanted))


@settings(max_examples=40, deadline=None)
@given(wanted(), st.data())
def test_a_retry_does_again_what_did_not_succeed_and_nothing_else(
    which: dict[str, BitMap], data: st.DataObject
) -> None:
    played = Played(WORLD, tracks_of(WORLD, which), Settings(max_runs=4))
    play(played, data, [StepState.SUCCEEDED, StepState.SUCCEEDED, StepState.FAILED, StepState.CANCELLED])
    made = {pair for pair in played.wanted if played.state(pair) == "done"}
    before = len(played.launched)
    if played.backfill.state == "succeeded":
        return
    played.backfill.retry(WORLD, NOW)
    play(played, data, [StepState.SUCCEEDED])
    assert played.backfill.state == "succeeded"
    again = played.launched[before:]
    assert len(again) == len(set(again))
    assert set(again) == played.wanted - made


@settings(max_examples=40, deadline=None)
@given(wanted(), st.data(), st.integers(1, 6), st.sampled_from([0.1, 0.5, 1.0]))
def test_a_canary_goes_first_and_its_failures_decide(
    which: dict[str, BitMap], data: st.DataObject, canary: int, threshold: float
) -> None:
    played = Played(WORLD, tracks_of(WORLD, which), Settings(max_runs=4, canary=canary, abort_threshold=threshold))
    while played.backfill.state == "canary":
        if data.draw(st.booleans()):
            played.another_leads()
        while played.launch() is not None:
            assert played.backfill.state == "canary"
        assert len([name for name, _ in played.launched if name == "raw"]) <= canary
        assert played.out
        for pair in list(played.out[0]):
            above = inherited({played.state(up) for up in played.needs(pair)})
            played.end(pair, above or data.draw(st.sampled_from([StepState.SUCCEEDED, StepState.FAILED])))
        played.settle()
    counts = played.backfill.counts()
    share = counts["failed"] / max(1, counts["failed"] + counts["done"])
    if played.backfill.state == "aborted":
        assert counts["failed"]
        assert share >= threshold
        assert played.launch() is None
    elif counts["to_do"]:
        assert not counts["failed"] or share < threshold
        assert played.backfill.state == "running"
