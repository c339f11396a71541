"""The broker of a simulated world: a Valkey, what ails it, and the ways to it.

Each process has a `Link`, which is `hedgerow_workers.broker.Line` and the few methods of a redis client that we use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, Literal, TypeAlias

import redis

from hedgerow_workers.broker import SOCKET_TIMEOUT_S
from simulation.clock import VirtualClock
from simulation.valkey import Command, EntryId, Snapshot, Valkey

# What goes wrong with every command, until the world says otherwise:
# away        redis.ConnectionError, nothing lands
# black_hole  redis.TimeoutError; drawn for each: it lands at once, when the fault ends, or never
# flaky       drawn for each: it goes well, or as in a black hole
# full        redis OutOfMemoryError on writes that need memory; reads and pops go on
# read_only   redis ReadOnlyError on all writes
# no_perm     redis NoPermissionError on everything
Fault: TypeAlias = Literal["away", "black_hole", "flaky", "full", "read_only", "no_perm"]

_GROWS = frozenset({"XADD", "SET", "HSET", "LPUSH"})
_WRITES = _GROWS | {"XTRIM", "BLMPOP", "DEL"}


class SimBroker:
    """The server of all teams. `fault` is None or what ails it; `losses` counts what it forgot or rolled back."""

    def __init__(self, clock: VirtualClock, rng: Random) -> None:
        self.fault: Fault | None = None
        self.losses = 0
        self.rng = rng
        self._valkey = Valkey(clock)
        self._late: list[Command] = []

    def link(self, boundary: Callable[[str], None] = lambda _: None) -> Link:
        """A way to it for one process; `boundary` see `Link`."""
        return Link(self, boundary)

    def heal(self) -> None:
        """Ends `fault`; of what fell into a black hole, the commands land that were only late, in any order."""
        self.fault = None
        late, self._late = self._late, []
        self.rng.shuffle(late)
        for command in late:
            self.carry_out(command)

    def forget(self) -> None:
        """FLUSHALL, or a restart without a disk."""
        self._valkey.held = Snapshot()
        self.losses += 1

    def snapshot(self) -> Snapshot:
        """What it holds, for `restore`."""
        return self._valkey.held.copy()

    def restore(self, snapshot: Snapshot) -> None:
        """A restart that brings back an older state, as with an append-only file that was not synced."""
        self._valkey.held = snapshot.copy()
        self.losses += 1

    def queued(self) -> list[tuple[str, int]]:
        """The queues that hold messages, by key, with how many."""
        return [(key, len(messages)) for key, messages in self._valkey.held.queues.items() if messages]

    def lose_message(self, key: str, index: int) -> None:
        """A message is gone from its queue."""
        del self._valkey.held.queues[key][index]

    def duplicate_message(self, key: str, index: int) -> None:
        """A message is on its queue twice, once more at the end at which it is taken last."""
        messages = self._valkey.held.queues[key]
        messages.appendleft(messages[index])

    def late(self, command: Command) -> None:
        """A command that will land when the fault ends."""
        self._late.append(command)

    def newest(self, stream: str) -> EntryId:
        """The newest entry's id: what a client asleep in XREAD would be woken by."""
        found = self._valkey.held.streams.get(stream)
        return found.last if found is not None else (0, 0)

    def has_message(self, queues: Sequence[str]) -> bool:
        """Whether there is what a client asleep in BLMPOP would be woken by."""
        held = self._valkey.held.queues
        return any(held.get(queue) for queue in queues)

    def carry_out(self, command: Command, fault: Fault | None = None) -> object:
        """The server's answer; a refusal is an exception as redis gives it, returned and not raised."""
        fault = fault or self.fault
        if fault is not None:
            if fault == "no_perm":
                return redis.exceptions.NoPermissionError("this user has no permissions to run the command")
            if fault == "read_only" and command[0] in _WRITES:
                return redis.exceptions.ReadOnlyError("You can't write against a read only replica.")
            if fault == "full" and command[0] in _GROWS:
                return redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")
        return self._valkey.carry_out(command)


