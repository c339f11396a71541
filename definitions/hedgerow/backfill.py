"""How backfills go about an asset."""

from __future__ import annotations

from dataclasses import dataclass

from hedgerow.arguments import Arguments
from hedgerow.manifest.bounds import MAX_PARTITIONS_PER_RUN


@dataclass(frozen=True)
class Backfill:
    """A backfill makes at most `max_partitions_per_run` partitions of the asset in one run (default: 100).

    Few, where a step takes long and a run should be easy to follow and to retry; many, where steps are short.

    >>> Backfill(max_partitions_per_run=30)
    Backfill(max_partitions_per_run=30)
    """

    max_partitions_per_run: int


def lower_backfill(value: object, arguments: Arguments) -> int | None:
    """How many partitions one run makes, as a manifest carries it."""
    if value is None:
        return None
    if not isinstance(value, Backfill):
        arguments.wrong("backfill", value, "Give hr.Backfill(max_partitions_per_run=30).")
        return None
    most = value.max_partitions_per_run
    return arguments.whole("backfill max_partitions_per_run", most, 1, least=1, most=MAX_PARTITIONS_PER_RUN)
