"""The SQL of recording: `%(rows)s` is a JSON array of rows (metadata/rows.py), so that one statement writes any number of them."""

from __future__ import annotations

from hedgerow_scheduler.planning.versions import LISTED

INSERT_MANIFEST = """
INSERT INTO manifests (hash, team, location, body, size_bytes, accepted_at, created_at)
VALUES (%(hash)s, %(team)s, %(location)s, %(body)s, %(size)s, %(accepted_at)s, %(now)s)
ON CONFLICT (hash) DO UPDATE SET accepted_at = coalesce(excluded.accepted_at, manifests.accepted_at)
"""

UPSERT_OWNERS = """
INSERT INTO asset_owners (key, team, location, created_at)
SELECT key, %(team)s, %(location)s, %(now)s FROM json_to_recordset(%(rows)s::json) AS u(key text)
ON CONFLICT (key) DO UPDATE SET location = excluded.location WHERE asset_owners.team = excluded.team
"""

PUT_IN_FORCE = """
INSERT INTO locations (team, location, manifest_hash, published_at)
VALUES (%(team)s, %(location)s, %(hash)s, %(now)s)
ON CONFLICT (team, location) DO UPDATE
SET manifest_hash = excluded.manifest_hash, published_at = excluded.published_at, problems = NULL, failed_at = NULL
"""

LOCATION_FAILED = """
INSERT INTO locations (team, location, problems, failed_at)
VALUES (%(team)s, %(location)s, %(problems)s::jsonb, %(now)s)
ON CONFLICT (team, location) DO UPDATE SET problems = excluded.problems, failed_at = excluded.failed_at
"""

WITHDRAW = """
WITH gone AS (UPDATE manifests SET accepted_at = NULL WHERE hash = %(hash)s)
UPDATE locations SET manifest_hash = NULL, problems = %(problems)s::jsonb, failed_at = %(now)s
WHERE team = %(team)s AND location = %(location)s AND manifest_hash = %(hash)s
"""

INSERT_RUN = """
INSERT INTO runs (id, state, request, tags, author, created_at, priority, backfill_id)
VALUES (%(id)s, 'requested', %(request)s::jsonb, %(tags)s::jsonb, %(author)s, %(created_at)s, %(priority)s, %(backfill_id)s)
"""

START_RUN = """
UPDATE runs SET state = %(state)s, steps = %(steps)s, started_at = %(started_at)s, ended_at = %(ended_at)s,
    cap = %(cap)s
WHERE id = %(id)s AND state = 'requested'
"""

FAIL_REQUEST = """
UPDATE runs SET state = 'failed', error = %(error)s::jsonb, ended_at = clock_timestamp()
WHERE id = %(id)s AND state = 'requested'
"""

INSERT_STEPS = """
INSERT INTO steps (run_id, number, team, location, queue, priority, computation, assets, partition, upstream, state, ready_at)
SELECT %(run_id)s, number, team, location, queue, priority, computation,
       assets, partition,
       upstream, state, ready_at
FROM json_to_recordset(%(rows)s::json) AS u(
    number int, team text, location text, queue text, priority int, computation text, assets text[],
    partition text, upstream int[], state text, ready_at timestamptz
  )
"""

UPDATE_STEPS = """
UPDATE steps AS s
SET state = u.state, attempt = u.attempt, attempt_id = u.attempt_id, failures = coalesce(u.failures, 0), losses = coalesce(u.losses, 0),
    deaths = coalesce(u.deaths, 0),
    not_before = u.not_before, ready_at = u.ready_at, started_at = u.started_at, ended_at = u.ended_at, error = u.error,
    waits = coalesce(u.waits, s.waits)
FROM json_to_recordset(%(rows)s::json) AS u(
    run_id uuid, number int, before text, state text, attempt int, attempt_id uuid, failures int, losses int,
    deaths int, not_before timestamptz, ready_at timestamptz, started_at timestamptz, ended_at timestamptz,
    error jsonb, waits jsonb
  )
WHERE s.run_id = u.run_id AND s.number = u.number AND s.state = u.before AND s.attempt <= u.attempt
"""

UPDATE_RUNS = """
UPDATE runs AS r
SET state = u.state, started_at = u.started_at, ended_at = u.ended_at, cancel_requested = u.cancel, error = u.error,
    priority = u.priority
FROM json_to_recordset(%(rows)s::json) AS u(
    id uuid, state text, started_at timestamptz, ended_at timestamptz, cancel bool, error jsonb,
    priority int
  )
WHERE r.id = u.id
"""

