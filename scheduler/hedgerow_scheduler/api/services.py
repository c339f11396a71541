"""What the routes need: the database, the catalog in force, logs, and the settings of this deployment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from sqlalchemy import Connection, Engine, select

from hedgerow.errors import RequestError
from hedgerow_scheduler.api.logs import Logs
from hedgerow_scheduler.metadata.catalogs import read_catalog
from hedgerow_scheduler.metadata.key_sets import read_keys
from hedgerow_scheduler.metadata.limits import read_overrides
from hedgerow_scheduler.metadata.read_runs import match_run
from hedgerow_scheduler.metadata.tables import locations
from hedgerow_scheduler.partitions.key_sets import KeySets
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.rules import PlatformLimits, Rules


class Limits(msgspec.Struct, frozen=True):
    """What one request may ask for, and when a worker counts as gone."""

    body_bytes: int = 1024 * 1024
    page: int = 1000
    graph_nodes: int = 5000
    streams: int = 100
    log_bytes: int = 1024 * 1024
    worker_silence_s: float = 20.0


class Services:
    """One per process. It keeps nothing that can't be read again: the catalog is cached under the hashes of its manifests."""

    def __init__(
        self,
        engine: Engine,
        logs: Logs,
        limits: Limits,
        at_head: Callable[[Connection], bool],
        platform: PlatformLimits | None = None,
        *,
        automatic: bool = True,
    ) -> None:
        self.engine = engine
        self.platform = platform or PlatformLimits()
        self.automatic = automatic
        """Whether anything is launched, or told, by itself here."""
        self.logs = logs
        self.limits = limits
        self.at_head = at_head
        self._lock = threading.Lock()
        self._catalog: tuple[object, Catalog] | None = None
        self.key_sets = KeySets()
        """What dynamic partitions of the catalog are bound to: kept up to date with every look at the catalog."""
        self._rules: Rules | None = None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection whose statements all see the same state of the database and change nothing."""
        with self.engine.connect() as connection:
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection in a transaction that is committed at the end of the block."""
        with self.engine.begin() as connection:
            yield connection

    def catalog(self, connection: Connection) -> Catalog:
        """The catalog in force; decoded again only when a location's manifest has changed."""
        in_force = select(locations.c.team, locations.c.location, locations.c.manifest_hash)
        key = tuple(
            sorted(tuple(row) for row in connection.execute(in_force.where(locations.c.manifest_hash.is_not(None))))
        )
        with self._lock:
            self.key_sets.take(read_keys(connection, self.key_sets.seq))
            if self._catalog is None or self._catalog[0] != key:
                self._catalog = (key, read_catalog(connection, self.key_sets))
            return self._catalog[1]

    def rules(self, connection: Connection) -> Rules:
        """What limits are set to now, as the scheduler has it; made anew only when manifests or overrides have changed."""
        catalog, overrides = self.catalog(connection), read_overrides(connection)
        with self._lock:
            if self._rules is None or self._rules.catalog is not catalog or self._rules.overrides != overrides:
                self._rules = Rules(catalog, self.platform, overrides)
            return self._rules


def full_run_id(connection: Connection, prefix: str) -> str:
    """The id of the only run that begins with `prefix`; RequestError HR-Q304 when there is none, HR-Q305 when there are several."""
    found = match_run(connection, prefix)
    if not found:
        raise RequestError.of(
            "HR-Q304", f"There is no run '{prefix}'.", "See `hedgerow run list` for the runs there are."
        )
    if len(found) > 1:
        raise RequestError.of(
            "HR-Q305",
            f"Several runs begin with '{prefix}', among them {', '.join(found)}.",
            "Give more digits of the id.",
        )
    return found[0]
