"""The statements that record sensors; rows travel as in metadata.statements."""

from __future__ import annotations

UPSERT_SENSORS = """
INSERT INTO sensors (team, location, name, cursor, number, failures, last_at, next_at)
SELECT team, location, name, cursor, number, failures, last_at, next_at
FROM json_to_recordset(%(rows)s::json) AS u(
    team text, location text, name text, cursor text, number bigint, failures int, last_at timestamptz, next_at timestamptz
  )
ON CONFLICT (team, name) DO UPDATE SET location = excluded.location, next_at = excluded.next_at
"""

# Guarded by the number of evaluations that the leader knew: what another leader recorded is not recorded again.
MOVE_SENSORS = """
UPDATE sensors AS s SET cursor = u.cursor, number = u.number, failures = u.failures, last_at = u.last_at, next_at = u.next_at
FROM json_to_recordset(%(rows)s::json) AS u(
    team text, name text, before bigint, number bigint, cursor text, failures int, last_at timestamptz, next_at timestamptz
  )
WHERE (s.team, s.name) = (u.team, u.name) AND s.number = u.before
"""

INSERT_KEYS = """
INSERT INTO sensor_keys (team, name, key, run_id, at)
SELECT team, name, key, run_id, %(now)s
FROM json_to_recordset(%(rows)s::json) AS u(team text, name text, key text, run_id uuid)
ON CONFLICT DO NOTHING
"""

INSERT_EVALUATIONS = """
INSERT INTO sensor_evaluations (
    id, team, name, at, ended_at, outcome, launched, deduped, run_ids, cursor, reason, error, log, duration_ms
  )
SELECT id, team, name, at, %(now)s, outcome, launched, deduped, run_ids, cursor, reason, error, log, duration_ms
FROM json_to_recordset(%(rows)s::json) AS u(
    id uuid, team text, name text, at timestamptz, outcome text, launched int, deduped int, run_ids jsonb, cursor text,
    reason text, error jsonb, log text, duration_ms int
  )
"""

TRIM_EVALUATIONS = """
DELETE FROM sensor_evaluations AS e
USING (
    SELECT k.id FROM (SELECT DISTINCT * FROM json_to_recordset(%(rows)s::json) AS r(team text, name text)) AS u
    CROSS JOIN LATERAL (
      SELECT o.id, row_number() OVER (PARTITION BY o.outcome ORDER BY o.ended_at DESC, o.id DESC) AS place
      FROM sensor_evaluations AS o WHERE (o.team, o.name) = (u.team, u.name)
    ) AS k WHERE k.place > %(kept)s
  ) AS gone
WHERE e.id = gone.id
"""