INSERT_ATTEMPTS = """
INSERT INTO attempts (id, run_id, step_number, number, dispatch_seq, state, team, location, queue, manifest_hash, dispatched_at,
                      batch, holds, judged, inputs)
SELECT id, run_id, step_number, number, dispatch_seq, state, team, location, queue, manifest_hash, dispatched_at, batch, holds,
       judged, coalesce(inputs, '{}')
FROM json_to_recordset(%(rows)s::json) AS u(
    id uuid, run_id uuid, step_number int, number int, dispatch_seq bigint, state text, team text, location text,
    queue text, manifest_hash text, dispatched_at timestamptz, batch bigint, holds jsonb, inputs jsonb, judged uuid
  )
"""

# Of what they only come after (`after`: partitions by asset) the versions are looked up here, as nothing else of it is read. They are kept as
# planning.versions.kept has them; the outputs that came in this cycle are to be recorded before.
INSERT_ATTEMPTS_AFTER = f"""
INSERT INTO attempts (id, run_id, step_number, number, dispatch_seq, state, team, location, queue, manifest_hash, dispatched_at,
                      batch, holds, judged, inputs)
SELECT id, run_id, step_number, number, dispatch_seq, state, team, location, queue, manifest_hash, dispatched_at, batch, holds,
       judged, coalesce(inputs, '{{}}') || (
         SELECT jsonb_object_agg(asset, CASE WHEN count > {LISTED} THEN to_jsonb(digest) ELSE versions END)
         FROM (
           SELECT asset, count(version) AS count,
                  md5(string_agg(partition || '=' || version, E'\\n' ORDER BY partition COLLATE "C")) AS digest,
                  coalesce(jsonb_object_agg(partition, version) FILTER (WHERE version IS NOT NULL), '{{}}') AS versions
           FROM (
             SELECT w.asset, k.partition, (
                 SELECT (
                     SELECT coalesce(nullif(m.data_version, ''), '#' || c.dispatch_seq) FROM materializations m
                     WHERE m.asset = c.asset AND m.partition = c.partition AND m.dispatch_seq = c.dispatch_seq
                       AND m.attempt_id = c.attempt_id
                   )
                 FROM current_materializations c WHERE c.asset = w.asset AND c.partition = k.partition
               ) AS version
             FROM json_each(after) AS w(asset, partitions)
             CROSS JOIN LATERAL json_array_elements_text(w.partitions) AS k(partition)
             OFFSET 0  -- each is looked up by its key, once, the pointer first: of one partition there may be many materializations
           ) AS each_one
           GROUP BY asset
         ) AS looked_up
       )
FROM json_to_recordset(%(rows)s::json) AS u(
    id uuid, run_id uuid, step_number int, number int, dispatch_seq bigint, state text, team text, location text,
    queue text, manifest_hash text, dispatched_at timestamptz, batch bigint, holds jsonb, inputs jsonb, judged uuid, after json
  )
"""

UPDATE_ATTEMPTS = """
UPDATE attempts AS a
SET state = u.state, worker = coalesce(u.worker, ''), token = coalesce(u.token, ''), started_at = u.started_at,
    ended_at = u.ended_at, error = u.error, log = coalesce(u.log, '')
FROM json_to_recordset(%(rows)s::json) AS u(
    id uuid, before text, state text, worker text, token text, started_at timestamptz, ended_at timestamptz,
    error jsonb, log text
  )
WHERE a.id = u.id AND a.state = u.before
"""

UPSERT_OUTPUTS = """
INSERT INTO materializations (attempt_id, asset, partition, run_id, step_number, dispatch_seq, state, reference, data_version, code_version,
                              metadata, columns, created_at)
SELECT attempt_id, asset, partition, run_id, step_number, dispatch_seq, state, reference, coalesce(data_version, ''),
       coalesce(code_version, ''), coalesce(metadata, '{}'), coalesce(columns, '[]'), %(now)s
FROM json_to_recordset(%(rows)s::json) AS u(
    attempt_id uuid, asset text, partition text, run_id uuid, step_number int, dispatch_seq bigint, state text,
    reference jsonb, data_version text, code_version text, metadata jsonb, columns jsonb
  )
ON CONFLICT (attempt_id, asset, partition) DO UPDATE SET state = excluded.state
"""

