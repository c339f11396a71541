"""The agenda: the next tick of each schedule, taken out in turns over teams."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hedgerow.cron import Cron
from hedgerow_scheduler.automation.agenda import Agenda
from hedgerow_scheduler.automation.schedules import Place

NOW = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)
HOURLY, DAILY = Cron("0 * * * *"), Cron("0 6 * * *")


def place(name: str, team: str = "sales") -> Place:
    return Place(team, "main", name)


def test_the_next_tick_of_all_is_known_and_nothing_is_taken_before_it() -> None:
    agenda = Agenda()
    assert agenda.next() is None
    agenda.put(place("daily"), DAILY, NOW)
    agenda.put(place("hourly"), HOURLY, NOW)
    assert agenda.next() == NOW.replace(hour=13, minute=0)
    assert agenda.take(NOW, 10) == []
    assert agenda.take(NOW + timedelta(minutes=30), 10) == [place("hourly")]
    assert agenda.next() == datetime(2026, 11, 27, 6, tzinfo=UTC)


def test_a_schedule_that_is_dropped_or_put_anew_is_not_met_at_its_former_tick() -> None:
    agenda = Agenda()
    agenda.put(place("a"), HOURLY, NOW)
    agenda.put(place("b"), HOURLY, NOW)
    agenda.drop(place("a"))
    agenda.drop(place("unknown"))
    agenda.put(place("b"), DAILY, NOW)
    assert agenda.take(NOW + timedelta(hours=2), 10) == []
    assert agenda.next() == datetime(2026, 11, 27, 6, tzinfo=UTC)


def test_a_team_with_many_schedules_leaves_room_for_another_and_nothing_is_forgotten() -> None:
    agenda = Agenda()
    for number in range(5):
        agenda.put(place(f"s{number}"), HOURLY, NOW)
    agenda.put(place("one", "ml"), HOURLY, NOW)
    then = NOW + timedelta(hours=1)
    assert agenda.take(then, 3) == [place("s0"), place("one", "ml"), place("s1")]
    assert agenda.take(then, 10) == [place("s2"), place("s3"), place("s4")]
    assert agenda.next() is None
