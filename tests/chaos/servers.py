"""The servers of a stage: the embedded ones, or those of the system that REDIS_SERVER (a binary) and POSTGRES_BIN (a directory) name."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import psycopg

from hedgerow_scheduler.embedded import accounts, binaries, ports, postgres, valkey
from hedgerow_scheduler.embedded.children import Child, Launch, end_leftover, kept

DATABASE = "hedgerow"
SETTINGS = {
    "listen_addresses": ports.LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "fsync": "on",
    "synchronous_commit": "on",
}


def prepare(home: Path, environ: Mapping[str, str]) -> dict[str, tuple[Launch, str]]:
    """How to start `postgres` and `valkey`, with their URLs."""
    folder = environ.get("POSTGRES_BIN")
    database = _postgres(home, Path(folder)) if folder else postgres.prepare(home)
    return {"postgres": database, "valkey": prepare_broker(home, environ)}


def prepare_broker(home: Path, environ: Mapping[str, str]) -> tuple[Launch, str]:
    """How to start the broker, with its URL."""
    redis = environ.get("REDIS_SERVER")
    return _redis(home, redis) if redis else valkey.prepare(home)


def _redis(home: Path, binary: str) -> tuple[Launch, str]:
    """A Redis that is set up as the embedded Valkey is."""
    launch, url = valkey.prepare(home)
    ours = str(binaries.valkey_server())
    return replace(launch, command=[binary if word == ours else word for word in launch.command]), url


def _postgres(home: Path, folder: Path) -> tuple[Launch, str]:
    """A PostgreSQL of the system, with a new data directory and no password."""
    unprivileged = accounts.unprivileged()
    data = accounts.data_directory(home, unprivileged)
    account = accounts.owner(data, unprivileged)
    command = [folder / "initdb", "-D", data, "-U", postgres.USER, "--auth=trust", "--encoding=UTF8", "--locale=C"]
    subprocess.run(
        [str(word) for word in command],
        check=True,
        capture_output=True,
        cwd="/",
        env={"LC_ALL": "C", "PATH": os.defpath},
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[account.gid] if account else None,
    )
    port = ports.choose(home, "postgres")
    server = [str(folder / "postgres"), "-D", str(data)]
    for name, value in {**SETTINGS, "port": str(port)}.items():
        server += ["-c", f"{name}={value}"]
    record = home / "postgres.pid.json"
    url = f"postgresql://{postgres.USER}@{ports.LOOPBACK}:{port}"

    def ready(_: Child) -> bool:
        try:
            with psycopg.connect(f"{url}/postgres", connect_timeout=2, autocommit=True) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                    connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.OperationalError:
            return False
        return True

    launch = Launch(
        name="postgres",
        command=kept(server, record=record, stop=postgres.STOP, account=account),
        log=home / "logs" / "postgres.log",
        environ={"LC_ALL": "C", "PATH": os.defpath},
        ready=ready,
        before=lambda: end_leftover(record, postgres.LEFTOVER),
    )
    return launch, f"{url}/{DATABASE}"
