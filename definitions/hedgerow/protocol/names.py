"""Every queue, stream and key name on the broker is built here and nowhere else.

All lie under `hr:{deployment}:{team}:`, so that one access rule fences a team.
"""

from __future__ import annotations

CELERY_TASK = "hedgerow.execute"
MANIFEST_DIGITS = 12


def team_prefix(deployment: str, team: str) -> str:
    """`hr:{deployment}:{team}:`."""
    return f"hr:{deployment}:{team}:"


def celery_key_prefix(deployment: str, team: str) -> str:
    """What kombu puts before each of its keys (`global_keyprefix`)."""
    return f"{team_prefix(deployment, team)}q:"


def celery_queue(location: str, queue: str, manifest_hash: str) -> str:
    """The Celery queue that only workers of this location with exactly this manifest consume.

    >>> celery_queue("sales", "heavy", "0123456789abcdef0123")
    'sales.heavy@0123456789ab'
    """
    return f"{location}.{queue}@{manifest_hash[:MANIFEST_DIGITS]}"


def events_stream(deployment: str, team: str) -> str:
    """The stream to which the team's workers report."""
    return f"{team_prefix(deployment, team)}events"


def ack_hash(deployment: str, team: str) -> str:
    """The hash worker id → highest contiguous sequence number recorded in PostgreSQL."""
    return f"{team_prefix(deployment, team)}ack"


def claim_key(deployment: str, team: str, attempt_id: str) -> str:
    """The key that exactly one taker of an attempt owns."""
    return f"{team_prefix(deployment, team)}claims:{attempt_id}"


def control_stream(deployment: str, team: str) -> str:
    """The stream on which the scheduler speaks to the team's workers."""
    return f"{team_prefix(deployment, team)}ctl"


def epoch_key(deployment: str, team: str) -> str:
    """The random value by which a loss of the broker's data is noticed."""
    return f"{team_prefix(deployment, team)}epoch"


def log_stream(deployment: str, team: str, attempt_id: str) -> str:
    """The capped stream with the end of a running attempt's log."""
    return f"{team_prefix(deployment, team)}logs:{attempt_id}"
