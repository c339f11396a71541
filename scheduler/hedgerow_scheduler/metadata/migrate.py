"""Bringing the database to the newest schema with Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, pool

from hedgerow_scheduler.metadata.database import sqlalchemy_url


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["url"] = sqlalchemy_url(url)
    return config


def upgrade(url: str) -> str:
    """Applies what is missing, in one transaction under a lock so that two callers do no harm; returns the revision reached."""
    command.upgrade(_config(url), "head")
    return head(url)


def head(url: str) -> str:
    """The newest revision that this program knows."""
    return ScriptDirectory.from_config(_config(url)).get_current_head() or ""


def current(url: str) -> str | None:
    """The revision the database is at; None when it is empty."""
    engine = create_engine(sqlalchemy_url(url), poolclass=pool.NullPool)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
