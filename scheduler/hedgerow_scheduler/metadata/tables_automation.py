"""The tables of what is launched by itself: schedules with their ticks, sensors, reactions, conditions, and the pauses that hold everything automatic back.

The leader is the only writer of all but `pauses`, which the API writes.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, UUID

from hedgerow_scheduler.metadata.tables import metadata

_Time = TIMESTAMP(timezone=True)

# Every declared schedule with its times. `last_tick` is the tick up to which everything was dealt with, null while it is off.
schedules = Table(
    "schedules",
    metadata,
    Column("team", Text, primary_key=True),
    Column("location", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("cron", Text, nullable=False),
    Column("tz", Text, nullable=False),
    Column("last_tick", _Time),
)

# What became of the last ticks of a schedule: `outcome` is launched (`run_id`), skipped (`reason`; `tick` is the last of `ticks`
# that were passed over together) or failed (`error`, a Problem).
schedule_ticks = Table(
    "schedule_ticks",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("team", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("tick", _Time, nullable=False),
    Column("ticks", Integer, nullable=False, server_default="1"),
    Column("outcome", Text, nullable=False),
    Column("run_id", UUID(as_uuid=False)),
    Column("reason", Text, nullable=False, server_default=""),
    Column("error", JSONB),
    Column("at", _Time, nullable=False),
    Index("ix_schedule_ticks_schedule", "team", "location", "name", "id"),
)

# Every sensor that was ever declared: `cursor` is where it left off after `number` evaluations, of which the last `failures` in a row
# failed; `next_at` when it is evaluated next, null while it is off or no longer declared.
sensors = Table(
    "sensors",
    metadata,
    Column("team", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("location", Text, nullable=False),
    Column("cursor", Text),
    Column("number", BigInteger, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("last_at", _Time),
    Column("next_at", _Time),
)

# What became of a sensor's last evaluations: `outcome` is launched, skipped, failed, timed_out or lost; `run_ids` are the first of
# `launched` runs, `deduped` counts the requests whose dedupe key had a run already; `cursor` is the beginning of a new cursor.
sensor_evaluations = Table(
    "sensor_evaluations",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("team", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("at", _Time, nullable=False),
    Column("ended_at", _Time, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("launched", Integer, nullable=False),
    Column("deduped", Integer, nullable=False),
    Column("run_ids", JSONB, nullable=False),
    Column("cursor", Text),
    Column("reason", Text, nullable=False),
    Column("error", JSONB),
    Column("log", Text, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Index("ix_sensor_evaluations_sensor", "team", "name", "ended_at"),
)

# The dedupe keys of a sensor, each with the run that it launched.
sensor_keys = Table(
    "sensor_keys",
    metadata,
    Column("team", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("run_id", UUID(as_uuid=False), nullable=False),
    Column("at", _Time, nullable=False),
)

# What reactions are told: an event for one reaction, `waiting` to be told (again) at `next_at`, or delivered, given_up or dropped.
# `attempts` counts the tellings that failed.
reaction_deliveries = Table(
    "reaction_deliveries",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("team", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("event", JSONB, nullable=False),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("created_at", _Time, nullable=False),
    Column("next_at", _Time, nullable=False),
    Column("ended_at", _Time),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("error", JSONB),
    Column("log", Text, nullable=False, server_default=""),
    Column("duration_ms", Integer, nullable=False, server_default="0"),
    Index("ix_reaction_deliveries_reaction", "team", "name", "created_at"),
    Index("ix_reaction_deliveries_waiting", "created_at", postgresql_where=text("state = 'waiting'")),
)

# How much happened that a reaction was not told, because too much waited already.
reaction_floods = Table(
    "reaction_floods",
    metadata,
    Column("team", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("suppressed", BigInteger, nullable=False),
    Column("last_at", _Time, nullable=False),
)

# What is held back, by whom and why, for as long as the row is there and `until` has not come. `kind` is platform (with the name ''),
# team, asset, schedule or sensor (with the name team/name).
pauses = Table(
    "pauses",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", _Time, nullable=False),
    Column("until", _Time),
)

# What the condition of an asset remembers between evaluations (automation.memory), changed in the transaction that records what it requested.
automation_memories = Table(
    "automation_memories",
    metadata,
    Column("asset", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

# An asset's last evaluation whose findings differ from those before (`kind` latest), and the last that requested something
# (requested): `findings` are [place, upstream asset or "", asked, true] of each operand of the condition with this digest,
# `requested` the first partitions of `requested_count`, `problem` why the condition could not be asked.
automation_evaluations = Table(
    "automation_evaluations",
    metadata,
    Column("asset", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("at", _Time, nullable=False),
    Column("condition", Text, nullable=False),
    Column("findings", JSONB, nullable=False),
    Column("requested", JSONB, nullable=False),
    Column("requested_count", Integer, nullable=False),
    Column("problem", Text, nullable=False, server_default=""),
    Column("run_id", UUID(as_uuid=False)),
)
