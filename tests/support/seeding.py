"""A deployment's rows as the scheduler would have written them, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select, text, update

from hedgerow.clock import uuid7
from hedgerow.manifest import model
from hedgerow_scheduler.lifecycle.states import ENDED
from hedgerow_scheduler.metadata import tables

AT = func.clock_timestamp()


def asset(key: str, deps: Sequence[str] = (), **more: Any) -> tuple[model.Asset, model.Computation]:
    """An asset and the computation that makes it."""
    partitions = more.get("partitions")
    queue = more.pop("queue", "default")
    edges = tuple(model.Dependency(dep, parameter=dep.replace("/", "_")) for dep in deps)
    return model.Asset(key, computation=key, **more), model.Computation(
        key, (key,), edges, partitions=partitions, queue=queue
    )


def publish(
    connection: Connection,
    team: str,
    made: Sequence[tuple[model.Asset, model.Computation]],
    *,
    external: Sequence[model.Asset] = (),
    checks: Sequence[model.Check] = (),
    queues: Sequence[model.Queue] = (),
    schedules: Sequence[model.Schedule] = (),
    sensors: Sequence[model.Sensor] = (),
) -> str:
    """Puts a manifest of `team` into force; its hash."""
    manifest = model.Manifest(
        team,
        team,
        tuple(sorted([*(one for one, _ in made), *external], key=lambda one: one.key)),
        tuple(sorted((one for _, one in made), key=lambda one: one.name)),
        tuple(checks),
        queues=tuple(queues),
        schedules=tuple(schedules),
        sensors=tuple(sensors),
        environment=model.Environment("3.12.1", {"pandas": "2.2.0"}, "abc123"),
    )
    body = model.encode(manifest)
    digest = model.manifest_hash(body)
    add(connection, tables.teams, name=team)
    add(
        connection,
        tables.manifests,
        hash=digest,
        team=team,
        location=team,
        body=body,
        size_bytes=len(body),
        accepted_at=AT,
    )
    add(connection, tables.locations, team=team, location=team, manifest_hash=digest, published_at=AT)
    return digest


def add(connection: Connection, table: Table, **values: Any) -> None:
    """One row."""
    connection.execute(insert(table).values(**values))


def lead(connection: Connection, stale_s: float = 0) -> None:
    """A leader that renewed `stale_s` seconds ago."""
    connection.execute(text("delete from leader"))
    renewed = func.clock_timestamp() - text(f"interval '{stale_s} s'")
    add(connection, tables.leader, id=1, epoch=1, holder="scheduler-1", renewed_at=renewed)


def run(connection: Connection, state: str = "running", **more: Any) -> str:
    """A run; its id."""
    run_id = more.pop("id", None) or uuid7()
    values = {"request": {"selection": ["*"]}, "started_at": AT, **more}
    add(connection, tables.runs, id=run_id, state=state, **values)
    return run_id


def step(connection: Connection, run_id: str, number: int, key: str, state: str, **more: Any) -> None:
    """A step of a run that makes the asset `key` of the team its key begins with."""
    team = more.pop("team", key.partition("/")[0])
    values = {"location": team, "queue": "default", "computation": key, "assets": [key], **more}
    if state in ENDED:
        values.setdefault("ended_at", AT)
    add(connection, tables.steps, run_id=run_id, number=number, team=team, state=state, **values)


def attempt(connection: Connection, run_id: str, number: int, state: str, **more: Any) -> str:
    """An attempt of a step; its id."""
    attempt_id = uuid7()
    values = {
        "team": "sales",
        "location": "sales",
        "queue": "default",
        "manifest_hash": "0" * 64,
        "number": 1,
        "dispatch_seq": 1,
    }
    values |= {"dispatched_at": AT} | more
    add(connection, tables.attempts, id=attempt_id, run_id=run_id, step_number=number, state=state, **values)
    of_step = (tables.steps.c.run_id == run_id, tables.steps.c.number == number)
    connection.execute(update(tables.steps).where(*of_step).values(attempt_id=attempt_id))
    return attempt_id


def output(
    connection: Connection, attempt_id: str, run_id: str, number: int, key: str, state: str, **more: Any
) -> None:
    """A materialization, and the pointer to it when it is current."""
    values = {"partition": "", "dispatch_seq": 1, **more}
    add(
        connection,
        tables.materializations,
        attempt_id=attempt_id,
        asset=key,
        run_id=run_id,
        step_number=number,
        state=state,
        **values,
    )
    if state == "current":
        add(
            connection,
            tables.current_materializations,
            asset=key,
            partition=values["partition"],
            attempt_id=attempt_id,
            dispatch_seq=values["dispatch_seq"],
        )


def worker(connection: Connection, team: str, **more: Any) -> None:
    """A live worker of a team with the code that is in force."""
    found = select(tables.locations.c.manifest_hash).where(tables.locations.c.team == team).limit(1)
    code = connection.execute(found).scalar_one_or_none() or "0" * 64
    values = {"id": uuid7(), "location": team, "manifest_hash": code, "queues": ["default"], "slots": 2, "busy": 0}
    values |= {"state": "ready", "first_seen_at": AT, "last_seen_at": AT} | more
    add(connection, tables.workers, team=team, **values)
