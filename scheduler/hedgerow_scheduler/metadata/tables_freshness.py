"""The tables of freshness: what is not on time, and when external assets were seen to change. The leader is their only writer."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP

from hedgerow_scheduler.metadata.tables import metadata

# The partitions ('' without) that are warned of or late by their asset's policy, `status`, and since when that was told. Changed in the
# transaction that records what else is made of it; all others are fresh, have no policy, or were never made.
freshness = Table(
    "freshness",
    metadata,
    Column("asset", Text, primary_key=True),
    Column("partition", Text, primary_key=True),
    Column("team", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("since", TIMESTAMP(timezone=True), nullable=False),
)

# When an external asset was last seen with another data version than before, or for the first time.
observations = Table(
    "observations",
    metadata,
    Column("asset", Text, primary_key=True),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
)