class Link:
    """`hedgerow_workers.broker.Line` and the few methods of a redis client that we use. `fault` ails this way alone.

    `boundary(place)` is called before commands are carried out and before their answers come; it may raise. `held_s` grows by how
    long callers have waited in vain. Refusals of the server stand in the answers of `ask` and are raised by the other methods.
    """

    def __init__(self, broker: SimBroker, boundary: Callable[[str], None] = lambda _: None) -> None:
        self.fault: Fault | None = None
        self.held_s = 0.0
        self._broker, self._boundary = broker, boundary
        self._late: list[Command] = []

    def heal(self) -> None:
        """Ends `fault`, as `SimBroker.heal` does."""
        self.fault = None
        late, self._late = self._late, []
        self._broker.rng.shuffle(late)
        for command in late:
            self._broker.carry_out(command)

    def ask(self, commands: Sequence[Command]) -> list[object]:
        """The answers, as `Line.ask` gives them."""
        broker = self._broker
        self._boundary("command")
        fault = self.fault or broker.fault
        if fault == "away":
            raise redis.ConnectionError("Connection refused.")
        if fault == "black_hole" or (fault == "flaky" and broker.rng.random() < 0.5):
            self._lose(commands, self._late.append if self.fault else broker.late)
        answers = [broker.carry_out(command, fault) for command in commands]
        self._boundary("answer")
        return answers

    def _lose(self, commands: Sequence[Command], late: Callable[[Command], None]) -> None:
        """Some commands land now, some when the fault ends, some never; no answer comes."""
        self.held_s += SOCKET_TIMEOUT_S
        rng = self._broker.rng
        draw = rng.random()
        if draw < 0.6:
            # A connection keeps its commands in order: what is cut off is their end.
            for command in commands[: rng.randint(1, len(commands))]:
                if draw < 0.3:
                    self._broker.carry_out(command)
                elif command[0] in _WRITES:
                    late(command)
        raise redis.TimeoutError("Timeout reading from socket")

    # -- a redis client ----------------------------------------------------------------------------------------------

    def _one(self, command: Command) -> Any:
        (answer,) = self.ask([command])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def xadd(self, name: str, fields: Mapping[Any, Any], maxlen: int | None = None, approximate: bool = True) -> bytes:
        return self._one(_xadd(name, fields, maxlen, approximate))

    def xread(self, streams: Mapping[str, str], count: int | None = None, block: int | None = None) -> list[list[Any]]:
        """Never blocks."""
        return self._one(_xread(streams, count, block)) or []

    def xlen(self, name: str) -> int:
        return self._one(("XLEN", name))

    def xtrim(self, name: str, minid: str, approximate: bool = False) -> int:
        return self._one(("XTRIM", name, minid))

    def get(self, name: str) -> bytes | None:
        return self._one(("GET", name))

    def delete(self, name: str) -> int:
        return self._one(("DEL", name))

    def set(self, name: str, value: str, px: int | None = None, nx: bool = False, get: bool = False) -> Any:
        return self._one(_set(name, value, px, nx, get))

    def hget(self, name: str, key: str) -> bytes | None:
        return self._one(("HGET", name, key))

    def hset(self, name: str, mapping: Mapping[str, int | str]) -> int:
        return self._one(_hset(name, mapping))

    def lpush(self, name: str, *values: bytes) -> int:
        return self._one(("LPUSH", name, *values))

    def pipeline(self, transaction: bool = False) -> Pipeline:
        """Gathers commands, for `execute`."""
        return Pipeline(self)

    def close(self) -> None:
        """Nothing: a link is used as long as its process lives."""

    def pop(self, keys: Sequence[str], count: int = 1) -> list[bytes]:
        """Messages of the first queue that has any, oldest first; none when none has."""
        found = self._one(("BLMPOP", str(count), *keys))
        return found[1] if found else []


class Pipeline:
    """Commands that are sent together: a context manager with a client's methods, of which none has an answer before `execute`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._commands: list[Command] = []
        for name, command in _PIPELINED.items():
            setattr(self, name, partial(self._add, command))

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self._commands.clear()

    def __getattr__(self, name: str) -> Any:  # what `_PIPELINED` lacks
        raise NotImplementedError(name)

    def _add(self, command: Callable[..., Command], *args: Any, **kwargs: Any) -> None:
        self._commands.append(command(*args, **kwargs))

    def execute(self) -> list[Any]:
        """All answers; the first refusal is raised, as redis does, once all commands were carried out."""
        if not self._commands:
            return []
        commands, self._commands = self._commands, []
        answers = self._link.ask(commands)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers


def _xadd(name: str, fields: Mapping[Any, Any], maxlen: int | None = None, approximate: bool = True) -> Command:
    words = [word for pair in fields.items() for word in pair]
    return ("XADD", name, *(("MAXLEN", "~", str(maxlen)) if maxlen is not None else ()), "*", *words)


def _xread(streams: Mapping[str, str], count: int | None = None, block: int | None = None) -> Command:
    return ("XREAD", str(count or 1_000_000), *streams, *streams.values())


def _set(name: str, value: str, px: int | None = None, nx: bool = False, get: bool = False) -> Command:
    options = ("PX", str(px)) if px is not None else ()
    return ("SET", name, value, *options, *(("NX",) if nx else ()), *(("GET",) if get else ()))


def _hset(name: str, mapping: Mapping[str, int | str]) -> Command:
    return ("HSET", name, *(str(word) for pair in mapping.items() for word in pair))


_PIPELINED: dict[str, Callable[..., Command]] = {
    "xadd": _xadd,
    "xread": _xread,
    "set": _set,
    "hset": _hset,
    "get": lambda name: ("GET", name),
    "time": lambda: ("TIME",),
    "hget": lambda name, key: ("HGET", name, key),
    "xlen": lambda name: ("XLEN", name),
    "xtrim": lambda name, minid, approximate=False: ("XTRIM", name, minid),
    "lpush": lambda name, *values: ("LPUSH", name, *values),
}
