"""`hedgerow worker list` and `drain` against a real API over a real PostgreSQL: what they print, write, and how they exit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select
from support import seeding
from support.shell import Shell, shell_over

from hedgerow_scheduler.metadata import tables

pytestmark = pytest.mark.servers
FIRST = "019f0000-0000-7000-8000-000000000001"
SECOND = "019f0000-0000-7000-8000-000000000002"
OTHER = "019f1111-0000-7000-8000-000000000001"


@pytest.fixture
def shell(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    with shell_over(database_url, tmp_path, monkeypatch, capsys) as shell:
        with shell.engine.begin() as connection:
            seeding.lead(connection)
            for team in ("sales", "finance"):
                seeding.publish(connection, team, [seeding.asset(f"{team}/orders")])
            for worker_id in (FIRST, SECOND):
                seeding.worker(connection, "sales", id=worker_id, queues=["default", "heavy"], busy=1)
            seeding.worker(connection, "finance", id=OTHER)
        yield shell


def commands(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(select(tables.commands).order_by(tables.commands.c.id)))


def test_workers_of_all_teams_are_listed_under_as_much_of_their_ids_as_tells_them_apart(shell: Shell) -> None:
    listed = shell("worker", "list").out
    assert [word in listed for word in ("finance", "default, heavy", FIRST, SECOND, OTHER)] == [True] * 5
    alone = shell("worker", "list", "--team", "finance").out
    assert OTHER[:13] in alone
    assert OTHER[:14] not in alone
    assert [each["id"] for each in shell.data("worker", "list")["items"]] == [OTHER, FIRST, SECOND]
    assert shell("worker", "list", "--team", "finanze").status == 2


def test_a_worker_is_drained_by_the_beginning_of_its_id_whichever_team_has_it(shell: Shell) -> None:
    done = shell("worker", "drain", OTHER[:6], "--reason", "new disk", "--author", "ann")
    assert (done.status, done.out) == (0, f"Worker {OTHER} of team finance is told to leave; it runs 0 steps.\n")
    (command,) = commands(shell.engine)
    assert (command.kind, command.author, command.applied_at) == ("drain_worker", "ann", None)
    assert command.body == {"team": "finance", "worker": OTHER, "reason": "new disk"}


def test_what_names_no_worker_or_several_drains_none(shell: Shell) -> None:
    unknown = shell("worker", "drain", "019f2")
    assert unknown.status == 2
    assert "HR-Q325  There is no live worker '019f2'." in unknown.err
    assert OTHER in unknown.err
    several = shell("worker", "drain", "019f0")
    assert "HR-Q326" in several.err
    assert SECOND in several.err
    assert "Did you mean" in shell("worker", "drain", f"{FIRST[:-1]}7").err
    assert shell("worker", "drain", OTHER, "--team", "sales").status == 2
    assert shell("worker", "drain", OTHER, "--reason", "x" * 300).status == 2
    assert commands(shell.engine) == []


def test_waiting_ends_when_the_worker_is_gone(shell: Shell) -> None:
    with shell.engine.begin() as connection:
        # Three quarters of the time are over after which a silent worker counts as gone.
        late = seeding.AT - seeding.text("interval '18 s'")
        connection.execute(tables.workers.update().where(tables.workers.c.id == OTHER).values(last_seen_at=late))
    assert shell("worker", "drain", OTHER, "--wait").out == f"Worker {OTHER} of team finance has left.\n"
