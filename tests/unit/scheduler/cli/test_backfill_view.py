"""Backfills on a terminal: what a person reads of one, and of what one would come to."""

from __future__ import annotations

import io
from typing import Any

from hedgerow_scheduler.cli.backfill_view import show_detail, show_plan
from hedgerow_scheduler.cli.output import Output

COUNTS = {"to_do": 0, "launched": 0, "done": 700, "failed": 24, "upstream_failed": 7, "skipped": 0, "cancelled": 0}
ONE: dict[str, Any] = {
    "id": "01a21845-2a87-7253-9397-323a62051e1f", "state": "failed", "selection": ["orders+"], "author": "\x1b[31mann", "reason": "rounding",
    "settings": {"max_runs": 10, "canary": 5, "abort_threshold": 0.1, "rate_per_s": 10 / 60}, "problem": None, "partitions": 731,
    "created_at": "2026-01-01T12:00:00Z", "started_at": "2026-01-01T12:00:00Z", "ended_at": "2026-01-01T12:02:05Z",
    "counts": COUNTS, "remaining_s": None,
}  # fmt: skip
FAILED = [{"first": f"2024-{month:02}-13", "last": f"2024-{month:02}-14", "partitions": 2} for month in range(1, 11)]
DETAIL = {
    "backfill": ONE, "runs": {"failed": 24, "succeeded": 1}, "pending": False,
    "failure": {
        "run_id": "01a21845-c41b-0000", "number": 3, "assets": ["orders"], "partition": "2024-01-13",
        "error": {"code": "HR-X001", "message": "RuntimeError: unlucky", "remedy": "Mend it."},
    },
    "tracks": [{"team": "raw", "assets": ["orders"], "partitions": 731, "counts": COUNTS, "failed": FAILED, "more_failed": 4}],
}  # fmt: skip


def shown(show: Any, found: Any) -> str:
    out = io.StringIO()
    show(Output(out=out, err=io.StringIO()), found)
    return out.getvalue()


def test_one_is_shown_with_its_pace_its_failures_and_what_to_do() -> None:
    text = shown(show_detail, DETAIL)
    for told in (
        "backfill 01a21845-2a87 failed: 731 of 731 partitions (24 failed, 7 upstream failed), in 2 m 05 s",
        "at most 10 runs at once, launching 10/m, a canary of 5 per asset first, aborted when 10% fail",
        "failed: orders [2024-01-13 to 2024-01-14]",
        "and 18 more of orders",
        "for example step 01a21845-c41b/3, orders [2024-01-13]: HR-X001  RuntimeError: unlucky",
        "`hedgerow backfill retry 01a21845-2a87`",
    ):
        assert told in text
    assert "\x1b[31m" not in text


def test_what_one_would_come_to_is_a_table_and_a_sum() -> None:
    track = {"team": "raw", "assets": ["orders"], "partitions": 24, "canary": 5, "runs": 2, "ranges": FAILED}
    text = shown(show_plan, {"partitions": 24, "runs": 2, "settings": {"max_runs": 1}, "tracks": [track]})
    assert "2024-01-13 to 2024-01-14, 2024-02-13 to 2024-02-14, 2024-03-13 to 2024-03-14, 18 more" in text
    assert "24 partitions in about 2 runs; at most 1 run at once." in text
