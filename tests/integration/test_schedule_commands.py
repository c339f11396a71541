"""Schedules and pauses as people meet them: commands against a real API over a real PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine
from support import seeding
from support.served import served
from support.shell import Shell, shell_over

from hedgerow import clock
from hedgerow.manifest.model import Schedule
from hedgerow.settings.platform import read_platform
from hedgerow_scheduler.api.main import open_services
from hedgerow_scheduler.cli import explain
from hedgerow_scheduler.metadata import tables_automation as t

pytestmark = pytest.mark.servers
NIGHTLY = Schedule("nightly", "group:default", "30 2 * * *", "Europe/Oslo", description="\x1b[31mIn the night.")


def seed(engine: Engine) -> None:
    """Two teams and three schedules; one is on and has ticked."""
    with engine.begin() as connection:
        seeding.lead(connection)
        off = Schedule("hourly", "sales/orders", "0 * * * *", enabled=False)
        seeding.publish(connection, "sales", [seeding.asset("sales/orders")], schedules=[off, NIGHTLY])
        own = Schedule("nightly", "model", "0 4 * * *")
        seeding.publish(connection, "ml", [seeding.asset("model")], schedules=[own])
        for team, name, last in (("sales", "nightly", seeding.AT), ("sales", "hourly", None)):
            place = {"team": team, "location": team, "name": name}
            seeding.add(connection, t.schedules, **place, cron="30 2 * * *", tz="Europe/Oslo", last_tick=last)
        place = {"team": "sales", "location": "sales", "name": "nightly", "at": seeding.AT}
        tick = clock.now().replace(minute=30, second=0, microsecond=0)
        run_id = seeding.run(connection, "running", steps=0)
        seeding.add(connection, t.schedule_ticks, **place, tick=tick, outcome="launched", run_id=run_id)
        problem = {"code": "HR-Q001", "message": "No asset matches 'x'.", "remedy": "Mend it."}
        seeding.add(connection, t.schedule_ticks, **place, tick=tick, outcome="failed", error=problem)
        seeding.add(connection, t.schedule_ticks, **place, tick=tick, outcome="skipped", ticks=3, reason="away")


@pytest.fixture
def desk(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    with shell_over(database_url, tmp_path, monkeypatch, capsys) as shell:
        seed(shell.engine)
        yield shell


def test_every_schedule_is_listed_with_whether_it_is_on_its_next_tick_and_its_last(desk: Shell) -> None:
    found = {f"{one['team']}/{one['schedule']['name']}": one for one in desk.data("schedule", "list")["items"]}
    assert list(found) == ["ml/nightly", "sales/hourly", "sales/nightly"]
    assert [(one["on"], one["next_tick"] is None) for one in found.values()] == [
        (False, True),
        (False, True),
        (True, False),
    ]
    assert (found["sales/nightly"]["last"]["outcome"], found["sales/nightly"]["last"]["ticks"]) == ("skipped", 3)
    assert found["ml/nightly"]["last"] is None
    shown = desk("schedule", "list", "--team", "sales").out
    assert "sales/nightly" in shown
    assert "skipped (3 ticks)" in shown
    assert "ml/" not in shown
    assert desk("schedule", "list", "--team", "slaes").status == 2


def test_a_schedule_is_shown_with_what_became_of_its_ticks_and_what_is_wrong(desk: Shell) -> None:
    shown = desk("schedule", "show", "sales/nightly").out
    for told in (
        "30 2 * * * in Europe/Oslo",
        "launched",
        "failed",
        "away",
        "HR-Q001  No asset matches 'x'.",
        "In the night.",
    ):
        assert told in shown
    assert "\x1b[31m" not in shown
    assert [tick["outcome"] for tick in desk.data("schedule", "show", "sales/nightly")["ticks"]] == [
        "skipped",
        "failed",
        "launched",
    ]
    assert len(desk.data("schedule", "show", "hourly", "--count", "3")["next_ticks"]) == 3
    assert "It has not ticked yet." in desk("schedule", "show", "hourly").out


def test_the_next_ticks_are_told_in_local_time_and_in_utc(desk: Shell) -> None:
    done = desk("schedule", "preview", "sales/nightly", "--count", "4")
    lines = [line for line in done.out.splitlines() if "UTC" in line and "local" not in line]
    assert len(lines) == 4
    assert all(" 02:30 CE" in line and (" 00:30 UTC" in line or " 01:30 UTC" in line) for line in lines)
    assert len(desk.data("schedule", "preview", "sales/nightly")["items"]) == 10
    assert "It is off" in desk("schedule", "preview", "hourly").err


@pytest.mark.parametrize(
    ("name", "told", "remedy"),
    [
        ("nightly", "Several teams declare", "ml/nightly, sales/nightly"),
        ("weekly", "No team declares", "schedule list"),
        ("sales/nihgtly", "no schedule 'sales/nihgtly'", "Did you mean 'sales/nightly'?"),
    ],
)
def test_a_schedule_that_is_not_there_or_not_the_only_one_of_its_name_is_told(
    desk: Shell, name: str, told: str, remedy: str
) -> None:
    done = desk("schedule", "show", name)
    assert done.status == 2
    assert "HR-Q340" in done.err
    assert told in done.err
    assert remedy in done.err


@pytest.mark.parametrize(
    ("what", "kind", "name"),
    [
        (("pause", "platform"), "platform", ""),
        (("pause", "team", "sales"), "team", "sales"),
        (("pause", "asset", "sales/orders"), "asset", "sales/orders"),
        (("pause", "schedule", "sales/nightly"), "schedule", "sales/nightly"),
        (("schedule", "pause", "sales/nightly"), "schedule", "sales/nightly"),
    ],
)
def test_what_is_paused_is_shown_audited_and_goes_on_when_it_is_resumed(
    desk: Shell, what: tuple[str, ...], kind: str, name: str
) -> None:
    done = desk(*what, "--reason", "moving", "--author", "ann")
    assert done.out == f"Paused {f'{kind} {name}'.strip()} until it is resumed: moving\n"
    ((author, reason, until),) = desk.rows("SELECT author, reason, until FROM pauses")
    assert (author, reason, until) == ("ann", "moving", None)
    held = {one["schedule"]["name"]: one["pause"] for one in desk.data("schedule", "list", "--team", "sales")["items"]}
    assert (held["nightly"] is not None) == (kind != "asset")
    if kind != "asset":
        assert "is paused by ann: moving" in desk("schedule", "show", "sales/nightly").out
    resume = ["resume" if part == "pause" else part for part in what]
    assert desk(*resume).out == f"Resumed {f'{kind} {name}'.strip()}.\n"
    assert desk(*resume).out.startswith("Nothing to do")
    assert desk.rows("SELECT action, subject FROM audit ORDER BY id") == [
        (action, f"{kind} {name}".strip()) for action in ("pause", "resume")
    ]


def test_a_pause_may_end_by_itself_and_the_last_word_counts(desk: Shell) -> None:
    assert desk("pause", "list").out == "Nothing is paused.\n"
    assert "until 20" in desk("pause", "team", "sales", "--reason", "a", "--for", "2h").out
    desk("pause", "team", "sales", "--reason", "b")
    assert "team sales" in desk("pause", "list").out
    assert [one["reason"] for one in desk.data("pause", "list")["items"]] == ["b"]
    assert "Give it for everyone to read" in desk("pause", "platform").err
    (held,) = httpx.get(f"{desk.url}/api/v1/pauses").json()
    assert (held["reason"], held["until"]) == ("b", None)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("platform", "x"), "HR-Q321"),
        (("team",), "HR-Q321"),
        (("team", "slaes"), "HR-Q308"),
        (("asset", "sales/x"), "HR-Q307"),
        (("schedule", "sales"), "HR-Q340"),
        (("schedule", "sales/nightly", "--for", "never"), "HR-Q334"),
        (("schedule", "sales/nightly", "--for", "3000d"), "HR-Q334"),
        (("schedule", "sales/nightly", "--author", ""), "HR-Q334"),
        (("queue", "x"), "HR-Q320"),
    ],
)
def test_a_pause_that_makes_no_sense_is_refused_and_changes_nothing(
    desk: Shell, arguments: tuple[str, ...], code: str
) -> None:
    done = desk("pause", *arguments, "--reason", "moving")
    assert (done.status, done.err.partition(" ")[0]) == (2, code)
    assert desk.rows("SELECT count(*) FROM pauses") == desk.rows("SELECT count(*) FROM audit") == [(0,)]


def test_the_api_refuses_other_kinds_and_ends_without_a_zone(desk: Shell) -> None:
    put = f"{desk.url}/api/v1/pauses"
    body = {"reason": "x", "author": "ann"}
    kind = httpx.put(f"{put}/queue/x", json=body)
    zone = httpx.put(f"{put}/team/sales", json={**body, "until": "2030-01-01T00:00:00"})
    both = httpx.put(f"{put}/team/sales", json={**body, "until": "2030-01-01T00:00:00Z", "expires_in": "1h"})
    assert [answer.json()["problems"][0]["code"] for answer in (kind, zone, both)] == ["HR-Q341", "HR-Q301", "HR-Q334"]
    assert httpx.get(f"{desk.url}/api/v1/schedules/sales/none").status_code == 404
    assert httpx.get(f"{desk.url}/api/v1/schedules/sales/nightly?count=101").status_code == 400


def test_an_asset_tells_which_schedules_launch_it(desk: Shell) -> None:
    for path in ("assets", "conditions"):
        told = httpx.get(f"{desk.url}/api/v1/{path}/sales/orders").json()["launched_by"]
        assert told == ["schedule sales/nightly"]


def test_where_nothing_is_launched_by_itself_an_asset_tells_so(
    desk: Shell, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    off = read_platform(None, {**os.environ, "HEDGEROW_AUTOMATION_ENABLED": "false"})
    services = open_services(off)
    with served(services) as url:
        monkeypatch.setenv("HEDGEROW_API", url)
        assert explain.main(["sales/orders"]) == 0
        assert "Nothing is launched by itself here" in capsys.readouterr().out
    services.engine.dispose()
    monkeypatch.setenv("HEDGEROW_API", desk.url)
    assert explain.main(["sales/orders"]) == 0
    assert "Nothing is launched" not in capsys.readouterr().out
