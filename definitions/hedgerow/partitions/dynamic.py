"""Dynamic partitions bound to the keys that there are at the moment."""

from __future__ import annotations

from hedgerow.partitions.key_sets import KeySet
from hedgerow.partitions.model import DynamicPartitions


class KnownPartitions(DynamicPartitions, frozen=True, tag="dynamic", kw_only=True):
    """Dynamic partitions together with their keys: what a scheduler makes of those that a manifest declares."""

    known: KeySet