# The pointer only moves forward in dispatch order; what it leaves, or what came too late for it, is superseded. One that was rejected by a
# later check stays rejected.
MOVE_POINTERS = """
WITH arrived AS (
  SELECT * FROM json_to_recordset(%(rows)s::json) AS u(asset text, partition text, attempt_id uuid, dispatch_seq bigint)
), former AS (
  SELECT c.asset, c.partition, c.attempt_id, c.dispatch_seq FROM current_materializations c JOIN arrived USING (asset, partition)
), moved AS (
  INSERT INTO current_materializations AS c (asset, partition, attempt_id, dispatch_seq)
  SELECT asset, partition, attempt_id, dispatch_seq FROM arrived
  ON CONFLICT (asset, partition) DO UPDATE SET attempt_id = excluded.attempt_id, dispatch_seq = excluded.dispatch_seq
  WHERE c.dispatch_seq < excluded.dispatch_seq
  RETURNING c.asset, c.partition
)
UPDATE materializations AS m SET state = 'superseded'
FROM former JOIN arrived USING (asset, partition)
WHERE m.asset = former.asset AND m.partition = former.partition
  AND m.attempt_id = CASE WHEN former.dispatch_seq < arrived.dispatch_seq THEN former.attempt_id ELSE arrived.attempt_id END
  AND former.attempt_id <> arrived.attempt_id AND m.state <> 'rejected'
"""

UPSERT_CHECKS = """
INSERT INTO check_results (attempt_id, asset, check_name, partition, run_id, step_number, passed, blocking, severity, description, metadata,
                           error, judged, created_at)
SELECT attempt_id, asset, check_name, partition, run_id, step_number, passed, blocking, severity, description, metadata, error, judged,
       %(now)s
FROM json_to_recordset(%(rows)s::json) AS u(
    attempt_id uuid, asset text, check_name text, partition text, run_id uuid, step_number int, passed bool,
    blocking bool, severity text, description text, metadata jsonb, error text, judged uuid
  )
ON CONFLICT (attempt_id, asset, check_name) DO UPDATE SET passed = excluded.passed, error = excluded.error, metadata = excluded.metadata
"""

# Few rows with large bodies: arrays of bytes are cheaper than bytes within JSON.
INSERT_EVENTS = """
INSERT INTO events (team, worker, first_seq, last_seq, body, received_at)
SELECT unnest(%(teams)s::text[]), unnest(%(workers)s::text[]), unnest(%(first)s::bigint[]), unnest(%(last)s::bigint[]),
       unnest(%(bodies)b::bytea[]), %(now)s
"""

UPSERT_SEQUENCES = """
INSERT INTO worker_sequences (team, worker, acked, seen_at)
SELECT team, worker, acked, %(now)s FROM json_to_recordset(%(rows)s::json) AS u(team text, worker text, acked bigint)
ON CONFLICT (team, worker) DO UPDATE SET acked = excluded.acked, seen_at = excluded.seen_at
"""

UPSERT_CURSORS = """
INSERT INTO cursors (team, position, epoch)
SELECT * FROM json_to_recordset(%(rows)s::json) AS u(team text, position text, epoch text)
ON CONFLICT (team) DO UPDATE SET position = excluded.position, epoch = excluded.epoch
"""

INSERT_QUARANTINE = """
INSERT INTO quarantine (team, entry_id, reason, body, created_at)
SELECT team, entry_id, reason, decode(body, 'hex'), %(now)s
FROM json_to_recordset(%(rows)s::json) AS u(team text, entry_id text, reason text, body text)
"""

UPSERT_WORKERS = """
INSERT INTO workers (team, id, location, manifest_hash, queues, slots, busy, state, host, pid, first_seen_at, last_seen_at)
SELECT team, id, location, manifest_hash, queues, slots, busy, state, host, pid,
       first_seen_at, last_seen_at
FROM json_to_recordset(%(rows)s::json) AS u(
    team text, id text, location text, manifest_hash text, queues text[], slots int, busy int, state text,
    host text, pid int, first_seen_at timestamptz, last_seen_at timestamptz
  )
ON CONFLICT (team, id) DO UPDATE
SET manifest_hash = excluded.manifest_hash, queues = excluded.queues, slots = excluded.slots, busy = excluded.busy, state = excluded.state,
    host = excluded.host, pid = excluded.pid, last_seen_at = excluded.last_seen_at
"""

