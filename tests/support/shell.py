"""A terminal over a real API over a real PostgreSQL: commands run in the test's process, as the console runs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Engine, text

from hedgerow.console import main
from hedgerow.settings.platform import read_platform
from hedgerow_scheduler.api.main import open_services
from support.served import served


class Done(NamedTuple):
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


class Shell:
    """Runs commands; `url` is the API's, `engine` the database's."""

    def __init__(self, url: str, engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
        self.url, self.engine, self._capsys = url, engine, capsys

    def __call__(self, command: str, *arguments: str) -> Done:
        status = main([command, *arguments])
        return Done(status, *self._capsys.readouterr())

    def data(self, command: str, *arguments: str) -> Any:
        """The JSON of a command that succeeds."""
        done = self(command, *arguments, "--json")
        assert done.status == 0, done
        return done.data

    def rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """What the database answers."""
        with self.engine.begin() as connection:
            found = connection.execute(text(statement), parameters)
            return [tuple(row) for row in found] if found.returns_rows else []


@contextmanager
def shell_over(
    database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """A shell in the directory `home`, whose environment names a served API without a broker."""
    environ = {
        "HEDGEROW_DATABASE": database_url,
        "HEDGEROW_STORAGE": str(home / "storage"),
        "HEDGEROW_BROKER": "redis://127.0.0.1:1/0",
    }
    services = open_services(read_platform(None, environ))
    monkeypatch.chdir(home)
    try:
        with served(services) as url:
            for name, value in {**environ, "HEDGEROW_API": url, "COLUMNS": "200"}.items():
                monkeypatch.setenv(name, value)
            yield Shell(url, services.engine, capsys)
    finally:
        services.engine.dispose()
