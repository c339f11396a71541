"""Partitions: how a team writes them down, which exist at an instant, and which of another asset a partition reads."""

from hedgerow.partitions import mapping
from hedgerow.partitions.algebra import (
    check_key,
    contains,
    count,
    join_key,
    key_problem,
    key_range,
    keys,
    split_key,
    window,
)
from hedgerow.partitions.constructors import cron_windows, daily, dynamic, hourly, monthly, static, weekly
from hedgerow.partitions.model import (
    DynamicPartitions,
    Partitions,
    ProductPartitions,
    StaticPartitions,
    TimePartitions,
    dimensions,
)
from hedgerow.partitions.resolution import default_mapping, upstream_keys, validate_mapping

__all__ = [
    "DynamicPartitions",
    "Partitions",
    "ProductPartitions",
    "StaticPartitions",
    "TimePartitions",
    "check_key",
    "contains",
    "count",
    "cron_windows",
    "daily",
    "default_mapping",
    "dimensions",
    "dynamic",
    "hourly",
    "join_key",
    "key_problem",
    "key_range",
    "keys",
    "mapping",
    "monthly",
    "split_key",
    "static",
    "upstream_keys",
    "validate_mapping",
    "weekly",
    "window",
]