DELETE_WORKERS = """
DELETE FROM workers AS w USING json_to_recordset(%(rows)s::json) AS u(team text, worker text) WHERE w.team = u.team AND w.id = u.worker
"""

APPLY_COMMANDS = """
UPDATE commands AS c SET applied_at = %(now)s, outcome = u.outcome
FROM json_to_recordset(%(rows)s::json) AS u(id bigint, outcome jsonb) WHERE c.id = u.id
"""

UPSERT_BUCKETS = """
INSERT INTO token_buckets (kind, name, tokens, at)
SELECT * FROM json_to_recordset(%(rows)s::json) AS u(kind text, name text, tokens float8, at timestamptz)
ON CONFLICT (kind, name) DO UPDATE SET tokens = excluded.tokens, at = excluded.at
"""

UPSERT_SCHEDULES = """
INSERT INTO schedules (team, location, name, cron, tz, last_tick)
SELECT * FROM json_to_recordset(%(rows)s::json) AS u(team text, location text, name text, cron text, tz text, last_tick timestamptz)
ON CONFLICT (team, location, name) DO UPDATE SET cron = excluded.cron, tz = excluded.tz, last_tick = excluded.last_tick
"""

DELETE_SCHEDULES = """
WITH gone AS (
  SELECT * FROM json_to_recordset(%(rows)s::json) AS u(team text, location text, name text)
), forgotten AS (
  DELETE FROM schedule_ticks AS k USING gone WHERE (k.team, k.location, k.name) = (gone.team, gone.location, gone.name)
)
DELETE FROM schedules AS s USING gone WHERE (s.team, s.location, s.name) = (gone.team, gone.location, gone.name)
"""

# Guarded by the tick that the leader knew as the last one: a tick that another leader dealt with is not dealt with again.
MOVE_SCHEDULES = """
UPDATE schedules AS s SET last_tick = u.last_tick
FROM json_to_recordset(%(rows)s::json) AS u(
    team text, location text, name text, before timestamptz, last_tick timestamptz
  )
WHERE (s.team, s.location, s.name) = (u.team, u.location, u.name) AND s.last_tick = u.before
"""

INSERT_TICKS = """
INSERT INTO schedule_ticks (team, location, name, tick, ticks, outcome, run_id, reason, error, at)
SELECT team, location, name, tick, ticks, outcome, run_id, reason, error, %(now)s
FROM json_to_recordset(%(rows)s::json) AS u(
    team text, location text, name text, tick timestamptz, ticks int, outcome text, run_id uuid, reason text, error jsonb
  )
"""

TRIM_TICKS = """
DELETE FROM schedule_ticks AS k
USING (SELECT DISTINCT * FROM json_to_recordset(%(rows)s::json) AS r(team text, location text, name text)) AS u
WHERE (k.team, k.location, k.name) = (u.team, u.location, u.name) AND k.id <= (
    SELECT o.id FROM schedule_ticks AS o WHERE (o.team, o.location, o.name) = (u.team, u.location, u.name)
    ORDER BY o.id DESC OFFSET %(kept)s LIMIT 1
  )
"""

UPSERT_MEMORIES = """
INSERT INTO automation_memories (asset, body)
SELECT asset, decode(body, 'base64') FROM json_to_recordset(%(rows)s::json) AS u(asset text, body text)
ON CONFLICT (asset) DO UPDATE SET body = excluded.body
"""

UPSERT_EVALUATIONS = """
INSERT INTO automation_evaluations (asset, kind, at, condition, findings, requested, requested_count, problem, run_id)
SELECT asset, kind, at, condition, findings, requested, requested_count, problem, run_id
FROM json_to_recordset(%(rows)s::json) AS u(
    asset text, kind text, at timestamptz, condition text, findings jsonb, requested jsonb, requested_count int, problem text, run_id uuid
  )
ON CONFLICT (asset, kind) DO UPDATE SET at = excluded.at, condition = excluded.condition, findings = excluded.findings,
    requested = excluded.requested, requested_count = excluded.requested_count, problem = excluded.problem, run_id = excluded.run_id
"""
