"""The statements with which the leader records backfills. Rows travel as one JSON document (see metadata.statements)."""

from __future__ import annotations

UPDATE_BACKFILLS = """
UPDATE backfills AS b SET state = u.state, settings = u.settings, passed = u.passed, problem = u.problem,
    started_at = u.started_at, ended_at = u.ended_at, since = u.since, worked_ms = u.worked_ms
FROM json_to_recordset(%(rows)s::json) AS u(id uuid, before text, state text, settings jsonb, passed boolean, problem jsonb,
    started_at timestamptz, ended_at timestamptz, since timestamptz, worked_ms bigint)
WHERE b.id = u.id AND b.state = u.before
"""

UPDATE_TRACKS = """
UPDATE backfill_tracks AS t SET counts = u.counts
FROM json_to_recordset(%(rows)s::json) AS u(backfill_id uuid, number integer, counts jsonb)
WHERE t.backfill_id = u.backfill_id AND t.number = u.number
"""

UPDATE_CHUNKS = """
UPDATE backfill_partitions AS p SET body = decode(u.body, 'base64')
FROM json_to_recordset(%(rows)s::json) AS u(backfill_id uuid, track integer, chunk integer, body text)
WHERE p.backfill_id = u.backfill_id AND p.track = u.track AND p.chunk = u.chunk
"""
