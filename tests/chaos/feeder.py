"""Keeps the platform at work: launches the next run whenever few live, and repeats a launch until it is acknowledged."""

from __future__ import annotations

import threading
import time
from random import Random

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from chaos import workload
from chaos.launching import Launcher
from hedgerow_scheduler.metadata.database import open_engine

LOOK_S = 0.2
YOUNG_S = 15  # runs that last longer wait for a lost worker's lease, and make room for others meanwhile
MOST = 60
CLEAR_S = 60.0  # so long it is asked at the end what became of a launch that no one has answered


class Feeder:
    """Launches in a thread of its own. `launched` are the runs that were acknowledged, with what they are to make."""

    def __init__(self, launcher: Launcher, url: str, random: Random, live: int) -> None:
        self.launched: dict[str, frozenset[str]] = {}
        self._launcher = launcher
        self._engine = open_engine(url, pool_size=1, name="chaos-feeder")
        self._random, self._live = random, live
        self._number = 0
        self._drawn = workload.draw(0, random)
        self._is_unclear = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Launches no more."""
        self._stopping.set()
        self._thread.join(2 * CLEAR_S)

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
        while not self._stopping.wait(LOOK_S):
            try:
                while self._has_room() and not self._stopping.is_set():
                    if not self._launch():
                        break
            except (SQLAlchemyError, psycopg.Error):
                continue  # the server is away
        until = time.monotonic() + CLEAR_S
        while self._is_unclear and time.monotonic() < until:
            self._launch()

    def _launch(self) -> bool:
        """Launches the next run; until that is acknowledged, the same key makes the next try the same run."""
        selection, lane, assets = self._drawn
        body = {"selection": selection, "partitions": (lane,), "author": "chaos"}
        run = self._launcher.launch(f"chaos-{self._number}", body)
        self._is_unclear = run is None
        if run is None:
            return False
        self.launched[run] = assets
        self._number += 1
        self._drawn = workload.draw(self._number, self._random)
        return True
