"""Asks whether the platform's parts serve."""

from __future__ import annotations

import re
from collections.abc import Collection

import httpx
from sqlalchemy.exc import SQLAlchemyError

from hedgerow_scheduler.embedded.children import Child, Unfit
from hedgerow_scheduler.metadata import teams
from hedgerow_scheduler.metadata.database import open_engine
from hedgerow_scheduler.metadata.read_health import Leader, get_leader
from hedgerow_scheduler.metadata.read_teams import list_locations, list_workers

WORKER_READY = re.compile(r"\bready: \d+ slots")
HEARD_S = 30.0


class Metadata:
    """What the supervisor asks of, and writes to, the metadata database."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url, pool_size=1, name="hedgerow-dev")
        self._epoch = 0

    def close(self) -> None:
        """Closes its connections."""
        self._engine.dispose()

    def register(self, names: Collection[str]) -> None:
        """Makes the scheduler hear these teams. Nothing happens to those that it hears already."""
        with self._engine.begin() as connection:
            teams.register(connection, names)

    def before_scheduler(self) -> None:
        """To be called before a scheduler starts: notes which leadership is an older one's."""
        leader = self._leader()
        self._epoch = leader.epoch if leader else 0

    def scheduler_leads(self, _child: Child) -> bool:
        """Whether the scheduler just started leads: one that was killed a moment ago looks alive for some seconds more."""
        leader = self._leader()
        return leader is not None and leader.epoch > self._epoch and leader.holder != ""

    def hears(self, pids: Collection[int]) -> bool:
        """Whether the scheduler knows the workers with these process numbers and their manifests: their assets can be asked for."""
        try:
            with self._engine.connect() as connection:
                places = {(place.team, place.location): place for place in list_locations(connection)}
                workers = list_workers(connection, HEARD_S)
        except SQLAlchemyError:
            return False  # the database is being restarted
        heard = set()
        for worker in workers:
            place = places.get((worker.team, worker.location))
            if place is not None and (place.manifest_hash == worker.manifest_hash or place.problems):
                heard.add(worker.pid)
        return heard.issuperset(pids)

    def worker_serves(self, child: Child) -> bool:
        """Whether the worker takes steps, and the platform its code. Raises Unfit when its manifest was refused: then the
        worker before it, if there is one, must stay, for only it can run what is in force.
        """
        if WORKER_READY.search(child.output()) is None:
            return False
        with self._engine.connect() as connection:
            places = {(place.team, place.location): place for place in list_locations(connection)}
            workers = list_workers(connection, HEARD_S)
        for worker in workers:
            place = places.get((worker.team, worker.location))
            if worker.pid == child.pid and place is not None:
                if place.problems and place.failed_at is not None and place.failed_at >= worker.first_seen_at:
                    raise Unfit("\n".join(str(problem) for problem in place.problems))
                newer = place.published_at is not None and place.published_at >= worker.first_seen_at
                return place.manifest_hash == worker.manifest_hash or newer
        return False

    def _leader(self) -> Leader | None:
        with self._engine.connect() as connection:
            return get_leader(connection)


def api_serves(url: str, child: Child) -> bool:
    """Whether the API at `url` answers, and is this child: where another platform was quicker to take the port, its API answers."""
    if f"serving {url}/" not in child.output():
        return False
    try:
        return httpx.get(f"{url}/healthz", timeout=1).is_success
    except httpx.HTTPError:
        return False
