"""Valkey as far as workers and scheduler use it, in memory, with the faults of a broker and of the way to it.

`SimBroker` is the server. Each process has a `Link` to it, which is `hedgerow_workers.broker.Line` and the few methods of a redis client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Literal, TypeAlias

from simulation.clock import VirtualClock

# What goes wrong with every command, until the world says otherwise:
# away        redis.ConnectionError, nothing lands
# black_hole  redis.TimeoutError; drawn for each: it lands at once, when the fault ends, or never
# full        redis OutOfMemoryError on writes that need memory; reads and pops go on
# read_only   redis ReadOnlyError on all writes
# no_perm     redis NoPermissionError on everything
Fault: TypeAlias = Literal["away", "black_hole", "full", "read_only", "no_perm"]
Command: TypeAlias = Sequence[str | bytes]
EntryId: TypeAlias = tuple[int, int]


class Snapshot:
    """What a broker held at one time."""


class SimBroker:
    """The server of all teams. `fault` is None or what ails it."""

    def __init__(self, clock: VirtualClock, rng: Random) -> None:
        raise NotImplementedError

    fault: Fault | None

    def link(self, boundary: Callable[[str], None] = lambda _: None) -> Link:
        """A way to it for one process. `boundary` is called before a command is carried out and before its answer comes; it may raise."""
        raise NotImplementedError

    def heal(self) -> None:
        """Ends `fault`; of what fell into a black hole, the commands land that were only late, in any order."""
        raise NotImplementedError

    def forget(self) -> None:
        """FLUSHALL, or a restart without a disk."""
        raise NotImplementedError

    def snapshot(self) -> Snapshot:
        """What it holds, for `restore`."""
        raise NotImplementedError

    def restore(self, snapshot: Snapshot) -> None:
        """A restart that brings back an older state, as with an append-only file that was not synced."""
        raise NotImplementedError

    def queued(self) -> list[tuple[str, int]]:
        """The queues that hold messages, by key, with how many."""
        raise NotImplementedError

    def lose_message(self, key: str, index: int) -> None:
        """A message is gone from its queue."""
        raise NotImplementedError

    def duplicate_message(self, key: str, index: int) -> None:
        """A message is on its queue twice, once at its tail."""
        raise NotImplementedError


class Link:
    """One process's way to the broker. `fault` ails this way alone; `held_s` grows by how long callers have waited in vain.

    Refusals of the server stand in the answers of `ask` and are raised by the other methods, as with redis.
    """

    fault: Fault | None
    held_s: float

    def ask(self, commands: Sequence[Command]) -> list[object]:
        """As `Line.ask`."""
        raise NotImplementedError

    def heal(self) -> None:
        """Ends `fault`, as `SimBroker.heal` does."""
        raise NotImplementedError

    # What the scheduler's reader and writer and the worker's heartbeat and control reader call.

    def xadd(
        self, name: str, fields: Mapping[Any, Any], maxlen: int | None = None, approximate: bool = True
    ) -> bytes: ...
    def xread(
        self, streams: Mapping[str, str], count: int | None = None, block: int | None = None
    ) -> list[list[Any]]: ...  # never blocks
    def xlen(self, name: str) -> int: ...
    def xtrim(self, name: str, minid: str, approximate: bool = False) -> int: ...
    def get(self, name: str) -> bytes | None: ...
    def set(self, name: str, value: str, px: int | None = None, nx: bool = False, get: bool = False) -> Any: ...
    def hget(self, name: str, key: str) -> bytes | None: ...
    def hset(self, name: str, mapping: Mapping[str, int | str]) -> int: ...
    def lpush(self, name: str, *values: bytes) -> int: ...
    def pipeline(
        self, transaction: bool = False
    ) -> Any: ...  # a context manager with the methods above and `execute()`
    def close(self) -> None: ...

    def pop(self, keys: Sequence[str], count: int = 1) -> list[bytes]:
        """BLMPOP … RIGHT COUNT `count`: messages of the first queue that has any; an empty list when none has."""
        raise NotImplementedError
