"""The statements that record what reactions are told; rows travel as in metadata.statements."""

from __future__ import annotations

INSERT_DELIVERIES = """
INSERT INTO reaction_deliveries (id, team, name, event, created_at, next_at, attempts)
SELECT id, team, name, event, created_at, next_at, attempts
FROM json_to_recordset(%(rows)s::json) AS u(
    id uuid, team text, name text, event jsonb, created_at timestamptz, next_at timestamptz, attempts int
  )
"""

# Guarded by the state: only what was given up is told again.
RETRY_DELIVERIES = """
UPDATE reaction_deliveries AS d SET state = 'waiting', attempts = u.attempts, created_at = u.created_at, next_at = u.next_at, ended_at = NULL
FROM json_to_recordset(%(rows)s::json) AS u(id uuid, created_at timestamptz, next_at timestamptz, attempts int)
WHERE d.id = u.id AND d.state = 'given_up'
"""

# Guarded by the state: what another leader has settled is not settled again.
UPDATE_DELIVERIES = """
UPDATE reaction_deliveries AS d SET state = u.state, attempts = u.attempts, next_at = u.next_at, error = u.error, log = u.log,
    duration_ms = u.duration_ms, ended_at = CASE WHEN u.state = 'waiting' THEN NULL ELSE %(now)s::timestamptz END
FROM json_to_recordset(%(rows)s::json) AS u(
    id uuid, state text, attempts int, next_at timestamptz, error jsonb, log text, duration_ms int
  )
WHERE d.id = u.id AND d.state = 'waiting'
"""

ADD_SUPPRESSED = """
INSERT INTO reaction_floods (team, name, suppressed, last_at)
SELECT team, name, suppressed, %(now)s::timestamptz
FROM json_to_recordset(%(rows)s::json) AS u(team text, name text, suppressed bigint)
ON CONFLICT (team, name) DO UPDATE SET suppressed = reaction_floods.suppressed + excluded.suppressed, last_at = excluded.last_at
"""

TRIM_DELIVERIES = """
DELETE FROM reaction_deliveries AS d
USING (
    SELECT k.id FROM (SELECT DISTINCT * FROM json_to_recordset(%(rows)s::json) AS r(team text, name text)) AS u
    CROSS JOIN LATERAL (
      SELECT o.id, row_number() OVER (PARTITION BY o.state ORDER BY o.ended_at DESC, o.id DESC) AS place
      FROM reaction_deliveries AS o WHERE (o.team, o.name) = (u.team, u.name) AND o.state <> 'waiting'
    ) AS k WHERE k.place > %(kept)s
  ) AS gone
WHERE d.id = gone.id
"""
