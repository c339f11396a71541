"""The tables of the metadata database (PostgreSQL 15 or newer). States are those of hedgerow_scheduler.lifecycle.states.

The scheduler's leader is the only writer of everything but `runs` in state `requested`, `commands`, `teams`, `limit_overrides`
and `audit`, which the API writes. Times are `timestamptz` on PostgreSQL's clock. An unpartitioned asset or step has the partition `''`.
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, UUID

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Time = TIMESTAMP(timezone=True)
_Uuid = UUID(as_uuid=False)


def _now() -> Column[object]:
    return Column("created_at", _Time, nullable=False, server_default=text("clock_timestamp()"))


# One row: who may write. Every transaction of the leader ends with an update guarded by its epoch.
leader = Table(
    "leader",
    metadata,
    Column("id", SmallInteger, CheckConstraint("id = 1", name="one_row"), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("renewed_at", _Time, nullable=False),
)

# A team exists once it is registered (platform.toml, `hedgerow dev`, the API); only then is its stream read.
teams = Table(
    "teams",
    metadata,
    Column("name", Text, primary_key=True),
    _now(),
)

# The bodies are immutable: canonical JSON under its SHA-256. `accepted_at` is null for one that was refused whole.
manifests = Table(
    "manifests",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("team", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("accepted_at", _Time),
    _now(),
)

# The manifest in force per code location, and what was wrong with a later one (problems: list of Problem).
locations = Table(
    "locations",
    metadata,
    Column("team", Text, primary_key=True),
    Column("location", Text, primary_key=True),
    Column("manifest_hash", Text, ForeignKey("manifests.hash")),
    Column("published_at", _Time),
    Column("problems", JSONB),
    Column("failed_at", _Time),
)

# A key belongs to the first team that published it.
asset_owners = Table(
    "asset_owners",
    metadata,
    Column("key", Text, primary_key=True),
    Column("team", Text, nullable=False),
    Column("location", Text, nullable=False),
    _now(),
)

# `request` is a RunRequest (planning.request); `error` a Problem. `priority` is set by operators and counts across teams; `cap` is how many of
# its steps may be out at once, as its request or job said when it was planned; `backfill_id` names the backfill that launched it.
runs = Table(
    "runs",
    metadata,
    Column("id", _Uuid, primary_key=True),
    Column("state", Text, nullable=False),
    Column("request", JSONB, nullable=False),
    Column("tags", JSONB, nullable=False, server_default=text("'{}'")),
    Column("author", Text, nullable=False, server_default=""),
    Column("priority", SmallInteger, nullable=False, server_default="0"),
    Column("cap", Integer),
    Column("idempotency_key", Text, unique=True),
    Column("backfill_id", _Uuid),
    Column("steps", Integer, nullable=False, server_default="0"),
    Column("error", JSONB),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    _now(),
    Column("started_at", _Time),
    Column("ended_at", _Time),
    Index("ix_runs_live", "created_at", postgresql_where=text("state in ('requested', 'running')")),
    Index("ix_runs_created_at", "created_at"),
    Index("ix_runs_backfill_id", "backfill_id", "created_at", postgresql_where=text("backfill_id IS NOT NULL")),
)

# `upstream` are the numbers of the steps of the same run that must succeed first. `attempt` counts all attempts;
# `failures` (user's), `losses` (infrastructure's) and `deaths` (runners that died) are the spent budgets.
# `error` is a Problem. `not_before` is set in retry_wait. `waits` are the seconds that it waited, by cause (lifecycle.waits).
# `ended_at` is null while it lives. No index follows `state`, and pages are left half empty, so that a change of state stays within its page.
steps = Table(
    "steps",
    metadata,
    Column("run_id", _Uuid, ForeignKey("runs.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("team", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False, server_default="0"),
    Column("computation", Text, nullable=False),
    Column("assets", ARRAY(Text), nullable=False),
    Column("partition", Text, nullable=False, server_default=""),
    Column("upstream", ARRAY(Integer), nullable=False, server_default="{}"),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("attempt_id", _Uuid),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("losses", Integer, nullable=False, server_default="0"),
    Column("deaths", Integer, nullable=False, server_default="0"),
    Column("not_before", _Time),
    Column("ready_at", _Time),
    Column("started_at", _Time),
    Column("ended_at", _Time),
    Column("error", JSONB),
    Column("waits", JSONB),
    Index("ix_steps_live", "team", "queue", postgresql_where=text("ended_at is null")),
    Index("ix_steps_computation", "computation", "partition"),
    postgresql_with={"fillfactor": 50},
)

# One try of a step. `dispatch_seq` orders attempts over the whole deployment: the current materialization only moves forward in it.
# `token` is that of the claim, bound by attempt_started; later events must carry it. Attempts of one `batch` (the dispatch_seq of its
# first) hold one slot of each limit together; `holds` lists them, beyond queue and team, as [[kind, name, slots], ...]. `inputs` is what it is
# made from: by upstream asset the data versions by partition, a digest of many, or null of too many (planning.versions); null when not known.
# `judged` is the attempt on whose output it runs checks, when it makes nothing itself.
attempts = Table(
    "attempts",
    metadata,
    Column("id", _Uuid, primary_key=True),
    Column("run_id", _Uuid, nullable=False),
    Column("step_number", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("dispatch_seq", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("team", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("manifest_hash", Text, nullable=False),
    Column("worker", Text, nullable=False, server_default=""),
    Column("token", Text, nullable=False, server_default=""),
    Column("dispatched_at", _Time, nullable=False),
    Column("started_at", _Time),
    Column("ended_at", _Time),
    Column("error", JSONB),
    Column("log", Text, nullable=False, server_default=""),
    Column("batch", BigInteger, nullable=False, server_default="0"),
    Column("holds", JSONB),
    Column("inputs", JSONB),
    Column("judged", _Uuid),
    Index("ix_attempts_run_id_step_number", "run_id", "step_number"),
    Index("ix_attempts_dispatch_seq", "dispatch_seq"),
    postgresql_with={"fillfactor": 60},
)

# `state`: candidate (its attempt has not ended), unchecked (waits for a step that judges it), current, superseded, rejected (a blocking check failed), discarded (its attempt failed).
# `reference` is a protocol Reference, null when nothing is stored.
materializations = Table(
    "materializations",
    metadata,
    Column("attempt_id", _Uuid, primary_key=True),
    Column("asset", Text, primary_key=True),
    Column("partition", Text, primary_key=True),
    Column("run_id", _Uuid, nullable=False),
    Column("step_number", Integer, nullable=False),
    Column("dispatch_seq", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("reference", JSONB),
    Column("data_version", Text, nullable=False, server_default=""),
    Column("code_version", Text, nullable=False, server_default=""),
    Column("metadata", JSONB, nullable=False, server_default=text("'{}'")),
    Column("columns", JSONB, nullable=False, server_default=text("'[]'")),
    _now(),
    Index("ix_materializations_asset_partition", "asset", "partition", "dispatch_seq"),
    Index("ix_materializations_run_id", "run_id"),
)

# The pointer: which materialization downstream reads.
current_materializations = Table(
    "current_materializations",
    metadata,
    Column("asset", Text, primary_key=True),
    Column("partition", Text, primary_key=True),
    Column("attempt_id", _Uuid, nullable=False),
    Column("dispatch_seq", BigInteger, nullable=False),
)

# `judged` is the attempt whose output the verdict is about, null: that of the attempt itself.
check_results = Table(
    "check_results",
    metadata,
    Column("attempt_id", _Uuid, primary_key=True),
    Column("asset", Text, primary_key=True),
    Column("check_name", Text, primary_key=True),
    Column("partition", Text, nullable=False),
    Column("run_id", _Uuid, nullable=False),
    Column("step_number", Integer, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("blocking", Boolean, nullable=False),
    Column("severity", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("metadata", JSONB, nullable=False, server_default=text("'{}'")),
    Column("error", Text, nullable=False, server_default=""),
    Column("judged", _Uuid),
    _now(),
    Index("ix_check_results_judged", "judged", "asset", postgresql_where=text("judged IS NOT NULL")),
    Index("ix_check_results_asset_check_name", "asset", "check_name", "created_at"),
    Index("ix_check_results_run_id", "run_id"),
)

# Every accepted event as it was received: `body` is a JSON array of the envelopes of a worker's events from `first_seq` to `last_seq`.
events = Table(
    "events",
    metadata,
    Column("team", Text, primary_key=True),
    Column("worker", Text, primary_key=True),
    Column("first_seq", BigInteger, primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", _Time, nullable=False),
)

# The highest sequence number recorded without a gap, per worker incarnation: what is published as acknowledged.
worker_sequences = Table(
    "worker_sequences",
    metadata,
    Column("team", Text, primary_key=True),
    Column("worker", Text, primary_key=True),
    Column("acked", BigInteger, nullable=False),
    Column("seen_at", _Time, nullable=False),
)

# How far each team's stream was folded; `epoch` is the random value the leader last wrote to the broker.
cursors = Table(
    "cursors",
    metadata,
    Column("team", Text, primary_key=True),
    Column("position", Text, nullable=False),
    Column("epoch", Text, nullable=False, server_default=""),
)

# What could not be folded, with the reason. It never stops the cursor.
quarantine = Table(
    "quarantine",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("team", Text, nullable=False),
    Column("entry_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    _now(),
)

# What people ask of the scheduler, written by the API with NOTIFY hedgerow_wake. kind: cancel_run, cancel_step, retry_run, retry_step.
commands = Table(
    "commands",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("author", Text, nullable=False, server_default=""),
    _now(),
    Column("applied_at", _Time),
    Column("outcome", JSONB),
    Index("ix_commands_pending", "id", postgresql_where=text("applied_at is null")),
)

# What operators set in place of what is declared: one row per field of a limit. `kind` and `name` are those of limits.limit, `value`
# null means without limit; pauses and weights are fields too. An expired row counts no more, and the leader removes it.
limit_overrides = Table(
    "limit_overrides",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("value", Double),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("set_at", _Time, nullable=False, server_default=text("clock_timestamp()")),
    Column("expires_at", _Time),
)

# What is left in the token bucket of a limit with a rate, as of `at`: committed with the dispatches that took the tokens.
token_buckets = Table(
    "token_buckets",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("tokens", Double, nullable=False),
    Column("at", _Time, nullable=False),
)

# Who changed what of the platform, and why. `subject` is such as "queue sales/default" or "run 0190aa11-...".
audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("at", _Time, nullable=False, server_default=text("clock_timestamp()")),
    Column("author", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("before", JSONB),
    Column("after", JSONB),
    Column("reason", Text, nullable=False, server_default=""),
    Index("ix_audit_subject", "subject", "id"),
)

# The workers that were heard of lately, for people; leases are decided from the heartbeats themselves.
workers = Table(
    "workers",
    metadata,
    Column("team", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("location", Text, nullable=False),
    Column("manifest_hash", Text, nullable=False),
    Column("queues", ARRAY(Text), nullable=False),
    Column("slots", Integer, nullable=False),
    Column("busy", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("host", Text, nullable=False, server_default=""),
    Column("pid", Integer, nullable=False, server_default="0"),
    Column("first_seen_at", _Time, nullable=False),
    Column("last_seen_at", _Time, nullable=False),
)
