"""The table of the keys of dynamic partitions."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP

from hedgerow_scheduler.metadata.tables import metadata

# The keys of each team's sets. A key keeps its `number` for ever, also when it was removed (`is_there` false): sets of partitions are
# stored by numbers. `seq` is the place of its last change in the order of all changes, `author` whoever made that.
dynamic_partitions = Table(
    "dynamic_partitions",
    metadata,
    Column("team", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("key", Text, nullable=False),
    Column("is_there", Boolean, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("author", Text, nullable=False),
    Column("changed_at", TIMESTAMP(timezone=True), nullable=False),
    Index("ux_dynamic_partitions_key", "team", "name", "key", unique=True),
    Index("ix_dynamic_partitions_seq", "seq"),
)
