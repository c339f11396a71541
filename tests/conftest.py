"""Servers for the tests: one PostgreSQL and one Valkey per session, started when first asked for, gone when pytest is."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PREFIX = "hedgerow-tests-"


@pytest.fixture(scope="session")
def servers_home() -> Iterator[Path]:
    """The directory for the servers' data; what a killed test session left is swept away first."""
    base = Path(tempfile.gettempdir())
    for old in base.glob(f"{PREFIX}*"):
        number = old.name.removeprefix(PREFIX)
        if number.isdecimal() and not _exists(int(number)):
            shutil.rmtree(old, ignore_errors=True)
    home = base / f"{PREFIX}{os.getpid()}"
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(servers_home: Path) -> Iterator[str]:
    """The URL of the session's PostgreSQL; its user may create databases."""
    from hedgerow_scheduler.embedded.servers import running_postgres

    with running_postgres(servers_home, durable=False) as url:
        yield url


@pytest.fixture(scope="session")
def database_names() -> Iterator[str]:
    """Names that no database of this session has had."""
    return (f"test_{number}" for number in itertools.count(1))


@pytest.fixture
def postgres_url(postgres_server: str, database_names: Iterator[str]) -> Iterator[str]:
    """The URL of a new empty database for one test."""
    yield from _database(postgres_server, next(database_names), "template1")


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> str:
    """The name of a database with the newest schema, to which no one is connected: a template for others."""
    import psycopg

    from hedgerow_scheduler.metadata import migrate

    name = "migrated"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    migrate.upgrade(_on_server(postgres_server, name))
    return name


@pytest.fixture
def database_url(postgres_server: str, migrated_template: str, database_names: Iterator[str]) -> Iterator[str]:
    """The URL of a new database for one test, with the newest schema and no rows."""
    yield from _database(postgres_server, next(database_names), migrated_template)


@pytest.fixture(scope="session")
def valkey_server(servers_home: Path) -> Iterator[str]:
    """The URL of the session's Valkey, which may hold what earlier tests wrote."""
    from hedgerow_scheduler.embedded.servers import running_valkey

    with running_valkey(servers_home, durable=False) as url:
        yield url


@pytest.fixture
def broker_url(valkey_server: str) -> str:
    """The URL of an empty Valkey."""
    import redis

    with redis.Redis.from_url(valkey_server) as client:
        client.flushall()
    return valkey_server


def _on_server(url: str, database: str) -> str:
    return f"{url.rpartition('/')[0]}/{database}"


def _database(server: str, name: str, template: str) -> Iterator[str]:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}")
    yield _on_server(server, name)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
