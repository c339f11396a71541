"""The tables of a backfill: exactly their arrows can be taken, and what has ended is left only by a retry."""

from __future__ import annotations

from itertools import product

import pytest

from hedgerow_scheduler.lifecycle.backfills import (
    BACKFILL_ARROWS,
    ENDED_BACKFILLS,
    OF_STEP,
    PARTITION_ARROWS,
    RETRYABLE_BACKFILLS,
    RETRYABLE_PARTITIONS,
    BackfillState,
    PartitionState,
)
from hedgerow_scheduler.lifecycle.states import ENDED
from hedgerow_scheduler.planning.backfills import Backfill, Settings


@pytest.mark.parametrize(("before", "after"), list(product(BackfillState, BackfillState)))
def test_a_backfill_takes_an_arrow_exactly_when_the_table_has_it(before: BackfillState, after: BackfillState) -> None:
    backfill = Backfill("0190", before, Settings(max_runs=1), ())
    if (before, after) in BACKFILL_ARROWS:
        backfill.move(after)
        assert backfill.state is after
    else:
        with pytest.raises(AssertionError, match=f"no arrow {before} -> {after}"):
            backfill.move(after)
        assert backfill.state is before


def test_what_has_ended_is_left_only_by_a_retry_and_success_never() -> None:
    for before, text in ((before, text) for (before, _), text in BACKFILL_ARROWS.items() if before in ENDED_BACKFILLS):
        assert before in RETRYABLE_BACKFILLS
        assert text.startswith("command: retry")
    left = {before for before, after in PARTITION_ARROWS if after is PartitionState.TO_DO}
    assert left == set(RETRYABLE_PARTITIONS)


def test_every_end_of_a_step_says_what_its_partition_is() -> None:
    assert OF_STEP.keys() == ENDED
    assert all((PartitionState.LAUNCHED, state) in PARTITION_ARROWS for state in OF_STEP.values())
