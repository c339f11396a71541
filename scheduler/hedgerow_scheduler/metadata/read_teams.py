"""Teams, their code locations, workers and queues, as people look at them."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, Double, func, select

from hedgerow.errors import Problem
from hedgerow_scheduler.metadata.read_rows import all_rows
from hedgerow_scheduler.metadata.tables import locations, manifests, steps, teams, workers


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """A code location: the hash of the manifest in force (None: none yet) and what was wrong with the last one that was not accepted."""

    team: str
    location: str
    manifest_hash: str | None
    manifest_bytes: int | None
    published_at: datetime | None
    problems: tuple[Problem, ...] | None
    failed_at: datetime | None


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker incarnation, as it last described itself, `silent_s` ago. Without an `accepted` manifest it gets no orders."""

    id: str
    team: str
    location: str
    manifest_hash: str
    queues: tuple[str, ...]
    slots: int
    busy: int
    state: str
    host: str
    pid: int
    first_seen_at: datetime
    last_seen_at: datetime
    silent_s: float
    accepted: bool


class QueueSteps(msgspec.Struct, frozen=True):
    """How many live steps of a queue stand in one state."""

    team: str
    queue: str
    state: str
    steps: int


def list_teams(connection: Connection) -> dict[str, datetime]:
    """Every registered team with the time of its registration, by name."""
    found = connection.execute(select(teams.c.name, teams.c.created_at).order_by(teams.c.name))
    return {row.name: row.created_at for row in found}


def list_locations(connection: Connection, team: str | None = None) -> tuple[Location, ...]:
    """The code locations of a team or of all, by team and name."""
    found = (
        select(locations, manifests.c.size_bytes.label("manifest_bytes"))
        .outerjoin(manifests, manifests.c.hash == locations.c.manifest_hash)
        .order_by(locations.c.team, locations.c.location)
    )
    return all_rows(connection, found if team is None else found.where(locations.c.team == team), Location)


def list_workers(connection: Connection, within_s: float, team: str | None = None) -> tuple[Worker, ...]:
    """The workers heard of within the last `within_s` seconds of PostgreSQL's clock, by team and id; stopped ones left out."""
    silent = func.extract("epoch", func.now() - workers.c.last_seen_at)
    found = (
        select(workers, silent.cast(Double()).label("silent_s"), manifests.c.accepted_at.is_not(None).label("accepted"))
        .outerjoin(manifests, manifests.c.hash == workers.c.manifest_hash)
        .where(silent < within_s, workers.c.state != "stopped")
        .order_by(workers.c.team, workers.c.id)
    )
    return all_rows(connection, found if team is None else found.where(workers.c.team == team), Worker)


def count_queue_steps(connection: Connection, team: str | None = None) -> tuple[QueueSteps, ...]:
    """The live steps of every queue that has some, counted by state."""
    found = (
        select(steps.c.team, steps.c.queue, steps.c.state, func.count().label("steps"))
        .where(steps.c.ended_at.is_(None))  # as ix_steps_live says it
        .group_by(steps.c.team, steps.c.queue, steps.c.state)
        .order_by(steps.c.team, steps.c.queue, steps.c.state)
    )
    return all_rows(connection, found if team is None else found.where(steps.c.team == team), QueueSteps)
