"""A team's stream filled with nonsense: each event comes to what it must, and nothing of another team changes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from support.nonsense import Nonsense, Target
from support.played import Platform, played, settings_of
from support.processes import eventually

from hedgerow import clock
from hedgerow.protocol import events as ev
from hedgerow.protocol import names
from hedgerow.protocol.envelope import encode_batch
from hedgerow_scheduler.observe.metrics import EVENT_KINDS, STALE_REASONS, SchedulerMetrics

pytestmark = pytest.mark.servers

STREAM = names.events_stream("test", "sales")
EVENTS = 4_000


@pytest.fixture
def platform(database_url: str, broker_url: str) -> Iterator[Platform]:
    with played(settings_of(database_url, broker_url)) as found:
        yield found


def counted(metrics: SchedulerMetrics, team: str) -> Counter[str]:
    """What the scheduler says that became of a team's events, in the words of the fold."""
    value = metrics.registry.get_sample_value
    found = {kind: value(f"hedgerow_events_{kind}_total", {"team": team}) for kind in EVENT_KINDS} | {
        f"stale:{reason}": value("hedgerow_stale_events_rejected_total", {"team": team, "reason": reason})
        for reason in STALE_REASONS
    }
    return Counter({what: int(count or 0) for what, count in found.items()})


def of_raw(platform: Platform) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the other team, but for the times at which its workers were seen."""
    statements = {
        "steps": "SELECT * FROM steps WHERE team = 'raw' ORDER BY run_id, number",
        "attempts": "SELECT a.* FROM attempts a JOIN steps s USING (run_id) WHERE s.team = 'raw' ORDER BY a.id",
        "events": "SELECT * FROM events WHERE team = 'raw' ORDER BY worker, first_seq",
        "materializations": "SELECT * FROM materializations WHERE asset LIKE 'raw/%' ORDER BY attempt_id",
        "locations": "SELECT * FROM locations WHERE team = 'raw'",
        "manifests": "SELECT * FROM manifests WHERE team = 'raw'",
        "sequences": "SELECT team, worker, acked FROM worker_sequences WHERE team = 'raw'",
        "workers": "SELECT team, id, slots, state FROM workers WHERE team = 'raw'",
        "owners": "SELECT * FROM asset_owners WHERE key LIKE 'raw/%'",
        "quarantine": "SELECT * FROM quarantine WHERE team <> 'sales'",
    }
    return {of: platform.rows(statement) for of, statement in statements.items()}


def read_to_the_end(platform: Platform) -> None:
    """Waits until the scheduler has recorded everything that is in the hostile team's stream."""
    last = platform.broker.xinfo_stream(STREAM)["last-generated-id"].decode()

    def at_the_end() -> bool:
        platform.raw.attend()
        return platform.rows("SELECT position FROM cursors WHERE team = 'sales'") == [(last,)]

    eventually(at_the_end, within=60, what=f"the cursor of sales is at {last}")


def test_each_event_of_a_flood_is_put_aside_with_its_reason_or_counted_and_nothing_of_others_changes(
    platform: Platform,
) -> None:
    with platform.scheduling() as metrics:
        platform.deployed()
        ended_run = platform.launch("raw/x")
        ended = platform.raw.do("raw/x")
        assert platform.ended(ended_run) == "succeeded"
        theirs_run = platform.launch("raw/x")
        theirs = platform.raw.awaited("raw/x")
        assert platform.raw.begin(theirs)
        run = platform.launch("alone")
        own = platform.sales.awaited("alone")
        assert platform.sales.begin(own)
        platform.launch("clean")
        unbegun = platform.sales.awaited("clean")
        read_to_the_end(platform)

        targets = [
            Target(theirs.attempt_id, "guess", "other_team", "raw/x"),
            Target(theirs.attempt_id, platform.raw.holds[theirs.attempt_id], "other_team", "raw/x"),
            Target(own.attempt_id, "guess", "other_token", "alone"),
            Target(own.attempt_id, platform.sales.holds[own.attempt_id], "other_asset", "raw/x"),
            Target(unbegun.attempt_id, "guess", "not_started", "clean", can_start=False),
            Target(ended.attempt_id, "guess", "unknown_attempt", "raw/x"),
            Target("é" * 300, "x" * 9000, "unknown_attempt"),
            Target("\x00", "\x00", "unknown_attempt"),
        ]
        nonsense = Nonsense(random.Random(5), clock.now_ms(), "sales", "raw", "raw/x", targets)
        before, known = counted(metrics, "sales"), of_raw(platform)
        expected: Counter[str] = Counter()
        for piece in nonsense.pieces(EVENTS):
            platform.broker.xadd(STREAM, piece.fields)  # type: ignore[arg-type]
            expected += piece.outcomes
        read_to_the_end(platform)

        assert counted(metrics, "sales") - before == expected
        assert expected.total() >= EVENTS
        assert min(expected[f"stale:{target.reason}"] for target in targets) > 10  # every kind was tried
        reasons = platform.rows("SELECT reason FROM quarantine WHERE team = 'sales'")
        assert len(reasons) == expected["quarantined"]
        assert all(reason for (reason,) in reasons)
        assert of_raw(platform) == known

        platform.raw.finish(theirs)
        assert platform.ended(theirs_run) == "succeeded"
        platform.sales.finish(own)
        assert platform.ended(run) == "succeeded"
    assert platform.rows("SELECT epoch FROM leader") == [(1,)]  # no term was ended by it


def test_an_id_that_is_ahead_by_less_than_an_hour_changes_nothing(platform: Platform) -> None:
    with platform.scheduling():
        platform.deployed()
        for seq in (0, 2**64 - 1):
            platform.broker.xadd(STREAM, {b"b": b"[]"}, id=f"{clock.now_ms() + 30 * 60_000}-{seq}")
        run = platform.launch("alone")
        platform.sales.do("alone")
        assert platform.ended(run) == "succeeded"
    assert platform.rows("SELECT count(*) FROM quarantine") == [(0,)]


def test_what_a_team_removes_from_its_stream_unread_is_missed_and_sent_again(platform: Platform) -> None:
    with platform.scheduling() as metrics:
        platform.deployed()
        run = platform.launch("alone")
        order = platform.sales.awaited("alone")
        assert platform.sales.begin(order)
        token = platform.sales.holds.pop(order.attempt_id)
        end = platform.sales.outbox.add(ev.AttemptSucceeded(order.attempt_id, token, 1.0))
        with platform.broker.pipeline(transaction=True) as pipe:
            pipe.xadd(STREAM, {b"b": encode_batch(end)})
            pipe.xadd(STREAM, {b"b": b"[]"}, maxlen=0, approximate=False)
            pipe.execute()
        assert platform.broker.xlen(STREAM) == 0
        platform.sales.report(ev.LocationFailed("sales", "elsewhere", ()))
        assert platform.ended(run) == "succeeded"
        assert counted(metrics, "sales")["gap"] >= 1
