"""Keeps the platform at work: launches the next run whenever few live, and repeats a launch until it is acknowledged."""

from __future__ import annotations

import threading
from random import Random

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from chaos import workload
from hedgerow_scheduler.metadata.database import open_engine
from hedgerow_scheduler.metadata.runs import request_run
from hedgerow_scheduler.planning.request import RunRequest

LOOK_S = 0.2
YOUNG_S = 15  # runs that last longer wait for a lost worker's lease, and make room for others meanwhile
MOST = 60


class Feeder:
    """Launches in a thread of its own, past all proxies. `launched` are the runs that were acknowledged, with what they are to make."""

    def __init__(self, url: str, random: Random, live: int) -> None:
        self.launched: dict[str, frozenset[str]] = {}
        self._engine = open_engine(url, pool_size=1, name="chaos-feeder")
        self._random, self._live = random, live
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Launches no more."""
        self._stopping.set()
        self._thread.join(30)

    def close(self) -> None:
        """Gives its connection back."""
        self._engine.dispose()

    def live(self) -> int:
        """How many runs have not ended."""
        with self._engine.connect() as connection:
            count = connection.exec_driver_sql("SELECT count(*) FROM runs WHERE state IN ('requested', 'running')")
            return int(count.scalar_one())

    def _has_room(self) -> bool:
        with self._engine.connect() as connection:
            young = f"count(*) FILTER (WHERE created_at > now() - interval '{YOUNG_S} s')"
            statement = f"SELECT count(*), {young} FROM runs WHERE state IN ('requested', 'running')"
            live, lately = connection.exec_driver_sql(statement).one()
        return bool(lately < self._live and live < MOST)

    def _run(self) -> None:
        number = 0
        drawn = workload.draw(number, self._random)
        while not self._stopping.wait(LOOK_S):
            try:
                while self._has_room() and not self._stopping.is_set():
                    selection, lane, assets = drawn
                    with self._engine.begin() as connection:
                        request = RunRequest(selection, partitions=(lane,))
                        run, _ = request_run(connection, request, {}, "chaos", f"chaos-{number}")
                    self.launched[run] = assets
                    number += 1
                    drawn = workload.draw(number, self._random)
            except (SQLAlchemyError, psycopg.Error):
                continue  # the server is away: the same key makes the next try the same run
