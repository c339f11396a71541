"""What a backfill request comes to, and how one that makes no sense is refused as a whole."""

from __future__ import annotations

from typing import Any

import pytest
from pyroaring import BitMap
from support.backfilling import NOW, catalog_over_teams, dep
from support.scheduling import asset, catalog_of, external, manifest

from hedgerow.errors import RequestError
from hedgerow.partitions import daily, hourly, mapping, monthly, static
from hedgerow.partitions.model import Partitions
from hedgerow_scheduler.lifecycle.backfills import PartitionState
from hedgerow_scheduler.planning import backfill_request
from hedgerow_scheduler.planning.backfill_request import BackfillRequest, plan_backfill, settings_of
from hedgerow_scheduler.planning.backfill_tracks import Track
from hedgerow_scheduler.planning.request import PartitionRange

DAYS = daily("2024-01-01")
COUNTRIES = static(["no", "se"], dim="country")
WORLD = catalog_over_teams(
    asset("raw", partitions=DAYS, max_partitions_per_run=7),
    asset("late", dep("raw"), partitions=daily("2024-02-01")),
    asset("regions", dep("raw"), partitions=daily("2024-01-01") * COUNTRIES),
    asset("months", dep("raw"), partitions=monthly("2024-01")),
    asset("model", dep("months")),
    asset("alone", partitions=static(["a", "b"])),
)


def plan(*selection: str, made: dict[str, BitMap] | None = None, **request: Any) -> dict[str, Track]:
    def facts(key: str, partitions: Partitions | None) -> BitMap:
        return (made or {}).get(key, BitMap())

    tracks = plan_backfill(WORLD, BackfillRequest(selection, **request), NOW, facts, facts)
    return {track.name: track for track in tracks}


def keys(track: Track) -> list[str | None]:
    return [track.space.key(ordinal) for ordinal in track.sets[PartitionState.TO_DO]]


def test_a_range_means_for_each_asset_what_belongs_to_it_in_dependency_order() -> None:
    found = plan("raw+", partition_range=PartitionRange("2024-01-31", "2024-02-01"))
    assert keys(found["raw"]) == ["2024-01-31", "2024-02-01"]
    assert keys(found["late"]) == ["2024-02-01"]
    assert keys(found["regions"]) == ["2024-01-31|no", "2024-01-31|se", "2024-02-01|no", "2024-02-01|se"]
    assert keys(found["months"]) == ["2024-01", "2024-02"]
    assert keys(found["model"]) == [None]
    assert list(found) == ["raw", "late", "months", "regions", "model"]


def test_windows_that_are_not_complete_are_left_out() -> None:
    found = plan("raw", "months", partition_range=PartitionRange("2024-03-01", "2024-03-10"))
    assert list(found) == ["raw"]


def test_only_what_is_missing_or_failed_of_these() -> None:
    made = {"raw": BitMap(range(5, 1_000))}
    assert keys(plan("raw", only="missing", made=made)["raw"])[-1] == "2024-01-05"
    chosen = PartitionRange("2024-01-04", "2024-01-08")
    assert keys(plan("raw", only="missing", partition_range=chosen, made=made)["raw"]) == ["2024-01-04", "2024-01-05"]
    assert len(keys(plan("raw", only="failed", partition_range=chosen, made=made)["raw"])) == 3


def test_a_run_makes_as_many_as_the_request_says_or_the_asset_or_a_hundred() -> None:
    found = plan("raw", "late", all_partitions=True)
    assert (found["raw"].per_run, found["late"].per_run) == (7, backfill_request.DEFAULT_PER_RUN)
    assert plan("raw", all_partitions=True, max_partitions_per_run=3)["raw"].per_run == 3


@pytest.mark.parametrize(
    ("selection", "request_", "code"),
    [
        ("nope", {"all_partitions": True}, "HR-Q001"),
        ("model", {"all_partitions": True}, "HR-Q004"),
        ("raw", {}, "HR-Q101"),
        ("raw", {"partitions": ("2024-13-01",)}, "HR-Q101"),
        ("raw", {"partitions": ("2025-01-01",)}, "HR-Q102"),
        ("raw", {"partition_range": PartitionRange("2024-02-01", "2024-01-01")}, "HR-Q103"),
        ("raw", {"partition_range": PartitionRange("2024-02-01", "never")}, "HR-Q101"),
        ("raw", {"all_partitions": True, "partitions": ("2024-01-01",)}, "HR-Q105"),
        ("raw", {"only": "failed"}, "HR-Q361"),
        ("alone raw", {"partitions": ("a", "2024-01-01")}, None),
        ("alone raw", {"partitions": ("a",)}, "HR-Q101"),
        ("raw", {"all_partitions": True, "config": {"late": {}}}, "HR-Q005"),
    ],
)  # fmt: skip
def test_a_request_that_makes_no_sense_is_refused(selection: str, request_: dict[str, Any], code: str | None) -> None:
    if code is None:
        assert [len(keys(track)) for track in plan(selection, **request_).values()] == [1, 1]
        return
    with pytest.raises(RequestError) as caught:
        plan(selection, **request_)
    assert caught.value.code == code
    assert caught.value.problems[0].remedy


def test_an_external_asset_is_not_backfilled() -> None:
    catalog = catalog_of(manifest("a", external("outside", partitions=DAYS), asset("raw", partitions=DAYS)))
    tracks = plan_backfill(catalog, BackfillRequest(("*",), only="missing"), NOW, _none, _none)
    assert [track.name for track in tracks] == ["raw"]


def test_more_than_twenty_million_partitions_are_too_many() -> None:
    wide = static([f"k{number}" for number in range(1_000)], dim="key")
    catalog = catalog_over_teams(asset("wide", partitions=hourly("2021-01-01T00:00") * wide))
    with pytest.raises(RequestError) as caught:
        plan_backfill(catalog, BackfillRequest(("wide",), all_partitions=True), NOW, _none, _none)
    assert caught.value.code == "HR-Q363"


def test_a_mapping_that_does_not_fit_is_refused() -> None:
    catalog = catalog_over_teams(
        asset("raw", partitions=DAYS), asset("bad", dep("raw", mapping.keys({"a": "b"})), partitions=COUNTRIES)
    )
    with pytest.raises(RequestError) as caught:
        plan_backfill(catalog, BackfillRequest(("*",), all_partitions=True), NOW, _none, _none)
    assert caught.value.code == "HR-Q104"


@pytest.mark.parametrize(
    "wrong",
    [
        {"abort_threshold": 0.0}, {"abort_threshold": 1.5}, {"abort_threshold": float("nan")}, {"canary": -1},
        {"max_runs": 0}, {"max_runs": 10_000}, {"rate": "often"}, {"rate": "0/m"}, {"max_partitions_per_run": 0},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused_with_a_remedy(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as caught:
        settings_of(BackfillRequest(("raw",), all_partitions=True, **wrong))
    assert caught.value.code == "HR-Q362"
    assert caught.value.problems[0].remedy


def test_a_canary_comes_with_a_threshold_of_a_tenth() -> None:
    assert settings_of(BackfillRequest(("raw",), canary=3)).abort_threshold == 0.1
    assert settings_of(BackfillRequest(("raw",), canary=3, abort_threshold=0.5)).abort_threshold == 0.5
    assert settings_of(BackfillRequest(("raw",))).abort_threshold is None
    assert settings_of(BackfillRequest(("raw",), rate="600/m")).rate_per_s == 10


def _none(key: str, partitions: Partitions | None) -> BitMap:
    return BitMap()
