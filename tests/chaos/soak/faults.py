"""The few faults of the soak, as blows upon its stage."""

from __future__ import annotations

import signal
from collections.abc import Callable
from random import Random

from chaos.faults import Blow, ended, leader_killed, valkey_flushed
from chaos.soak.place import SoakStage
from chaos.soak.timetable import Planned


def blow(planned: Planned, stage: SoakStage, random: Random) -> Blow:
    """The blow that was planned."""
    return _KINDS[planned.kind](planned, stage, random)


def _flushed(_: Planned, stage: SoakStage, random: Random) -> Blow:
    return valkey_flushed(stage, random)


def _leader(_: Planned, stage: SoakStage, random: Random) -> Blow:
    return leader_killed(stage, random)


def _worker(planned: Planned, stage: SoakStage, random: Random) -> Blow:
    return ended("worker_killed", random.choice(stage.workers()), planned.hold_s, signal.SIGKILL, stage)


def _hole(planned: Planned, stage: SoakStage, _: Random) -> Blow:
    """Nothing passes between the broker and anyone."""
    proxies = stage.proxies("valkey")

    def strike() -> list[int]:
        for proxy in proxies:
            proxy.swallow()
        return []

    def heal() -> None:
        for proxy in proxies:
            proxy.heal()

    return Blow("valkey_hole", "all", planned.hold_s, strike, heal)


_KINDS: dict[str, Callable[[Planned, SoakStage, Random], Blow]] = {
    "valkey_flushed": _flushed,
    "leader_killed": _leader,
    "worker_killed": _worker,
    "valkey_hole": _hole,
}
