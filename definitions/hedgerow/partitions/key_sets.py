"""Key sets: the keys of dynamic partitions as they are known at the moment, numbered in the order in which they came."""

from __future__ import annotations

import msgspec

from hedgerow.identifiers import is_partition_key

MAX_KEYS = 100_000
"""Of one set, those among them that were removed: a removed key keeps its number."""
MAX_KEY_BYTES = 200


def is_dynamic_key(text: object) -> bool:
    """Whether `text` may be a key of dynamic partitions: what may be a partition's key, in at most 200 bytes."""
    return isinstance(text, str) and is_partition_key(text) and len(text.encode("utf-8", "replace")) <= MAX_KEY_BYTES


class KeySet(msgspec.Struct, eq=False, dict=True):
    """The keys of a team's set. It is what dynamic partitions are bound to, and the only part of them that ever changes.

    A key keeps its number for ever: one that was removed no longer exists, and comes back under the same number. `log` holds the
    numbers of the keys that were added or removed, in order, so that whoever has seen some of it knows what is different since.
    """

    team: str
    name: str

    def __post_init__(self) -> None:
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._gone: set[int] = set()
        self._keys: tuple[int, tuple[str, ...]] = (0, ())
        self.log: list[int] = []
        self.room = MAX_KEYS
        """How many keys there may be, removed ones among them: fewer where an asset's other dimensions leave room for fewer."""

    def __len__(self) -> int:
        """How many keys exist."""
        return len(self._names) - len(self._gone)

    def __bool__(self) -> bool:
        """A set is one also without keys."""
        return True

    def __contains__(self, key: object) -> bool:
        number = self._numbers.get(key) if isinstance(key, str) else None
        return number is not None and number not in self._gone

    @property
    def numbered(self) -> int:
        """How many keys there are and were; the next one gets this number."""
        return len(self._names)

    def keys(self) -> tuple[str, ...]:
        """The keys that exist, in order of their numbers."""
        seen, keys = self._keys
        if seen != len(self.log):
            seen = len(self.log)
            keys = tuple(key for number, key in enumerate(tuple(self._names)) if number not in self._gone)
            self._keys = (seen, keys)
        return keys

    def number(self, key: str) -> int | None:
        """The number of a key, also of one that was removed; None for one that never was."""
        return self._numbers.get(key)

    def key(self, number: int) -> str | None:
        """The key of a number; None for what is no number."""
        return self._names[number] if 0 <= number < len(self._names) else None

    def exists(self, number: int) -> bool:
        """Whether the key of a number exists."""
        return 0 <= number < len(self._names) and number not in self._gone

    def add(self, key: str) -> bool:
        """Adds a key; False when it exists already. ValueError when there is no number left for it."""
        number = self._numbers.get(key)
        if number is None:
            if len(self._names) >= MAX_KEYS:
                raise ValueError(f"there are {MAX_KEYS:,} keys")
            number = self._numbers[key] = len(self._names)
            self._names.append(key)
        elif number in self._gone:
            self._gone.discard(number)
        else:
            return False
        self.log.append(number)
        return True

    def remove(self, key: str) -> bool:
        """Removes a key; False when there is none."""
        number = self._numbers.get(key)
        if number is None or number in self._gone:
            return False
        self._gone.add(number)
        self.log.append(number)
        return True
