"""`skip_unchanged`: declared on assets and multi-assets, off by default, carried by the manifest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_it_is_off_unless_it_is_declared(load: Callable[..., Any]) -> None:
    manifest = load(
        """
        @hr.asset
        def plain() -> int: return 1

        @hr.asset(skip_unchanged=True)
        def spared(plain: int) -> int: return plain

        @hr.multi_asset(hr.spec("a"), hr.spec("b"), skip_unchanged=True)
        def several() -> tuple[int, int]: return 1, 2
        """
    ).manifest
    assert {one.name: one.skip_unchanged for one in manifest.computations} == {
        "a": True, "plain": False, "spared": True,
    }  # fmt: skip


def test_anything_but_true_and_false_is_refused(mistakes: Callable[..., Any]) -> None:
    (problem,) = mistakes(
        """
        @hr.asset(skip_unchanged="sometimes")
        def spared() -> int: return 1
        """
    )
    assert "skip_unchanged" in problem.message
