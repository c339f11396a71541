"""Unchanged: when a step need not run, and what is told of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.scheduling import NOW, asset

from hedgerow_scheduler.planning.unchanged import Earlier, config_of, is_unchanged, unchanged_since
from hedgerow_scheduler.planning.versions import Edge

X = asset("x", "raw", code_version="c")[1]
INPUTS = {"raw": {"": "v"}, "many": "digest"}
EDGES = (Edge("raw", ("",)),)
EARLIER = Earlier("c", {"raw": {"": "v"}, "many": "digest"}, {"x": {"limit": 1}, "other": 2}, NOW)


def verdict(earlier: Earlier = EARLIER, **other: Any) -> bool:
    facts: dict[str, Any] = {"config": {"x": {"limit": 1}}, "inputs": INPUTS, "edges": EDGES, "computation": X} | other
    return is_unchanged(facts["computation"], facts["config"], facts["inputs"], facts["edges"], [earlier])


def test_a_step_with_the_same_code_config_and_inputs_is_unchanged_whatever_else_its_run_was_told() -> None:
    assert verdict()


@pytest.mark.parametrize(
    "changed",
    [
        {"code_version": "d"},
        {"code_version": ""},
        {"inputs": {"raw": {"": "w"}, "many": "digest"}},
        {"inputs": {"raw": {"": "v"}}},
        {"inputs": None},
        {"config": {"x": {"limit": 2}}},
        {"config": {}},
    ],
    ids=str,
)
def test_whatever_differs_makes_it_run(changed: dict[str, Any]) -> None:
    assert not verdict(msgspec.structs.replace(EARLIER, **changed))


def test_what_has_no_version_makes_it_run() -> None:
    too_many = {"raw": None}
    assert not verdict(msgspec.structs.replace(EARLIER, inputs=too_many), inputs=too_many)
    external = {"outside": dict[str, str]()}
    assert not verdict(
        msgspec.structs.replace(EARLIER, inputs=external), inputs=external, edges=(Edge("outside", (), False),)
    )
    nameless = msgspec.structs.replace(X, code_version="")
    assert not verdict(msgspec.structs.replace(EARLIER, code_version=""), computation=nameless)


def test_what_was_never_made_is_made() -> None:
    assert not is_unchanged(X, {}, INPUTS, EDGES, [])


def test_every_asset_of_a_step_must_be_unchanged() -> None:
    other = msgspec.structs.replace(EARLIER, inputs={"raw": {"": "w"}})
    assert not is_unchanged(X, EARLIER.config, INPUTS, EDGES, [EARLIER, other])


def test_config_is_found_under_any_asset_of_the_computation() -> None:
    several = msgspec.structs.replace(X, assets=("x", "y"))
    assert (config_of(several, {"y": 1}), config_of(several, {"z": 1})) == (1, None)


def test_it_says_since_when() -> None:
    problem = unchanged_since([EARLIER])
    assert problem.code == "HR-Q026"
    assert problem.message.startswith("Unchanged since 2024-06-01 12:00:00 UTC")
