"""The embedded PostgreSQL: makes its data directory and says how to start it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg

from hedgerow import clock
from hedgerow.errors import PlatformError
from hedgerow_scheduler.embedded import accounts, binaries, keeper, ports
from hedgerow_scheduler.embedded.accounts import Account
from hedgerow_scheduler.embedded.children import Child, Launch, end_leftover, kept

USER = "hedgerow"
DATABASE = "hedgerow"
STOP = "SIGINT:10,SIGQUIT:5"  # fast shutdown; then immediate, which recovers at the next start
LEFTOVER = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0))

SETTINGS = {
    "listen_addresses": ports.LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "wal_level": "minimal",  # no replicas of an embedded server
    "max_wal_senders": "0",
    "io_method": "sync",  # three processes fewer
    "jit": "off",  # the queries are short
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "password_encryption": "scram-sha-256",
}
DURABLE = {"fsync": "on", "synchronous_commit": "on"}
DISPOSABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB"}


def prepare(home: Path, *, durable: bool = True, log: Path | None = None) -> tuple[Launch, str]:
    """The launch of the PostgreSQL whose data is under `home`, made if it is new, and the URL of its database.

    `durable=False` trades crash safety for speed: for tests. Raises PlatformError HR-P201 to HR-P203.
    """
    unprivileged = accounts.unprivileged()
    data = accounts.data_directory(home, unprivileged)
    account = accounts.owner(data, unprivileged)
    installation = accounts.reachable_installation(binaries.postgres_installation(), data, account)
    password = _password(home / "postgres.password")
    if not (data / "PG_VERSION").exists():
        _initialise(data, installation, account, password, durable=durable)
    port = ports.choose(home, "postgres")
    settings = {**SETTINGS, **(DURABLE if durable else DISPOSABLE), "port": str(port)}
    server = [str(installation / "bin" / "postgres"), "-D", str(data)]
    for name, value in settings.items():
        server += ["-c", f"{name}={value}"]
    record = home / "postgres.pid.json"
    url = f"postgresql://{USER}:{password}@{ports.LOOPBACK}:{port}/{DATABASE}"

    def clean() -> None:
        end_leftover(record, LEFTOVER)
        _remove_stale_lock(data)

    def ready(_child: Child) -> bool:
        return _prepare_database(url)

    launch = Launch(
        name="postgres",
        command=kept(server, record=record, stop=STOP, account=account),
        log=log or home / "logs" / "postgres.log",
        environ={"LC_ALL": "C", "PATH": os.defpath},
        ready=ready,
        where=f"{ports.LOOPBACK}:{port}",
        before=clean,
    )
    return launch, url


def _password(file: Path) -> str:
    """The password in `file`, made up and written (mode 0600) if there is none."""
    if not file.exists():
        fresh = file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(24))
        fresh.replace(file)
    return file.read_text()


def _initialise(data: Path, installation: Path, account: Account | None, password: str, *, durable: bool) -> None:
    """Runs initdb. A directory half made by an initdb that was killed is emptied first: PG_VERSION is not there, so nothing is lost."""
    for entry in data.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    command = [str(installation / "bin" / "initdb"), "-D", str(data), "-U", USER, "--auth=scram-sha-256"]
    hand_over = data.parent / f"initdb.{clock.nonce()}"
    command += [
        "--encoding=UTF8",
        "--locale=C",
        "--no-instructions",
        f"--pwfile={hand_over}",
        *([] if durable else ["--no-sync"]),
    ]
    hand_over.touch(mode=0o600)
    try:
        if account:
            os.chown(hand_over, account.uid, account.gid)
        hand_over.write_text(password)
        outcome = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env={"LC_ALL": "C", "PATH": os.defpath},
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[account.gid] if account else None,
        )
    finally:
        hand_over.unlink()
    if outcome.returncode != 0:
        raise PlatformError.of(
            "HR-P203",
            f"PostgreSQL's data directory {data} could not be made: {(outcome.stderr or outcome.stdout).strip()[-600:]}",
            "Free what is in the way (disk space, shared memory), or give the URL of your own server in HEDGEROW_DATABASE.",
        )


def _remove_stale_lock(data: Path) -> None:
    """Removes a postmaster.pid whose number belongs to a process that isn't a PostgreSQL of this directory.

    PostgreSQL itself refuses to start while *any* process of its account has that number: after a restart of a
    container the numbers repeat, and everything would stand still.
    """
    file = data / "postmaster.pid"
    try:
        pid = int(file.read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return
    if keeper.identity(pid) is None or not _is_postgres(pid):
        file.unlink(missing_ok=True)


def _is_postgres(pid: int) -> bool:
    """Whether process `pid` runs a program named postgres."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/comm").read_text().startswith("postgres")
        except OSError:
            return False
    shown = subprocess.run(["ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return Path(shown.strip()).name.startswith("postgres")


def _prepare_database(url: str) -> bool:
    """Whether the server answers; makes the database if it isn't there yet."""
    try:
        with psycopg.connect(url.rpartition("/")[0] + "/postgres", connect_timeout=2, autocommit=True) as connection:
            if not connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone():
                connection.execute(f'create database "{DATABASE}"')
    except psycopg.OperationalError:
        return False
    return True
