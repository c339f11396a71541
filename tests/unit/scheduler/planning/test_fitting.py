"""Whether what locations declare apart fits together."""

from __future__ import annotations

from support.scheduling import asset, catalog_of, manifest

from hedgerow.manifest.model import Dependency
from hedgerow.partitions.model import All, StaticPartitions, TimePartitions
from hedgerow_scheduler.planning.fitting import misfits

DAYS = TimePartitions("day", "2024-01-01")
PLACES = StaticPartitions(("no", "se"))


def test_what_fits_is_no_misfit_and_neither_is_an_optional_upstream_that_no_one_declares() -> None:
    made = asset("ml/daily", "raw/daily", Dependency("raw/by_place", mapping=All()), partitions=DAYS)
    hopeful = asset("ml/hopeful", Dependency("gone", optional=True))
    upstream = (asset("raw/daily", partitions=DAYS), asset("raw/by_place", partitions=PLACES))
    assert list(misfits(catalog_of(manifest("ml", made, hopeful), manifest("raw", *upstream)))) == []


def test_partitions_that_a_mapping_does_not_fit_are_told_across_teams_with_the_one_who_reads_them() -> None:
    reads = asset("ml/daily", "raw/by_place", partitions=DAYS)
    beside = catalog_of(manifest("ml", reads), manifest("raw", asset("raw/by_place", partitions=PLACES)))
    (found,) = misfits(beside)
    assert (found.computation, found.team, found.upstream, found.problem.code) == (
        "ml/daily", "ml", "raw/by_place", "HR-D107",
    )  # fmt: skip
    assert "can't read the partitions of 'raw/by_place'" in found.problem.message


def test_an_upstream_that_no_one_declares_is_told_with_one_of_a_similar_name() -> None:
    beside = catalog_of(manifest("ml", asset("ml/daily", "raw/dally")), manifest("raw", asset("raw/daily")))
    assert [(each.problem.code, each.problem.remedy) for each in misfits(beside)] == [
        ("HR-Q322", "Did you mean 'raw/daily'?")
    ]
    assert list(misfits(beside, ())) == []
