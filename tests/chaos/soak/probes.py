"""Reads what the processes, the broker, the database and the outboxes hold at this moment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis

from chaos.soak.workload import TEAMS
from chaos.stage import DEPLOYMENT, Part
from hedgerow.protocol import names

MB = 2**20
Value = tuple[str, str, str, float]  # role, process, figure, value

DONE = """
SELECT (SELECT coalesce(sum(steps), 0) FROM runs),
       count(*), count(*) FILTER (WHERE state IN ('waiting', 'ready', 'retry_wait'))
FROM steps WHERE ended_at IS NULL
"""
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'hedgerow-%'"


def parts(running: list[Part], leader: str) -> Iterator[Value]:
    """Of every process of the platform, runners below their workers. `leader` is who leads, `host:pid`."""
    for part in running:
        if not (pid := part.pid):
            continue
        role = part.role
        if role == "scheduler":
            role = "leader" if leader.endswith(f":{pid}") else "standby"
        yield from _process(pid, role, part.name)
        for child in _below(pid):
            yield from _process(child.pid, "runner", f"{part.name}:{child.pid}")


def _below(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _process(pid: int, role: str, name: str) -> list[Value]:
    """Nothing when the process has ended meanwhile."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE:
                return []
            memory = process.memory_full_info()
            return [
                (role, name, "rss_mb", memory.rss / MB),
                (role, name, "pss_mb", memory.pss / MB),
                (role, name, "fds", float(process.num_fds())),
                (role, name, "threads", float(process.num_threads())),
            ]
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def server(pid: int, role: str) -> Iterator[Value]:
    """Of a server and all that it has started."""
    for process in (pid, *(child.pid for child in _below(pid))):
        yield from _process(process, role, str(process))


def broker(client: redis.Redis) -> Iterator[Value]:
    """How much Redis holds: keys, bytes, and the streams of events, with the age of the oldest entry."""
    facts: dict[str, Any] = client.info()
    yield "redis", "", "keys", float(client.dbsize())
    yield "redis", "", "memory_mb", facts["used_memory"] / MB
    yield "redis", "", "clients", float(facts["connected_clients"])
    entries, oldest = 0, 0.0
    for team in TEAMS:
        try:
            about: dict[str, Any] = client.xinfo_stream(names.events_stream(DEPLOYMENT, team))
        except redis.ResponseError:
            continue  # it was emptied, and nothing has come yet
        entries += int(about["length"])
        if about["first-entry"]:
            oldest = max(oldest, time.time() - int(about["first-entry"][0].partition(b"-")[0]) / 1000)
    yield "redis", "", "stream_entries", float(entries)
    yield "redis", "", "stream_age_s", oldest


def kinds_of_keys(client: redis.Redis) -> dict[str, int]:
    """How many keys of each kind Redis holds; it reads all of them."""
    found: dict[str, int] = {}
    for key in client.scan_iter(count=10_000):
        words = key.decode(errors="replace").split(":")
        kind = words[3] if len(words) > 3 else key.decode(errors="replace")
        found[kind] = found.get(kind, 0) + 1
    return found


def outboxes(state: Path) -> Iterator[Value]:
    """How much workers keep on disk of what is not acknowledged."""
    files, size = 0, 0
    for path in (state / "outbox").rglob("*"):
        try:
            if path.is_file():
                files, size = files + 1, size + path.stat().st_size
        except FileNotFoundError:
            continue  # it was emptied meanwhile
    yield "outbox", "", "files", float(files)
    yield "outbox", "", "mb", size / MB


def database(connection: psycopg.Connection[Any]) -> Iterator[Value]:
    """The platform's sessions, and how far its work is."""
    yield "postgres", "", "connections", float(connection.execute(CONNECTIONS).fetchall()[0][0])
    (planned, live, waiting) = connection.execute(DONE).fetchall()[0]
    yield "platform", "", "done", float(planned - live)
    yield "platform", "", "waiting", float(waiting)
