"""What a Valkey holds and how it answers, as far as workers and scheduler use it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from simulation.clock import VirtualClock

Command: TypeAlias = Sequence[str | bytes]
EntryId: TypeAlias = tuple[int, int]
Entry: TypeAlias = tuple[bytes, dict[bytes, bytes]]


@dataclass(slots=True)
class _Stream:
    """Entries in the order of their ids; `last` is the newest id that was ever given."""

    ids: list[EntryId] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    last: EntryId = (0, 0)

    def copy(self) -> _Stream:
        return _Stream(self.ids.copy(), self.entries.copy(), self.last)

    def drop(self, count: int) -> int:
        """Removes the oldest entries."""
        del self.ids[:count], self.entries[:count]
        return count


@dataclass(slots=True)
class Snapshot:
    """What a broker holds. An empty key is none."""

    queues: dict[str, deque[bytes]] = field(default_factory=dict)
    streams: dict[str, _Stream] = field(default_factory=dict)
    hashes: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    strings: dict[str, tuple[bytes, float | None]] = field(
        default_factory=dict
    )  # with the second at which each expires

    def copy(self) -> Snapshot:
        """The same, to be changed on its own."""
        return Snapshot(
            {key: each.copy() for key, each in self.queues.items()},
            {key: each.copy() for key, each in self.streams.items()},
            {key: each.copy() for key, each in self.hashes.items()},
            self.strings.copy(),
        )


class Valkey:
    """A server without faults. `held` may be replaced."""

    def __init__(self, clock: VirtualClock) -> None:
        self.held = Snapshot()
        self._clock = clock
        self._commands: dict[str, Callable[..., object]] = {
            "XADD": self._xadd, "XREAD": self._xread, "XLEN": self._xlen, "XTRIM": self._xtrim, "SET": self._set,
            "GET": self._get, "HGET": self._hget, "HSET": self._hset, "LPUSH": self._lpush, "BLMPOP": self._blmpop,
            "DEL": self._del, "TIME": self._time,
        }  # fmt: skip

    def carry_out(self, command: Command) -> object:
        """The answer."""
        return self._commands[command[0]](*command[1:])  # type: ignore[index]

    def _xadd(self, key: str, *words: str | bytes) -> bytes:
        stream = self.held.streams.setdefault(key, _Stream())
        maxlen = None
        if words[0] == "MAXLEN":
            maxlen, words = int(words[2]), words[3:]
        now_ms = self._clock.now_ms()
        ms, number = stream.last
        stream.last = (now_ms, 0) if now_ms > ms else (ms, number + 1)
        entry_id = b"%d-%d" % stream.last
        fields = {_bytes(words[at]): _bytes(words[at + 1]) for at in range(1, len(words), 2)}
        stream.ids.append(stream.last)
        stream.entries.append((entry_id, fields))
        if maxlen is not None and len(stream.ids) > maxlen:
            stream.drop(len(stream.ids) - maxlen)
        return entry_id

    def _xread(self, count: str, *keys_and_ids: str) -> list[list[object]] | None:
        half = len(keys_and_ids) // 2
        found: list[list[object]] = []
        for key, after in zip(keys_and_ids[:half], keys_and_ids[half:], strict=True):
            stream = self.held.streams.get(key)
            if stream is None or not stream.ids:
                continue
            position = _entry_id(after)
            if stream.ids[-1] <= position:
                continue
            start = len(stream.ids) - 1
            while start > 0 and stream.ids[start - 1] > position:
                start -= 1
            found.append([key.encode(), stream.entries[start : start + int(count)]])
        return found or None

    def _xlen(self, key: str) -> int:
        stream = self.held.streams.get(key)
        return len(stream.ids) if stream is not None else 0

    def _xtrim(self, key: str, minid: str) -> int:
        stream = self.held.streams.get(key)
        if stream is None:
            return 0
        before = _entry_id(minid)
        return stream.drop(sum(each < before for each in stream.ids))

    def _set(self, key: str, value: str, *options: str) -> bytes | None:
        """SET with PX, NX and GET, in any order. With NX and GET the answer is what stood there: None when the key is ours now."""
        old = self._string(key)
        if "NX" not in options or old is None:
            expires = None
            if "PX" in options:
                expires = self._clock.seconds + int(options[options.index("PX") + 1]) / 1000
            self.held.strings[key] = (_bytes(value), expires)
        if "GET" in options:
            return old
        return b"OK" if "NX" not in options or old is None else None

    def _get(self, key: str) -> bytes | None:
        return self._string(key)

    def _string(self, key: str) -> bytes | None:
        found = self.held.strings.get(key)
        if found is None:
            return None
        if found[1] is not None and found[1] <= self._clock.seconds:
            del self.held.strings[key]
            return None
        return found[0]

    def _hget(self, key: str, name: str) -> bytes | None:
        found = self.held.hashes.get(key)
        return found.get(name.encode()) if found is not None else None

    def _hset(self, key: str, *words: str) -> int:
        held = self.held.hashes.setdefault(key, {})
        before = len(held)
        for at in range(0, len(words), 2):
            held[_bytes(words[at])] = _bytes(words[at + 1])
        return len(held) - before

    def _lpush(self, key: str, *messages: str | bytes) -> int:
        queue = self.held.queues.setdefault(key, deque())
        queue.extendleft(map(_bytes, messages))
        return len(queue)

    def _del(self, key: str) -> int:
        """DEL of a stream."""
        return int(self.held.streams.pop(key, None) is not None)

    def _time(self) -> tuple[int, int]:
        """Seconds and microseconds, as a client has them."""
        seconds, ms = divmod(self._clock.now_ms(), 1000)
        return seconds, ms * 1000

    def _blmpop(self, count: str, *keys: str) -> tuple[bytes, list[bytes]] | None:
        """BLMPOP … RIGHT COUNT: what is there, without waiting."""
        for key in keys:
            messages = self.held.queues.get(key)
            if messages:
                return key.encode(), [messages.pop() for _ in range(min(int(count), len(messages)))]
        return None


def _bytes(word: str | bytes) -> bytes:
    return word if isinstance(word, bytes) else word.encode()


def _entry_id(text: str | bytes) -> EntryId:
    ms, _, number = (text if isinstance(text, str) else text.decode()).partition("-")
    return int(ms), int(number or 0)
