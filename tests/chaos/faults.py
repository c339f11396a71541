"""The ways to harm a platform: each is drawn from the seed, strikes, holds for a while, and is healed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import redis
from support.processes import descendants, eventually

from chaos.proxy import BOTH, DOWN, UP
from chaos.stage import SCHEDULERS, WORKERS, Part, Stage
from chaos.workload import PATIENT

LEASE_S = 20.0
TRIP_S = 0.1  # to the database and back, for a launch that is to be hit in the middle: it takes about eight
BUSY_S = 0.3  # how long a step must have been at work to be worth a kill


@dataclass
class Blow:
    """One fault, drawn and not yet struck. `strike` gives the processes that it befell; `heal` is called `hold_s` later."""

    kind: str
    target: str
    hold_s: float
    strike: Callable[[], list[int]]
    heal: Callable[[], object]


Draw = Callable[[Stage, Random], Blow]


# -- workers and runners -------------------------------------------------------------------------------------------------


def worker_killed(stage: Stage, random: Random) -> Blow:
    """kill -9 of a worker that is at work; it is started again a moment later."""
    return ended("worker_killed", _busy(stage, random), random.uniform(1, 4), signal.SIGKILL, stage)


def worker_drained(stage: Stage, random: Random) -> Blow:
    """SIGTERM of a worker, which is to leave within its grace; then its successor starts."""
    part = _busy(stage, random)

    def strike() -> list[int]:
        part.restarts = False
        pid = part.pid
        os.kill(pid, signal.SIGTERM)
        assert part.child is not None
        if part.child.wait(90) != 0:
            raise AssertionError(f"{part.name} was told to leave and ended with {part.child.poll()}")
        return [pid]

    return Blow("worker_drained", part.name, 0.0, strike, lambda: stage.start_part(part))


def runner_killed(stage: Stage, random: Random) -> Blow:
    """kill -9 of a runner in the middle of a step."""

    def strike() -> list[int]:
        def pick() -> int:
            busy = [each for each in stage.sink.at_work() if each.last - each.began > BUSY_S]
            alive = [each.runner for each in busy if time.time() - each.last < BUSY_S]
            return random.choice(alive) if alive else 0

        pid = eventually(pick, within=30, what="a runner is at work")
        os.kill(pid, signal.SIGKILL)
        return [pid]

    return Blow("runner_killed", "", 0.0, strike, lambda: None)


def worker_frozen(stage: Stage, random: Random) -> Blow:
    """SIGSTOP of a worker for less than its lease; its runners work on."""
    return _frozen("worker_frozen", _busy(stage, random), random.uniform(3, 8), whole=False)


def worker_frozen_long(stage: Stage, random: Random) -> Blow:
    """SIGSTOP of a worker for longer than its lease; its runners work on."""
    return _frozen(
        "worker_frozen_long", _busy(stage, random, patient=True), LEASE_S + random.uniform(4, 9), whole=False
    )


def machine_frozen(stage: Stage, random: Random) -> Blow:
    """SIGSTOP of a worker with its runners for longer than the lease, as when a virtual machine is paused."""
    return _frozen("machine_frozen", _busy(stage, random, patient=True), LEASE_S + random.uniform(4, 9), whole=True)


def worker_isolated(stage: Stage, random: Random) -> Blow:
    """A worker reaches its broker no more for longer than its lease."""
    part = _busy(stage, random, patient=True)

    def strike() -> list[int]:
        part.broker.swallow()
        return [part.pid]

    return Blow("worker_isolated", part.name, LEASE_S + random.uniform(4, 9), strike, part.broker.heal)


# -- schedulers ----------------------------------------------------------------------------------------------------------


def leader_killed(stage: Stage, random: Random) -> Blow:
    """kill -9 of the leader; it comes back as the standby."""
    return ended("leader_killed", stage.leader(), random.uniform(5, 8), signal.SIGKILL, stage)


def leader_frozen(stage: Stage, random: Random) -> Blow:
    """SIGSTOP of the leader for so long that another one leads meanwhile."""
    return _frozen("leader_frozen", stage.leader(), random.uniform(4, 9), whole=False)


# -- the API -------------------------------------------------------------------------------------------------------------


def api_killed(stage: Stage, random: Random) -> Blow:
    """kill -9 of a process of the API in the middle of a launch, which a slow way to the database makes last."""
    part = stage.parts[random.choice(stage.launcher.names)]
    into_s, hold_s = random.uniform(0.0, 8 * TRIP_S), random.uniform(1, 4)

    def strike() -> list[int]:
        part.restarts = False
        pid = part.pid
        assert part.database is not None
        assert part.child is not None
        part.database.slow(TRIP_S, (DOWN,))
        eventually(lambda: part.name in stage.launcher.asked, within=60, every=0.01, what="a run is being launched")
        time.sleep(into_s)
        os.kill(pid, signal.SIGKILL)
        part.child.wait(10)
        part.database.heal()
        return [pid]

    return Blow("api_killed", part.name, hold_s, strike, lambda: stage.start_part(part))


# -- the broker ----------------------------------------------------------------------------------------------------------


def valkey_killed(stage: Stage, random: Random) -> Blow:
    """kill -9 of the broker, which starts again with its file."""
    return _server_killed("valkey", signal.SIGKILL, random.uniform(0.5, 3), stage)


def valkey_flushed(stage: Stage, random: Random) -> Blow:
    """The broker forgets everything."""
    return Blow("valkey_flushed", "valkey", 0.0, lambda: _told(stage, ("FLUSHALL",)), lambda: None)


def valkey_read_only(stage: Stage, random: Random) -> Blow:
    """The broker refuses writes, as one that has lost its replicas."""
    return _set("valkey_read_only", "min-replicas-to-write", "1", "0", random.uniform(3, 10), stage)


def valkey_full(stage: Stage, random: Random) -> Blow:
    """The broker's memory is full."""
    return _set("valkey_full", "maxmemory", "1mb", "0", random.uniform(3, 10), stage)


