"""What Alembic runs around the migrations: one transaction, under an advisory lock."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool, text

from hedgerow_scheduler.metadata.tables_automation import schedules
from hedgerow_scheduler.metadata.tables_backfills import backfills
from hedgerow_scheduler.metadata.tables_freshness import freshness
from hedgerow_scheduler.metadata.tables_partitions import dynamic_partitions

# One of each module that declares some: all have the same metadata.
TABLES = (schedules, backfills, dynamic_partitions, freshness)
MIGRATION_LOCK = 0x68656467  # "hedg"


def run() -> None:
    """Applies the migrations to the URL that the configuration carries."""
    engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=TABLES[0].metadata, transaction_per_migration=False)
        with context.begin_transaction():
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            context.run_migrations()
    engine.dispose()


run()
