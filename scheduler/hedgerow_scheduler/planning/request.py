"""What someone asks to be run."""

from __future__ import annotations

from typing import Any

import msgspec


class PartitionRange(msgspec.Struct, frozen=True):
    """The partitions from `first` to `last`, both included."""

    first: str
    last: str


class RunRequest(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A selection of assets and, for the partitioned ones, which partitions: keys, a range, or all of them.

    `config` gives the configuration of computations by the key of one of their assets.
    """

    selection: tuple[str, ...]
    partitions: tuple[str, ...] = ()
    partition_range: PartitionRange | None = None
    all_partitions: bool = False
    config: dict[str, Any] = {}
