"""Schedules on real servers: each tick becomes one run, whoever leads, or says why not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from support.played import Platform, Worker, played, settings_of
from support.processes import eventually
from support.scheduling import asset, manifest

from hedgerow import clock
from hedgerow.cron import Cron, last_tick
from hedgerow.manifest.model import Job, Schedule
from hedgerow.settings.platform import Automation
from hedgerow_scheduler.metadata import pauses
from hedgerow_scheduler.metadata.recording import TICKS_KEPT

pytestmark = pytest.mark.servers

# Half an hour away, so that no tick comes due during a test.
TIMES, OTHER_TIMES = (Cron(f"{(clock.now().minute + away) % 60} * * * *") for away in (30, 29))
HOURLY = Schedule("hourly", "job:totals", TIMES.expression, catch_up="all", tags={"tier": "gold"})
HISTORY = "SELECT outcome, ticks, tick FROM schedule_ticks WHERE name = '{}' ORDER BY id"


class Scheduled:
    """A platform of which a team has schedules."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def deploy(self, *schedules: Schedule, name: str = "w1") -> None:
        """Team sales declares these schedules; they are in force when this returns."""
        serves = manifest(
            "sales", asset("totals"), jobs=(Job("totals", "totals", tags={"a": "b"}),), schedules=schedules
        )
        worker = self.platform.sales = Worker(self.platform.broker, serves, name)
        self.platform.raw.everyone = worker.everyone = [self.platform.raw, worker]
        self.platform.until(
            "SELECT manifest_hash FROM locations WHERE team = 'sales' AND manifest_hash IS NOT NULL", (worker.hash,)
        )
        expected = [(schedule.name,) for schedule in sorted(schedules, key=lambda one: one.name)]
        self.platform.until("SELECT name FROM schedules ORDER BY name", *expected)

    def missed(self, hours: int, name: str = "hourly") -> list[datetime]:
        """Nobody has led for so many ticks of an hourly schedule, which are returned."""
        ((now,),) = self.platform.rows("SELECT clock_timestamp()")
        last = last_tick(TIMES, now)
        self._execute(
            "UPDATE schedules SET last_tick = :last WHERE name = :name", last=last - timedelta(hours=hours), name=name
        )
        return [last - timedelta(hours=ago) for ago in reversed(range(hours))]

    def history(self, name: str = "hourly") -> list[tuple[str, int, datetime]]:
        """What became of a schedule's ticks, oldest first."""
        return [(outcome, ticks, tick.astimezone(UTC)) for outcome, ticks, tick in self._rows(HISTORY.format(name))]

    def until_recorded(self, count: int, name: str = "hourly") -> list[tuple[str, int, datetime]]:
        """The history as soon as it has so many entries."""
        eventually(lambda: len(self.history(name)) >= count, what=f"{count} entries of {name}")
        return self.history(name)

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self.platform.rows(statement)

    def _execute(self, statement: str, **parameters: Any) -> None:
        with self.platform.engine.begin() as connection:
            connection.execute(text(statement), parameters)


@pytest.fixture
def scheduled(database_url: str, broker_url: str) -> Iterator[Scheduled]:
    with played(settings_of(database_url, broker_url)) as platform:
        yield Scheduled(platform)


def launched(ticks: list[datetime]) -> list[tuple[str, int, datetime]]:
    return [("launched", 1, tick) for tick in ticks]


def test_a_new_schedule_begins_with_its_next_tick(scheduled: Scheduled) -> None:
    with scheduled.platform.scheduling():
        scheduled.deploy(HOURLY)
        ((last,),) = scheduled.platform.rows("SELECT last_tick FROM schedules")
        ((now,),) = scheduled.platform.rows("SELECT clock_timestamp()")
    assert now - last < timedelta(minutes=1)
    assert scheduled.history() == []


