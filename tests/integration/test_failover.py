"""Scheduler processes that are killed or stopped: another leads, and whoever wakes up writes nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, text
from support.processes import eventually, python, running

from hedgerow_scheduler.metadata import teams
from hedgerow_scheduler.metadata.database import open_engine

pytestmark = pytest.mark.servers


class Schedulers:
    """Real processes over one database. The leader's pid is the end of its name in the leader row."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def row(self) -> tuple[int, str]:
        """The epoch, and who leads in it."""
        with self.engine.begin() as connection:
            epoch, holder = connection.execute(text("SELECT epoch, holder FROM leader")).one()
        return epoch, holder

    def leader(self, other_than: int = 0) -> int:
        """The pid of the leader, as soon as it is another."""

        def look() -> int:
            holder = self.row()[1]
            pid = int(holder.rpartition(":")[2]) if holder else 0
            return pid if pid != other_than else 0

        return eventually(look, what="a scheduler leads")

    def renewed(self) -> object:
        """When the lead was renewed last."""
        with self.engine.begin() as connection:
            return connection.execute(text("SELECT renewed_at FROM leader")).scalar_one()


@pytest.fixture
def schedulers(database_url: str, broker_url: str, tmp_path: Path) -> Iterator[Schedulers]:
    engine = open_engine(database_url)
    with engine.begin() as connection:
        teams.register(connection, ["sales"])
    environ = {
        **os.environ,
        "HEDGEROW_NAME": "test",
        "HEDGEROW_DATABASE": database_url,
        "HEDGEROW_BROKER": broker_url,
        "HEDGEROW_STORAGE": str(tmp_path),
    }
    with ExitStack() as stack:
        for name in ("one", "two"):
            command = python("-m", "hedgerow.console", "scheduler")
            stack.enter_context(running(command, log=tmp_path / f"{name}.log", environ=environ, cwd=tmp_path))
        yield Schedulers(engine)
    engine.dispose()


def test_a_killed_leader_is_followed_by_the_other(schedulers: Schedulers) -> None:
    first = schedulers.leader()
    epoch, _ = schedulers.row()
    os.kill(first, signal.SIGKILL)
    assert psutil.pid_exists(schedulers.leader(other_than=first))
    assert schedulers.row()[0] == epoch + 1


def test_a_leader_that_was_stopped_for_a_while_stands_by_when_it_wakes(schedulers: Schedulers) -> None:
    first = schedulers.leader()
    epoch, _ = schedulers.row()
    os.kill(first, signal.SIGSTOP)
    second = schedulers.leader(other_than=first)
    os.kill(first, signal.SIGCONT)
    for _ in range(5):
        before = schedulers.renewed()
        eventually(lambda before=before: schedulers.renewed() != before, what="the second goes on leading")
    assert schedulers.leader() == second
    assert schedulers.row()[0] == epoch + 1
    os.kill(second, signal.SIGTERM)
    assert schedulers.leader(other_than=second) == first
