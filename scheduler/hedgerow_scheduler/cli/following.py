"""Following a run until it ends: what has changed since the last look, without drawing anything."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from hedgerow import clock
from hedgerow_scheduler.cli.client import Client

ENDED_RUN = ("succeeded", "failed", "cancelled")
BAD = ("failed", "poisoned")
FIRST_WAIT_S, LONGEST_WAIT_S = 0.05, 0.5
QUIET_S = 3.0  # without anything running or ending, people wonder why
EXPLAIN_EVERY_S = 5.0
REST = 9
MAX_FAILURES = 20
MAX_RUNNING = 5


class Look(msgspec.Struct, frozen=True):
    """One look at a run: the run itself, steps that failed since the last look, some that run now, why nothing happens.

    `moves` says that something runs or has changed since the last look.
    """

    run: dict[str, Any]
    failures: tuple[dict[str, Any], ...] = ()
    running: tuple[dict[str, Any], ...] = ()
    causes: tuple[dict[str, Any], ...] = ()
    moves: bool = True

    @property
    def ended(self) -> bool:
        """Whether this was the last look."""
        return self.run["state"] in ENDED_RUN


def follow(client: Client, run_id: str) -> Iterator[Look]:
    """Looks at the run until it has ended, the last time after its end."""
    told: set[tuple[int, int]] = set()
    wait = FIRST_WAIT_S
    last_counts: dict[str, int] = {}
    quiet_since = explained_at = clock.monotonic()
    while True:
        now = clock.monotonic()
        run = client.get(f"/runs/{run_id}")
        counts: dict[str, int] = run["counts"]
        if counts != last_counts:
            quiet_since, wait = now, FIRST_WAIT_S
        failures: tuple[dict[str, Any], ...] = ()
        bad = sum(counts.get(state, 0) for state in BAD)
        if bad and len(told) < MAX_FAILURES and counts != last_counts:
            failures = _new_failures(client, run_id, told)
        running = (
            client.get(f"/runs/{run_id}/steps", state=["running"], limit=MAX_RUNNING)["items"]
            if counts.get("running")
            else []
        )
        causes: list[dict[str, Any]] = []
        if (
            not running
            and now - quiet_since > QUIET_S
            and now - explained_at > EXPLAIN_EVERY_S
            and run["state"] not in ENDED_RUN
        ):
            causes = client.get("/explain", step=run_id)["causes"]
            explained_at = now
        look = Look(run, failures, tuple(running), tuple(causes), bool(running) or counts != last_counts)
        last_counts = counts
        yield look
        if look.ended:
            return
        # Looking at a large run takes its time: the more, the longer the rest, so that people who watch don't slow it down.
        time.sleep(max(wait, REST * (clock.monotonic() - now)))
        wait = min(LONGEST_WAIT_S, wait * 1.5)


def _new_failures(client: Client, run_id: str, told: set[tuple[int, int]]) -> tuple[dict[str, Any], ...]:
    fresh = []
    for step in client.pages(f"/runs/{run_id}/steps", 1000, state=list(BAD)):
        key = (step["number"], step["attempt"])
        if key not in told and len(told) < MAX_FAILURES:
            told.add(key)
            fresh.append(step)
    return tuple(fresh)