def test_ticks_that_were_missed_become_runs_of_their_own_under_the_next_leader(scheduled: Scheduled) -> None:
    with scheduled.platform.scheduling("one"):
        scheduled.deploy(HOURLY)
    ticks = scheduled.missed(hours=3)
    with scheduled.platform.scheduling("two") as metrics:
        assert scheduled.until_recorded(3) == launched(ticks)
        value = metrics.registry.get_sample_value
        eventually(
            lambda: value("hedgerow_schedule_ticks_total", {"team": "sales", "outcome": "launched"}) == 3,
            what="they are counted",
        )
    with scheduled.platform.scheduling("three"):
        scheduled.platform.until("SELECT holder FROM leader", ("three",))
        order = scheduled.platform.sales.awaited("totals")
    assert order.computation == "totals"
    assert scheduled.history() == launched(ticks)  # the third leader did none of them again
    runs = scheduled.platform.rows("SELECT author, tags, request, id FROM runs ORDER BY created_at, tags ->> 'tick'")
    assert [run[1]["tick"] for run in runs] == [tick.strftime("%Y-%m-%dT%H:%M:%SZ") for tick in ticks]
    for author, tags, request, _ in runs:
        assert author == "schedule sales/hourly"
        assert (tags["schedule"], tags["tier"], tags["a"]) == ("sales/hourly", "gold", "b")
        assert request["selection"] == ["job:sales/totals"]
    linked = scheduled.platform.rows("SELECT run_id FROM schedule_ticks ORDER BY id")
    assert {run_id for (run_id,) in linked} == {run[3] for run in runs}


