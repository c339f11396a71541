"""Ids that a team chooses itself, far in the future: the entry is put aside, and honest workers go on in a new stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
import redis
from support.played import Platform, played, settings_of

from hedgerow import clock
from hedgerow.protocol import names

pytestmark = pytest.mark.servers

STREAM = names.events_stream("test", "sales")
AN_HOUR_MS = 3_600_000
LAST_ID = f"{2**64 - 1}-{2**64 - 1}"  # after it, the broker refuses every other entry


@pytest.fixture
def platform(database_url: str, broker_url: str) -> Iterator[Platform]:
    with played(settings_of(database_url, broker_url)) as found:
        yield found


@pytest.mark.parametrize("ahead", ["two hours", f"{2**63}-0", LAST_ID])
def test_an_id_that_is_ahead_by_over_an_hour_is_put_aside_and_honest_workers_go_on_in_a_new_stream(
    platform: Platform, ahead: str
) -> None:
    with platform.scheduling() as metrics:
        platform.deployed()
        run = platform.launch("alone")
        order = platform.sales.awaited("alone")
        assert platform.sales.begin(order)
        entry_id = f"{clock.now_ms() + 2 * AN_HOUR_MS}-0" if ahead == "two hours" else ahead
        platform.broker.xadd(STREAM, {b"b": b"[]"}, id=entry_id)
        with suppress(redis.ResponseError):  # refused after the last id; the outbox keeps it, as it keeps all
            platform.sales.finish(order)
        assert platform.ended(run) == "succeeded"
        assert platform.rows("SELECT entry_id FROM quarantine WHERE team = 'sales'")[0] == (entry_id,)
        last = platform.broker.xinfo_stream(STREAM)["last-generated-id"].decode()
        assert int(last.partition("-")[0]) <= clock.now_ms() + AN_HOUR_MS
        assert metrics.registry.get_sample_value("hedgerow_broker_losses_total", {"team": "raw"}) == 0
    assert platform.rows("SELECT epoch FROM leader") == [(1,)]


def test_the_next_scheduler_begins_the_new_stream_too(platform: Platform) -> None:
    with platform.scheduling():
        platform.deployed()
    platform.broker.xadd(STREAM, {b"b": b"[]"}, id=LAST_ID)
    with platform.scheduling("two"):
        run = platform.launch("alone")
        with suppress(redis.ResponseError):
            platform.attend()
        platform.sales.do("alone")
        assert platform.ended(run) == "succeeded"
