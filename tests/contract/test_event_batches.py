"""Workers and the scheduler agree on how much one entry of a stream holds."""

from __future__ import annotations

from hedgerow.protocol import envelope, events
from hedgerow_workers import outbox


def test_the_largest_entry_of_a_worker_is_no_more_than_the_scheduler_takes_apart() -> None:
    assert outbox.BATCH_EVENTS <= envelope.MAX_BATCH_EVENTS
    commas_and_brackets = outbox.BATCH_EVENTS + 2
    assert max(outbox.BATCH_BYTES, events.MAX_EVENT_BYTES) + commas_and_brackets <= envelope.MAX_BATCH_BYTES
