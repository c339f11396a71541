"""Unchanged: whether making a step anew could give nothing else than what is current, so that it need not run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from hedgerow.errors import Problem
from hedgerow.manifest.model import Computation
from hedgerow_scheduler.planning.versions import Edge, Versions

UNCHANGED = "HR-Q026"


class Earlier(msgspec.Struct, frozen=True):
    """A current materialization with what it was made from: versions (None when not known), and the config of its whole run."""

    code_version: str
    inputs: Mapping[str, Versions] | None
    config: Mapping[str, Any]
    made_at: datetime


def is_unchanged(
    computation: Computation,
    config: Mapping[str, Any],
    inputs: Mapping[str, Versions],
    edges: Iterable[Edge],
    earlier: Sequence[Earlier],
) -> bool:
    """Whether code, config and inputs are those of every one of the `earlier` materializations, of which there must be some.

    Never when a version is not known: of the code, of too many partitions, or of an upstream of which nothing is recorded here.
    """
    if not earlier or not computation.code_version:
        return False
    if any(version is None for version in inputs.values()) or any(edge.partitions == () for edge in edges):
        return False
    wanted = config_of(computation, config)
    return all(
        one.code_version == computation.code_version
        and one.inputs == inputs
        and config_of(computation, one.config) == wanted
        for one in earlier
    )


def config_of(computation: Computation, config: Mapping[str, Any]) -> Any:
    """What a run's config says for a computation, by the key of any of its assets; None when it says nothing."""
    return next((config[key] for key in computation.assets if key in config), None)


def unchanged_since(earlier: Sequence[Earlier]) -> Problem:
    """What is told of a step that need not run."""
    since = min(one.made_at for one in earlier)
    return Problem(
        UNCHANGED,
        f"Unchanged since {since:%Y-%m-%d %H:%M:%S} UTC: its code, its config and the data that it is made from are the same.",
        "Nothing to do. To make it anew all the same, change its code_version or leave out skip_unchanged.",
    )