def test_a_launch_and_the_move_past_its_tick_are_recorded_together_or_not_at_all(scheduled: Scheduled) -> None:
    with scheduled.platform.scheduling("one"):
        scheduled.deploy(HOURLY)
    ticks = scheduled.missed(hours=2)
    scheduled._execute(
        "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$ LANGUAGE plpgsql"
    )
    scheduled._execute(
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON schedule_ticks DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    with scheduled.platform.scheduling("two") as metrics:
        ended = lambda: sum(metrics.terms.labels(end)._value.get() for end in ("failed", "defect"))  # noqa: E731
        eventually(lambda: ended() >= 2, what="terms end at the commit")
        assert scheduled.platform.rows("SELECT count(*) FROM runs") == [(0,)]
        ((last,),) = scheduled.platform.rows("SELECT last_tick FROM schedules")
        assert last == ticks[0] - timedelta(hours=1)
        scheduled._execute("DROP TRIGGER late ON schedule_ticks")
        assert scheduled.until_recorded(2) == launched(ticks)
    assert scheduled.platform.rows("SELECT count(*) FROM runs") == [(2,)]


@pytest.mark.parametrize(("catch_up", "outcomes"), [("skip", ["skipped"]), ("last", ["skipped", "launched"])])
def test_what_is_not_caught_up_with_is_recorded_as_skipped(
    scheduled: Scheduled, catch_up: Any, outcomes: list[str]
) -> None:
    with scheduled.platform.scheduling("one"):
        scheduled.deploy(msgspec.structs.replace(HOURLY, catch_up=catch_up))
    ticks = scheduled.missed(hours=4)
    with scheduled.platform.scheduling("two"):
        found = scheduled.until_recorded(len(outcomes))
    assert [outcome for outcome, _, _ in found] == outcomes
    assert sum(count for _, count, _ in found) == 4
    assert found[-1][2] == ticks[-1]
    ((reason,),) = scheduled.platform.rows("SELECT reason FROM schedule_ticks WHERE outcome = 'skipped'")
    assert reason.startswith("the scheduler did not run in time (")


def test_a_request_that_can_not_be_planned_is_recorded_and_the_schedule_goes_on(scheduled: Scheduled) -> None:
    with scheduled.platform.scheduling("one"):
        scheduled.deploy(msgspec.structs.replace(HOURLY, selection="group:gone"))
    ticks = scheduled.missed(hours=2)
    with scheduled.platform.scheduling("two"):
        found = scheduled.until_recorded(2)
    assert found == [("failed", 1, tick) for tick in ticks]
    errors = scheduled.platform.rows("SELECT error ->> 'code', error ->> 'message' FROM schedule_ticks")
    assert errors == [("HR-Q001", "No asset matches 'group:gone'.")] * 2
    assert scheduled.platform.rows("SELECT count(*) FROM runs") == [(0,)]


@pytest.mark.parametrize(("kind", "name"), [("platform", ""), ("team", "sales"), ("schedule", "sales/hourly")])
def test_what_is_paused_launches_nothing_and_says_so_and_begins_with_its_next_tick_when_resumed(
    scheduled: Scheduled, kind: Any, name: str
) -> None:
    with scheduled.platform.scheduling("one"):
        scheduled.deploy(HOURLY)
    with scheduled.platform.engine.begin() as connection:
        pauses.pause(connection, kind, name, "ann", "the warehouse moves", None)
    scheduled.missed(hours=2)
    with scheduled.platform.scheduling("two"):
        ((outcome, count, _),) = scheduled.until_recorded(1)
        with scheduled.platform.engine.begin() as connection:
            assert pauses.resume(connection, kind, name, "bob", "moved")
            assert not pauses.resume(connection, kind, name, "bob", "moved")
        scheduled.platform.launch("totals")
        scheduled.platform.until("SELECT count(*) FROM runs WHERE state = 'running'", (1,))
    assert (outcome, count) == ("skipped", 2)
    assert len(scheduled.history()) == 1
    ((reason,),) = scheduled.platform.rows("SELECT reason FROM schedule_ticks")
    assert "is paused by ann: the warehouse moves (2 ticks since" in reason
    audited = scheduled.platform.rows("SELECT author, action, subject, reason FROM audit ORDER BY id")
    subject = f"{kind} {name}".strip()
    assert audited == [("ann", "pause", subject, "the warehouse moves"), ("bob", "resume", subject, "moved")]


def test_schedules_that_are_switched_off_tick_no_more_and_begin_anew_when_switched_on(scheduled: Scheduled) -> None:
    platform = scheduled.platform
    with platform.scheduling("one"):
        scheduled.deploy(HOURLY)
    scheduled.missed(hours=3)
    on = platform.settings
    platform.settings = msgspec.structs.replace(on, automation=Automation(enabled=False))
    with platform.scheduling("two"):
        platform.until("SELECT name, last_tick FROM schedules", ("hourly", None))
    platform.settings = on
    with platform.scheduling("three"):
        platform.until("SELECT count(*) FROM schedules WHERE last_tick > now() - interval '1 minute'", (1,))
    assert scheduled.history() == []


def test_a_schedule_that_is_gone_is_forgotten_and_one_with_other_times_begins_anew(scheduled: Scheduled) -> None:
    with scheduled.platform.scheduling("one"):
        scheduled.deploy(HOURLY, Schedule("other", "totals", TIMES.expression))
        scheduled.missed(hours=30)
        scheduled.deploy(msgspec.structs.replace(HOURLY, cron=OTHER_TIMES.expression), name="w2")
        ((cron, last),) = scheduled.platform.rows("SELECT cron, last_tick FROM schedules WHERE name = 'hourly'")
    assert cron == OTHER_TIMES.expression
    ((now,),) = scheduled.platform.rows("SELECT clock_timestamp()")
    assert now - last < timedelta(minutes=1)


def test_only_the_last_ticks_are_kept(scheduled: Scheduled) -> None:
    with scheduled.platform.scheduling("one"):
        scheduled.deploy(HOURLY)
    scheduled._execute(
        "INSERT INTO schedule_ticks (team, location, name, tick, outcome, at) SELECT 'sales', 'sales', n, now(), 'skipped', now() "
        "FROM generate_series(1, 150), unnest(ARRAY['hourly', 'other']) AS n"
    )
    scheduled.missed(hours=2)
    with scheduled.platform.scheduling("two"):
        scheduled.platform.until("SELECT count(*) FROM schedule_ticks WHERE outcome = 'launched'", (2,))
    assert len(scheduled.history()) == TICKS_KEPT
    assert [outcome for outcome, _, _ in scheduled.history()[-2:]] == ["launched"] * 2
    assert len(scheduled.history("other")) == 150
