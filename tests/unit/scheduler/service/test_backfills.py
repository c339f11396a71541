"""Backfills in the leader's loop: how fast they go, what people may ask of them, and when the loop is to look at them again."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from support.backfilling import NOW
from support.led_backfills import PER_RUN, Database, Leader

from hedgerow_scheduler.lifecycle.backfills import BackfillState
from hedgerow_scheduler.lifecycle.states import StepState
from hedgerow_scheduler.service.backfills import PRIORITY

FAILED, SUCCEEDED = StepState.FAILED, StepState.SUCCEEDED


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def leader(database: Database) -> Leader:
    return Leader(database, count(100))


def cycle(leader: Leader, how: StepState = SUCCEEDED) -> None:
    """Launches what may be, ends it, and commits."""
    leader.turn()
    for step in leader.ready():
        if step.state is StepState.READY:
            leader.snapshot.move(step, how, leader.now)
    leader.commit()


def to_its_end(leader: Leader, database: Database, how: StepState = SUCCEEDED) -> None:
    for _ in range(100):
        cycle(leader, how)
        if database.row.ended_at is not None:
            return
    raise AssertionError("it does not end")


def test_runs_make_so_many_partitions_at_the_lowest_priority_and_say_whose_they_are(
    leader: Leader, database: Database
) -> None:
    leader.turn()
    new = leader.snapshot.changes.new_runs
    assert {len(each.run.steps) for each in new} <= set(range(1, PER_RUN + 1))
    assert {each.run.priority for each in new} == {PRIORITY}
    assert {each.run.tags["backfill"] for each in new} == {each.run.backfill_id for each in new} == {database.row.id}
    assert {each.request.selection for each in new} == {("raw",)}


def test_a_rate_says_when_the_next_one_may_go() -> None:
    database = Database(rate="30/m")
    leader = Leader(database, count(100))
    cycle(leader)
    assert len(database.launched()) == 1
    cycle(leader)
    due = leader.backfills.next_due()
    assert due is not None
    assert timedelta(seconds=2) <= due - NOW <= timedelta(seconds=2, milliseconds=2)
    assert not leader.backfills.is_due()
    leader.now = due
    cycle(leader)
    assert len(database.launched()) == 2


def test_the_pace_changes_while_it_goes_on(leader: Leader, database: Database) -> None:
    leader.turn()
    leader.commit()
    out = len(database.launched())
    assert leader.ask("pace", pace={"max_runs": 1, "rate_per_s": None})
    cycle(leader)
    assert database.row.settings.max_runs == 1
    cycle(leader)
    assert 0 < len(database.launched()) - out <= 2 * PER_RUN


def test_a_pause_holds_launches_back_and_nothing_else(leader: Leader, database: Database) -> None:
    leader.turn()
    leader.commit()
    out = len(database.launched())
    assert leader.ask("pause") == {"state": "paused"}
    cycle(leader)
    cycle(leader)
    assert len(database.launched()) == out
    assert leader.snapshot.runs == {}
    assert database.row.state is BackfillState.PAUSED
    assert "refused" in (leader.ask("pause") or {})
    assert leader.ask("resume") == {"state": "running"}
    to_its_end(leader, database)
    assert database.row.state is BackfillState.SUCCEEDED
    assert "refused" in (leader.ask("resume") or {})
    assert "refused" in (leader.ask("retry") or {})


def test_one_that_has_ended_is_tried_again_but_not_what_someone_tries_already(
    leader: Leader, database: Database
) -> None:
    to_its_end(leader, database, FAILED)
    assert database.row.state is BackfillState.FAILED
    before = len(database.launched())
    run = next(iter(database.runs.values()))
    leader.snapshot.retry_steps(run, {0}, leader.now)  # by hand, of a backfill that is over
    leader.commit()
    assert leader.ask("retry")
    leader.turn()
    fresh = [
        pair
        for run in leader.snapshot.changes.new_runs
        for pair in [(s.computation, s.partition) for s in run.run.steps]
    ]
    assert fresh
    assert (run.steps[0].computation, run.steps[0].partition) not in fresh
    to_its_end(leader, database)
    assert database.row.state is BackfillState.SUCCEEDED
    assert len(database.launched()) == before + database.total - 1


def test_what_is_asked_of_one_that_is_not_taken_up_waits(leader: Leader) -> None:
    assert leader.ask("cancel") is None
    leader.turn()
    assert leader.ask("cancel") == {"state": "cancelling"}


def test_its_end_is_told_with_what_became_of_its_partitions(leader: Leader, database: Database) -> None:
    leader.snapshot.happenings.wanted = {"backfill_ended"}
    to_its_end(leader, database)
    (told,) = leader.snapshot.happenings.take()
    assert told.assets == ("raw", "clean", "months")
    assert told.details == {"backfill": database.row.id, "state": "succeeded", "partitions": {"done": database.total}}