def valkey_no_connections(stage: Stage, random: Random) -> Blow:
    """The broker's table of clients is full, and all must connect anew."""
    proxies = stage.proxies("valkey")
    held: list[redis.Redis] = []  # the one connection that is left to us

    def strike() -> list[int]:
        held.append(redis.Redis.from_url(stage.urls["valkey"], single_connection_client=True))
        held[0].config_set("maxclients", 4)
        for proxy in proxies:
            proxy.cut()
        return []

    def heal() -> None:
        held[0].config_set("maxclients", 10_000)
        held[0].close()

    return Blow("valkey_no_connections", "valkey", random.uniform(3, 8), strike, heal)


def valkey_cut(stage: Stage, random: Random) -> Blow:
    """Every connection to the broker is reset, several times."""
    return _cut("valkey_cut", "valkey", stage, random)


def valkey_slow(stage: Stage, random: Random) -> Blow:
    """The broker answers late."""
    return _slow("valkey_slow", "valkey", 0.3, stage, random)


def valkey_hole(stage: Stage, random: Random) -> Blow:
    """Nothing passes between the broker and all, its schedulers, or one worker, in both or in one direction."""
    who = random.choice(((), SCHEDULERS, (random.choice(list(WORKERS)),)))
    return _hole("valkey_hole", "valkey", who, stage, random)


# -- the database --------------------------------------------------------------------------------------------------------


def postgres_killed(stage: Stage, random: Random) -> Blow:
    """kill -9 of the postmaster."""
    return _server_killed("postgres", signal.SIGKILL, random.uniform(0.5, 3), stage)


def postgres_restarted(stage: Stage, random: Random) -> Blow:
    """An immediate shutdown of PostgreSQL."""
    blow = _server_killed("postgres", signal.SIGQUIT, random.uniform(0.5, 3), stage)
    blow.kind = "postgres_restarted"
    return blow


def postgres_cut(stage: Stage, random: Random) -> Blow:
    """Every connection to PostgreSQL is reset, several times."""
    return _cut("postgres_cut", "postgres", stage, random)


def postgres_slow(stage: Stage, random: Random) -> Blow:
    """PostgreSQL answers 200 ms late."""
    return _slow("postgres_slow", "postgres", 0.2, stage, random)


def postgres_hole(stage: Stage, random: Random) -> Blow:
    """Nothing passes between PostgreSQL and its clients."""
    who = random.choice(((), (stage.leader().name,)))
    return _hole("postgres_hole", "postgres", who, stage, random)


