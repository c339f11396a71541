"""Samples put together by role."""

from __future__ import annotations

from chaos.soak.series import Sample, by_role


def sample(second: float, role: str, process: str, value: float, figure: str = "rss_mb") -> Sample:
    return Sample(second, role, process, figure, value)


def test_a_role_is_as_large_as_its_largest_process_and_is_counted() -> None:
    found = by_role([sample(5, "worker", "a", 60), sample(0, "worker", "a", 50), sample(5, "worker", "b", 90)])
    assert found["worker", "rss_mb"] == [(0, 50), (5, 90)]
    assert found["worker", "processes"] == [(0, 1), (5, 2)]


def test_a_process_that_was_replaced_is_still_the_same_role() -> None:
    found = by_role([sample(0, "runner", "w:10", 30), sample(5, "runner", "w:77", 31)])
    assert found["runner", "rss_mb"] == [(0, 30), (5, 31)]


def test_of_postgresql_it_is_the_sum() -> None:
    found = by_role([sample(0, "postgres", "1", 20, "pss_mb"), sample(0, "postgres", "2", 30, "pss_mb")])
    assert found["postgres", "pss_mb"] == [(0, 50)]
    assert ("postgres", "processes") not in found