KINDS: dict[str, Draw] = {
    draw.__name__: draw
    for draw in (
        *(worker_killed, runner_killed, worker_frozen, worker_frozen_long, machine_frozen, worker_drained),
        *(
            worker_isolated,
            leader_killed,
            leader_frozen,
            api_killed,
            valkey_killed,
            valkey_flushed,
            valkey_read_only,
            valkey_full,
        ),
        *(valkey_no_connections, valkey_cut, valkey_slow, valkey_hole, postgres_killed, postgres_restarted),
        *(postgres_cut, postgres_slow, postgres_hole),
    )
}


# -- how -----------------------------------------------------------------------------------------------------------------


def _busy(stage: Stage, random: Random, *, patient: bool = False) -> Part:
    """A worker with a step at work that lasts, if there is one soon; with one that outlasts a lease if `patient` and there is one now."""
    parts = {part.pid: part for part in stage.workers()}
    if patient:
        pids = sorted({each.worker for each in stage.sink.at_work() if each.asset in PATIENT} & set(parts))
        if pids:
            return parts[random.choice(pids)]

    def pick() -> Part | None:
        now = time.time()
        pids = sorted(
            {
                each.worker
                for each in stage.sink.at_work()
                if now - each.last < BUSY_S and each.last - each.began > BUSY_S
            }
            & set(parts)
        )
        return parts[random.choice(pids)] if pids else None

    found = eventually(pick, within=30, what="a worker is at work")
    assert found is not None
    return found


def ended(kind: str, part: Part, hold_s: float, number: signal.Signals, stage: Stage) -> Blow:
    """A signal that ends a part, which is started again `hold_s` later."""

    def strike() -> list[int]:
        part.restarts = False
        pid = part.pid
        os.kill(pid, number)
        assert part.child is not None
        part.child.wait(10)
        return [pid]

    return Blow(kind, part.name, hold_s, strike, lambda: stage.start_part(part))


def _frozen(kind: str, part: Part, hold_s: float, *, whole: bool) -> Blow:
    pids: list[int] = []

    def strike() -> list[int]:
        below = [process.pid for process in descendants(part.pid)] if whole else []
        pids.extend([part.pid, *below])
        return _signal(pids, signal.SIGSTOP)

    return Blow(kind, part.name, hold_s, strike, lambda: _signal(pids[::-1], signal.SIGCONT))


def _signal(pids: list[int], number: signal.Signals) -> list[int]:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass  # a runner that was replaced meanwhile
    return pids


def _server_killed(server: str, number: signal.Signals, hold_s: float, stage: Stage) -> Blow:
    def strike() -> list[int]:
        pid = stage.server_pid(server)
        os.kill(pid, number)
        return [pid]

    return Blow(f"{server}_killed", server, hold_s, strike, lambda: stage.restart_server(server))


def _told(stage: Stage, command: tuple[str, ...]) -> list[int]:
    with stage.valkey() as client:
        client.execute_command(*command)
    return []


def _set(kind: str, setting: str, value: str, usual: str, hold_s: float, stage: Stage) -> Blow:
    return Blow(
        kind,
        "valkey",
        hold_s,
        lambda: _told(stage, ("CONFIG", "SET", setting, value)),
        lambda: _told(stage, ("CONFIG", "SET", setting, usual)),
    )


def _cut(kind: str, server: str, stage: Stage, random: Random) -> Blow:
    pauses = [random.uniform(0.1, 1.5) for _ in range(random.randint(1, 4))]
    proxies = stage.proxies(server)

    def strike() -> list[int]:
        for pause in pauses:
            for proxy in proxies:
                proxy.cut()
            time.sleep(pause)
        return []

    return Blow(kind, server, 0.0, strike, lambda: None)


def _slow(kind: str, server: str, delay_s: float, stage: Stage, random: Random) -> Blow:
    proxies = stage.proxies(server)

    def strike() -> list[int]:
        for proxy in proxies:
            proxy.slow(delay_s, (DOWN,))
        return []

    def heal() -> None:
        for proxy in proxies:
            proxy.heal()

    return Blow(kind, server, random.uniform(5, 15), strike, heal)


def _hole(kind: str, server: str, who: tuple[str, ...], stage: Stage, random: Random) -> Blow:
    directions = random.choice((BOTH, BOTH, (UP,), (DOWN,)))
    proxies = stage.proxies(server, who)

    def strike() -> list[int]:
        for proxy in proxies:
            proxy.swallow(directions)
        return []

    def heal() -> None:
        for proxy in proxies:
            proxy.heal()

    target = f"{', '.join(who) or 'all'} {'+'.join(directions)}"
    return Blow(kind, target, 10.0, strike, heal)
